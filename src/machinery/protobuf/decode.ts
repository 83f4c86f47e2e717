/**
 * Protobuf to the JSON object that upstream would print: zeros that Go leaves out are left out, those it prints are
 * there. Lists and times that upstream prints as `null` are left out too; printing `null` is the JSON encoder's matter.
 */
import type { AnySchema, TypeSchema, ValueSchema } from "../schema.ts";
import type { ProtobufStyle } from "./encode.ts";
import { type FieldPlan, type Plans, wireTypeOf } from "./plan.ts";
import { bytesType, ProtobufError, WireReader } from "./wire.ts";

type Plain = Record<string, unknown>;

/** Start of an encoded object within raw bytes; anything else there is JSON. */
export const envelopeMagic = Buffer.from([0x6b, 0x38, 0x73, 0x00]);

/** Years 0 to 9999: what RFC 3339 can write. */
const secondsMin = -62_167_219_200;
const secondsMax = 253_402_300_799;

export class ProtobufDecoder {
  readonly #plans: Plans;
  readonly #proto3: boolean;

  constructor(plans: Plans, style: ProtobufStyle) {
    this.#plans = plans;
    this.#proto3 = style === "proto3";
  }

  message(type: TypeSchema, bytes: Uint8Array): Plain {
    const object: Plain = {};
    this.#into(type, new WireReader(bytes), object);
    return object;
  }

  #into(type: TypeSchema, reader: WireReader, object: Plain): void {
    const plan = this.#plans.of(type);
    while (!reader.atEnd) {
      const tag = reader.varint();
      const field = plan.byNumber.get(tag >>> 3);
      if (!field) reader.skip(tag & 7);
      else if (field.embedded && field.value.kind === "object") {
        const outer = reader.enter();
        this.#into(field.value.type, reader, object);
        reader.leave(outer);
      } else this.#field(field, tag & 7, reader, object);
    }
    if (this.#proto3) fillProto3(plan.fields, object);
    else this.#fillPrinted(plan.printed, object);
  }

  #field(field: FieldPlan, wireType: number, reader: WireReader, object: Plain): void {
    const { name, value: schema } = field;
    if (schema.kind === "list" && !schema.wrapped) {
      const list = (object[name] ?? []) as unknown[]; // cast: only lists are put there
      object[name] = list;
      if (wireType === bytesType && field.wireType !== bytesType) {
        const outer = reader.enter();
        while (!reader.atEnd) list.push(this.#value(schema.items, reader));
        reader.leave(outer);
      } else {
        expectWireType(field, wireType);
        list.push(this.#value(schema.items, reader) ?? null);
      }
      return;
    }
    expectWireType(field, wireType);
    if (schema.kind === "map") {
      const map = (object[name] ?? {}) as Plain; // cast: only maps are put there
      object[name] = map;
      this.#entry(schema.values, reader, map);
      return;
    }
    const value = this.#value(schema, reader);
    if (value === undefined) return;
    if (!this.#proto3 && field.plain && !field.printed && isZero(schema, value)) delete object[name];
    else object[name] = value;
  }

  #entry(values: ValueSchema, reader: WireReader, map: Plain): void {
    let key = "";
    let value: unknown;
    const outer = reader.enter();
    while (!reader.atEnd) {
      const tag = reader.varint();
      if (tag >>> 3 === 1) key = reader.text();
      else if (tag >>> 3 === 2 && (tag & 7) === wireTypeOf(values)) value = this.#value(values, reader);
      else reader.skip(tag & 7);
    }
    reader.leave(outer);
    const entry = value ?? zeroOf(values) ?? null;
    // A key that an object already has must become data, not a prototype.
    if (key === "__proto__")
      Object.defineProperty(map, key, { value: entry, enumerable: true, writable: true, configurable: true });
    else map[key] = entry;
  }

  #value(schema: ValueSchema, reader: WireReader): unknown {
    switch (schema.kind) {
      case "string":
        return reader.text();
      case "integer":
        return schema.bits === 32
          ? schema.unsigned
            ? reader.varint()
            : reader.varint() | 0
          : schema.unsigned
            ? reader.unsigned64()
            : reader.signed();
      case "boolean":
        return reader.varint() !== 0;
      case "number":
        return reader.double();
      case "enum": {
        const number = reader.varint();
        return enumName(schema.numbers, number) ?? number;
      }
      case "bytes":
        return this.#proto3 ? Buffer.from(reader.bytes()) : reader.bytes().toString("base64");
      default: {
        const outer = reader.enter();
        const value = this.#nested(schema, reader);
        reader.leave(outer);
        return value;
      }
    }
  }

