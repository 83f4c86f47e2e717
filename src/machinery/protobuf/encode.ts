/** JSON objects to protobuf. Fields are written last to first: see `wire.ts`. */
import type { AnySchema, ListSchema, TypeSchema, ValueSchema } from "../schema.ts";
import { type FieldPlan, type Plans, wireTypeOf } from "./plan.ts";
import { bytesType, ProtobufError, varintType, type WireWriter } from "./wire.ts";

/** `kubernetes`: as gogo writes Go structs. `proto3`: zeros are left out and lists of numbers are packed. */
export type ProtobufStyle = "kubernetes" | "proto3";

type Plain = Readonly<Record<string, unknown>>;

export class ProtobufEncoder {
  readonly #writer: WireWriter;
  readonly #plans: Plans;
  readonly #proto3: boolean;

  constructor(writer: WireWriter, plans: Plans, style: ProtobufStyle) {
    this.#writer = writer;
    this.#plans = plans;
    this.#proto3 = style === "proto3";
  }

  message(type: TypeSchema, object: Plain): void {
    const { fields } = this.#plans.of(type);
    for (let index = fields.length - 1; index >= 0; index--) {
      const field = fields[index] as FieldPlan; // cast: index is within the list
      if (field.embedded) this.#embedded(field, object);
      else {
        const value = object[field.name];
        if (value !== undefined && value !== null) this.#field(field, value);
        else if (field.plain && !this.#proto3) this.#zero(field);
      }
    }
  }

  #embedded({ number, value }: FieldPlan, object: Plain): void {
    if (value.kind !== "object") return;
    const end = this.#writer.length;
    this.message(value.type, object);
    this.#close(number, end);
  }

  /** Length and tag of what was written since `end`. */
  #close(number: number, end: number): void {
    this.#writer.unsigned(this.#writer.length - end);
    this.#writer.tag(number, bytesType);
  }

  #field(field: FieldPlan, value: unknown): void {
    const schema = field.value;
    if (schema.kind === "list" && !schema.wrapped) this.#list(field.number, schema, value as readonly unknown[], field);
    else if (schema.kind === "map") this.#map(field.number, schema.values, value as Plain);
    else if (this.#proto3 && isZero(schema, value)) return;
    else {
      this.#value(schema, value);
      this.#writer.tag(field.number, field.wireType);
    }
  }

  #list(number: number, { items }: ListSchema, values: readonly unknown[], { wireType }: FieldPlan): void {
    const packed = this.#proto3 && wireType !== bytesType && values.length > 0;
    const end = this.#writer.length;
    for (let index = values.length - 1; index >= 0; index--) {
      this.#element(items, values[index]);
      if (!packed) this.#writer.tag(number, wireType);
    }
    if (packed) this.#close(number, end);
  }

  /** An element is written even when it is null: Go has a zero there. */
  #element(schema: ValueSchema, value: unknown): void {
    if (value === undefined || value === null) this.#zeroValue(schema);
    else this.#value(schema, value);
  }

  /** Entries by key, in the order of bytes: gogo's stable marshalling. */
  #map(number: number, values: ValueSchema, map: Plain): void {
    const keys = Object.keys(map);
    if (keys.length > 1) sortByBytes(keys);
    for (let index = keys.length - 1; index >= 0; index--) {
      const key = keys[index] as string; // cast: index is within the list
      const end = this.#writer.length;
      this.#element(values, map[key]);
      this.#writer.tag(2, wireTypeOf(values));
      this.#text(key);
      this.#writer.tag(1, bytesType);
      this.#close(number, end);
    }
  }

  /** The value with its length where it has one, without a tag. */
  #value(schema: ValueSchema, value: unknown): void {
    const writer = this.#writer;
    switch (schema.kind) {
      case "string":
        this.#text(asString(value));
        break;
      case "integer":
        writer.integer(asNumber(value));
        break;
      case "boolean":
        writer.byte(value === true ? 1 : 0);
        break;
      case "number":
        writer.double(asNumber(value));
        break;
      case "enum":
        writer.integer(typeof value === "number" ? value : enumNumber(schema.numbers, value));
        break;
      case "bytes":
        this.#bytes(value instanceof Uint8Array ? value : Buffer.from(asString(value), "base64"));
        break;
      default:
        this.#nested(schema, value);
        break;
    }
  }

  #nested(schema: ValueSchema, value: unknown): void {
    const writer = this.#writer;
    const end = writer.length;
    switch (schema.kind) {
      case "object":
        this.message(schema.type, value as Plain);
        break;
      case "list":
        this.#list(1, schema, value as readonly unknown[], { wireType: bytesType } as FieldPlan); // cast: only the wire type is read
        break;
      case "time":
        this.#time(asString(value), schema.micro);
        break;
      case "quantity":
        this.#text(typeof value === "number" ? String(value) : asString(value));
        writer.tag(1, bytesType);
        break;
      case "int-or-string":
        this.#intOrString(value);
        break;
      case "any":
        this.#any(schema, value);
        break;
      default:
        throw new ProtobufError(`a value of kind ${schema.kind} has no protobuf form`);
    }
    writer.unsigned(writer.length - end);
  }

  #time(text: string, micro: boolean): void {
    const { seconds, nanos } = parseTime(text, micro);
    this.#writer.unsigned(nanos);
    this.#writer.tag(2, varintType);
    this.#writer.integer(seconds);
    this.#writer.tag(1, varintType);
  }

  #intOrString(value: unknown): void {
    const writer = this.#writer;
    const isText = typeof value === "string";
    this.#text(isText ? value : "");
    writer.tag(3, bytesType);
    writer.integer(isText ? 0 : asNumber(value));
    writer.tag(2, varintType);
    writer.unsigned(isText ? 1 : 0);
    writer.tag(1, varintType);
  }

  #any(schema: AnySchema, value: unknown): void {
    const writer = this.#writer;
    if (!("type" in schema)) {
      this.#bytes(value instanceof Uint8Array ? value : Buffer.from(JSON.stringify(value)));
      writer.tag(1, bytesType);
      return;
    }
    const schemaNumber = schema.form === "schema-or-bool" ? 2 : 1;
    const isSchema = typeof value === "object" && !Array.isArray(value);
    if (isSchema) {
      const end = writer.length;
      this.message(schema.type, value as Plain);
      this.#close(schemaNumber, end);
    } else if (Array.isArray(value)) {
      const items: ValueSchema =
        schema.form === "schema-or-list" ? { kind: "object", type: schema.type } : { kind: "string" };
      for (const each of value.toReversed()) {
        this.#value(items, each);
        writer.tag(2, bytesType);
      }
    }
    if (schema.form === "schema-or-bool") {
      // Upstream's JSON decoder sets `allows` with a schema too.
      writer.byte(isSchema || value === true ? 1 : 0);
      writer.tag(1, varintType);
    }
  }

  #zero({ number, value, wireType }: FieldPlan): void {
    if (value.kind === "list" || value.kind === "map" || value.kind === "bytes") return;
    this.#zeroValue(value);
    this.#writer.tag(number, wireType);
  }

  #zeroValue(schema: ValueSchema): void {
    switch (schema.kind) {
      case "integer":
      case "boolean":
      case "enum":
        this.#writer.byte(0);
        break;
      case "number":
        this.#writer.double(0);
        break;
      case "object":
        this.#nested(schema, {});
        break;
      case "quantity":
        this.#nested(schema, "0");
        break;
      case "int-or-string":
        this.#nested(schema, 0);
        break;
      default:
        // Empty text, an unset time, raw JSON that isn't there, a list without items.
        this.#writer.byte(0);
        break;
    }
  }

  #text(text: string): void {
    const end = this.#writer.length;
    this.#writer.text(text);
    this.#writer.unsigned(this.#writer.length - end);
  }

  #bytes(bytes: Uint8Array): void {
    this.#writer.bytes(bytes);
    this.#writer.unsigned(bytes.length);
  }
}

function isZero(schema: ValueSchema, value: unknown): boolean {
  if (schema.kind === "enum") return value === 0 || schema.numbers.get(value as string) === 0;
  if (schema.kind === "bytes") return value instanceof Uint8Array ? value.length === 0 : value === "";
  return value === 0 || value === "" || value === false;
}

/** The order of UTF-16 units, JavaScript's, is that of UTF-8 bytes unless there are surrogates. */
function sortByBytes(keys: string[]): void {
  if (keys.some((key) => /[\ud800-\udfff]/.test(key)))
    keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  else keys.sort();
}

function asString(value: unknown): string {
  if (typeof value !== "string") throw new ProtobufError(`expected a string, found ${typeof value}`);
  return value;
}

function asNumber(value: unknown): number {
  if (typeof value !== "number") throw new ProtobufError(`expected a number, found ${typeof value}`);
  return value;
}

function enumNumber(numbers: ReadonlyMap<string, number>, value: unknown): number {
  const number = numbers.get(asString(value));
  if (number === undefined)
    throw new ProtobufError(`expected one of ${[...numbers.keys()].join(", ")}, found ${value}`);
  return number;
}

/** Seconds since the epoch; nanoseconds only for micro times, as upstream writes them. */
function parseTime(text: string, micro: boolean): { seconds: number; nanos: number } {
  const milliseconds = Date.parse(text);
  if (Number.isNaN(milliseconds)) throw new ProtobufError(`${JSON.stringify(text)} is no RFC 3339 time`);
  const seconds = Math.floor(milliseconds / 1000);
  if (!micro) return { seconds, nanos: 0 };
  const fraction = text.match(/\.(\d+)/)?.[1] ?? "";
  return { seconds, nanos: Number(fraction.padEnd(6, "0").slice(0, 6)) * 1000 };
}