  #nested(schema: ValueSchema, reader: WireReader): unknown {
    switch (schema.kind) {
      case "object": {
        const object: Plain = {};
        this.#into(schema.type, reader, object);
        return object;
      }
      case "list": {
        const list: unknown[] = [];
        eachField(reader, (number) => number === 1 && list.push(this.#value(schema.items, reader)));
        return list;
      }
      case "time":
        return readTime(reader, schema.micro);
      case "quantity": {
        let text = "0";
        eachField(reader, (number) => {
          if (number !== 1) return false;
          text = reader.text();
          return true;
        });
        return text;
      }
      case "int-or-string":
        return readIntOrString(reader);
      case "any":
        return this.#any(schema, reader);
      default:
        throw new ProtobufError(`a value of kind ${schema.kind} has no protobuf form`);
    }
  }

  #any(schema: AnySchema, reader: WireReader): unknown {
    if (!("type" in schema)) {
      let value: unknown;
      eachField(reader, (number) => {
        if (number !== 1) return false;
        value = readRaw(reader.bytes());
        return true;
      });
      return value;
    }
    const schemaNumber = schema.form === "schema-or-bool" ? 2 : 1;
    const schemaValue: ValueSchema = { kind: "object", type: schema.type };
    const itemValue: ValueSchema = schema.form === "schema-or-list" ? schemaValue : { kind: "string" };
    let found: unknown;
    let allows = false;
    const list: unknown[] = [];
    eachField(reader, (number) => {
      if (number === schemaNumber) found = this.#value(schemaValue, reader);
      else if (number === 1) allows = reader.varint() !== 0;
      else if (number === 2) list.push(this.#value(itemValue, reader));
      else return false;
      return true;
    });
    if (schema.form === "schema-or-bool") return found ?? allows;
    return list.length > 0 ? list : found;
  }

  /** What Go prints though it wasn't sent: `status: {}`, `name: ""`. Only an older writer leaves such a field out. */
  #fillPrinted(fields: readonly FieldPlan[], object: Plain): void {
    for (const field of fields) {
      if (object[field.name] !== undefined) continue;
      const zero =
        field.value.kind === "object" ? this.message(field.value.type, Buffer.alloc(0)) : zeroOf(field.value);
      if (zero !== undefined) object[field.name] = zero;
    }
  }
}

/** proto3: what isn't sent is zero, so callers needn't ask. Messages stay absent. */
function fillProto3(fields: readonly FieldPlan[], object: Plain): void {
  for (const { name, value } of fields) {
    if (object[name] !== undefined) continue;
    const zero = value.kind === "list" ? [] : value.kind === "map" ? {} : zeroOf(value);
    if (zero !== undefined) object[name] = zero;
  }
}

function zeroOf(schema: ValueSchema): unknown {
  switch (schema.kind) {
    case "string":
      return "";
    case "integer":
    case "number":
    case "int-or-string":
      return 0;
    case "boolean":
      return false;
    case "quantity":
      return "0";
    case "bytes":
      return Buffer.alloc(0);
    case "enum":
      return enumName(schema.numbers, 0);
    default:
      return undefined;
  }
}

function isZero(schema: ValueSchema, value: unknown): boolean {
  if (schema.kind === "object") return Object.keys(value as object).length === 0;
  return (
    schema.kind !== "quantity" && schema.kind !== "int-or-string" && (value === "" || value === 0 || value === false)
  );
}

function expectWireType({ name, wireType }: FieldPlan, found: number): void {
  if (wireType !== found) throw new ProtobufError(`${name}: wire type ${wireType} expected, ${found} found`);
}

/** Calls `read` for each field of a small message; skips those for which it answers false. */
function eachField(reader: WireReader, read: (number: number) => unknown): void {
  while (!reader.atEnd) {
    const tag = reader.varint();
    if (read(tag >>> 3) === false) reader.skip(tag & 7);
  }
}

function readRaw(bytes: Buffer): unknown {
  if (bytes.subarray(0, envelopeMagic.length).equals(envelopeMagic)) return Buffer.from(bytes);
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw new ProtobufError("raw bytes are neither JSON nor an encoded object", { cause });
  }
}

/** Undefined for an empty message: Go's zero time. */
function readTime(reader: WireReader, micro: boolean): string | undefined {
  let seconds: number | undefined;
  let nanos = 0;
  eachField(reader, (number) => {
    if (number === 1) seconds = reader.signed();
    else if (number === 2) nanos = reader.varint() | 0;
    else return false;
    return true;
  });
  if (seconds === undefined) return undefined;
  if (seconds < secondsMin || seconds > secondsMax) throw new ProtobufError(`${seconds} s since 1970 is no time`);
  const text = new Date(seconds * 1000).toISOString().slice(0, -".000Z".length);
  return micro ? `${text}.${String(Math.floor(nanos / 1000)).padStart(6, "0")}Z` : `${text}Z`;
}

function readIntOrString(reader: WireReader): number | string {
  let isText = false;
  let integer = 0;
  let text = "";
  eachField(reader, (number) => {
    if (number === 1) isText = reader.varint() === 1;
    else if (number === 2) integer = reader.varint() | 0;
    else if (number === 3) text = reader.text();
    else return false;
    return true;
  });
  return isText ? text : integer;
}

function enumName(numbers: ReadonlyMap<string, number>, number: number): string | undefined {
  for (const [name, each] of numbers) if (each === number) return name;
  return undefined;
}
