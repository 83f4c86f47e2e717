/**
 * CBOR as upstream reads it (runtime/serializer/cbor): strings may be byte strings, byte strings under tag 22 stand for base64 text,
 * a repeated key ends it, unknown fields are only counted. With a type, what doesn't fit is refused in the words of the library that
 * upstream uses (fxamacker/cbor); without one (custom resources, free-form fields) it becomes what JSON would have given.
 */
import { canonicalBase64 } from "../base64.ts";
import { Decimal } from "../decimal.ts";
import { setOwn } from "../deep.ts";
import { canonicalMicroTimeText, canonicalTimeText } from "../time.ts";
import type { TypeSchema, ValueSchema } from "../schema.ts";
import { goType, shortName } from "../typed-messages.ts";
import {
  breakByte,
  CborError,
  checkWellFormed,
  Head,
  indefinite,
  major,
  notAccepted,
  readFloat,
  readHead,
  typeNames,
} from "./well-formed.ts";

export { CborError } from "./well-formed.ts";

type Json = Record<string, unknown>;

export interface CborObject {
  readonly value: unknown;
  /** About the first field that the type doesn't have. */
  readonly unknown: string | undefined;
}

/** As of `type`. Throws CborError. Floats that are whole stay `Decimal` in free-form parts only. */
export function decodeCborObject(bytes: Uint8Array, type: TypeSchema): CborObject {
  const decoder = new Decoder(checked(bytes));
  const value = decoder.read({ kind: "object", type });
  const { unknown } = decoder;
  return {
    value,
    unknown: unknown === undefined ? undefined : `cbor: found unknown field at map element index ${unknown}`,
  };
}

/** Of any shape. Throws CborError. */
export function decodeCbor(bytes: Uint8Array): unknown {
  return new Decoder(checked(bytes)).read(undefined);
}

/** What it says of itself, whatever else is in it; nothing of it is trusted before. Throws CborError. */
export function readCborWords(bytes: Uint8Array): CborWords | undefined {
  return new Decoder(checked(bytes)).read({ kind: "object", type: typeMeta }) as CborWords | undefined; // of that type
}

export interface CborWords {
  readonly apiVersion?: string;
  readonly kind?: string;
}

/** For messages: the value in diagnostic notation (RFC 8949, 8), as objects are written by Kubernetes. */
export function diagnoseCbor(bytes: Uint8Array): string {
  const text = diagnose(decodeCbor(bytes));
  return bytes[0] === 0xd9 && bytes[1] === 0xd9 && bytes[2] === 0xf7 ? `55799(${text})` : text;
}

function diagnose(value: unknown): string {
  if (typeof value === "string") return `'${value}'`;
  if (value instanceof Decimal) return value.text.includes(".") ? value.text : `${value.text}.0`;
  if (typeof value !== "object" || value === null) return String(value ?? null);
  if (Array.isArray(value)) return `[${value.map(diagnose).join(", ")}]`;
  return `{${Object.entries(value)
    .map(([key, item]) => `'${key}': ${diagnose(item)}`)
    .join(", ")}}`;
}

function checked(bytes: Uint8Array): Buffer {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  checkWellFormed(buffer);
  return buffer;
}

const text: ValueSchema = { kind: "string" };
const wordField = (name: string) =>
  [name, { name, value: text, required: false, number: 0, patchStrategy: [], atomic: false, zero: "omitted" }] as const;
const typeMeta: TypeSchema = {
  name: "io.k8s.apimachinery.pkg.apis.meta.v1.TypeMeta",
  fields: new Map([wordField("apiVersion"), wordField("kind")]),
  atomic: false,
  preserveUnknown: false,
};

/** A value that its Go type can't hold; each struct on the way up puts its own name in. */
class TypeMismatch extends CborError {
  readonly #what: string;
  readonly #rest: string;

  constructor(cborType: string, into: string, why?: string) {
    const what = `cbor: cannot unmarshal ${cborType} into Go `;
    const rest = ` of type ${into}${why === undefined ? "" : ` (${why})`}`;
    super(`${what}value${rest}`);
    this.#what = what;
    this.#rest = rest;
  }

  in(type: TypeSchema, field: string): this {
    this.message = `${this.#what}struct field ${shortName(type)}.${field}${this.#rest}`;
    return this;
  }
}

/** Byte strings below this tag are shown as text in this form. */
const laterForms: ReadonlyMap<number, BufferEncoding> = new Map([
  [21, "base64url"],
  [22, "base64"],
  [23, "hex"],
]);

/** Everything but free form. */
type Typed = Exclude<ValueSchema, { readonly kind: "any" }>;

const typed = (schema: ValueSchema | undefined): Typed | undefined => (schema?.kind === "any" ? undefined : schema);

class Decoder {
  /** Index in its map of the first field that a type doesn't have. */
  unknown: number | undefined;
  readonly #bytes: Buffer;
  readonly #head = new Head();
  #at = 0;
  #later: BufferEncoding | undefined;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  read(schema: ValueSchema | undefined): unknown {
    const wanted = typed(schema);
    const { type } = this.#next();
    switch (type) {
      case major.positive:
      case major.negative:
        return this.#integer(type, wanted);
      case major.bytes:
        return this.#byteString(wanted);
      case major.text:
        return this.#textString(wanted);
      case major.array:
        return this.#array(wanted);
      case major.map:
        return this.#map(wanted);
      case major.tag:
        return this.#tagged(schema);
      default:
        return this.#primitive(wanted);
    }
  }

  #next(): Head {
    this.#at = readHead(this.#bytes, this.#at, this.#head);
    return this.#head;
  }

  #integer(type: 0 | 1, schema: Typed | undefined): unknown {
    const { value, big } = this.#head;
    const number = type === major.positive ? value : -1 - value;
    const printed = () => String(type === major.positive ? (big ?? value) : -1n - (big ?? BigInt(value)));
    const refuse = (into: string, why?: string) => new TypeMismatch(typeNames[type], into, why);
    const huge = big !== undefined && big >= 2n ** 63n;
    if (huge && (!schema || type === major.negative)) throw refuse("int64", `${printed()} overflows Go's int64`);
    if (!schema) return number;
    switch (schema.kind) {
      case "number":
        return number;
      case "integer": {
        const into = goType(schema);
        if (schema.unsigned && number < 0) throw refuse(into);
        const limit = 2 ** (schema.unsigned ? schema.bits : schema.bits - 1);
        if (number >= limit || number < -limit) throw refuse(into, `${printed()} overflows ${into}`);
        return number;
      }
      case "int-or-string":
        if (number >= 2 ** 31 || number < -(2 ** 31)) throw refuse("int32", `${printed()} overflows int32`);
        return number;
      default:
        throw refuse(textType(schema));
    }
  }

  #byteString(schema: Typed | undefined): unknown {
    const bytes = this.#stringBytes(undefined);
    if (schema?.kind === "bytes") {
      // Text in base64 unless a tag says that they are the bytes themselves.
      if (this.#later !== undefined) return bytes.toString("base64");
      const canonical = canonicalBase64(bytes.toString("utf8"));
      if (typeof canonical === "string") return canonical;
      const why = `illegal base64 data at input byte ${canonical.wrongAt}`;
      throw new CborError(`cbor: failed to decode base64 from byte string: ${why}`);
    }
    return this.#text(bytes.toString(this.#later ?? "utf8"), { schema, type: "byte string" });
  }

  #textString(schema: Typed | undefined): unknown {
    return this.#text(this.#stringBytes(utf8).toString("utf8"), { schema, type: "UTF-8 text string" });
  }

  #text(value: string, { schema, type }: { schema: Typed | undefined; type: string }): unknown {
    if (!schema) return value;
    switch (schema.kind) {
      case "string":
      case "enum":
      case "quantity":
      case "int-or-string":
        return value;
      case "time":
        // Its complaints are the same in every format.
        return (schema.micro ? canonicalMicroTimeText(value) : canonicalTimeText(value)) ?? undefined;
      default:
        throw new TypeMismatch(type, goType(schema));
    }
  }

  #stringBytes(check: ((bytes: Buffer) => void) | undefined): Buffer {
    const { info, value } = this.#head;
    if (info !== indefinite) {
      const start = this.#at;
      this.#at += value;
      const bytes = this.#bytes.subarray(start, this.#at);
      check?.(bytes);
      return bytes;
    }
    const chunks: Buffer[] = [];
    while (!this.#atBreak()) {
      this.#next();
      chunks.push(this.#stringBytes(check));
    }
    return Buffer.concat(chunks);
  }

  /** Passes it, too. */
  #atBreak(): boolean {
    if (this.#bytes[this.#at] !== breakByte) return false;
    this.#at++;
    return true;
  }

  #array(schema: Typed | undefined): unknown {
    const { info, value } = this.#head;
    if (schema && schema.kind !== "list") {
      const why = schema.kind === "object" ? "cannot decode CBOR array to struct without toarray option" : undefined;
      throw new TypeMismatch("array", textType(schema), why);
    }
    const items: unknown[] = [];
    let first: number | undefined;
    for (let left = value; info === indefinite ? !this.#atBreak() : left > 0; left--) {
      this.unknown = undefined;
      items.push(this.read(schema?.items) ?? null);
      first ??= this.unknown;
    }
    this.unknown = first;
    return items;
  }

  #map(schema: Typed | undefined): unknown {
    if (schema?.kind === "object") return this.#struct(schema.type);
    if (schema && schema.kind !== "map") throw new TypeMismatch("map", textType(schema));
    const { info, value } = this.#head;
    const object: Json = {};
    let first: number | undefined;
    for (let index = 0; info === indefinite ? !this.#atBreak() : index < value; index++) {
      const key = this.read(text) as string; // or it throws
      if (Object.hasOwn(object, key)) throw duplicate(key, index);
      this.unknown = undefined;
      setOwn(object, key, this.read(schema?.values) ?? null);
      first ??= this.unknown;
    }
    this.unknown = first;
    return object;
  }

  #struct(type: TypeSchema): Json {
    const { info, value } = this.#head;
    const object: Json = {};
    const strangers = new Set<unknown>();
    let first: number | undefined;
    let own: number | undefined;
    for (let index = 0; info === indefinite ? !this.#atBreak() : index < value; index++) {
      const key = this.#fieldName();
      const field = typeof key === "string" ? type.fields.get(key) : undefined;
      if (!field) {
        own ??= index;
        if (strangers.has(key)) throw duplicate(key, index);
        strangers.add(key);
        this.#skip();
        continue;
      }
      if (Object.hasOwn(object, field.name)) throw duplicate(field.name, index);
      this.unknown = undefined;
      try {
        setOwn(object, field.name, this.read(field.value) ?? null);
      } catch (error) {
        throw error instanceof TypeMismatch ? error.in(type, field.name) : error;
      }
      first ??= this.unknown;
    }
    // The outer one is told, where there are several.
    this.unknown = own ?? first;
    return object;
  }

  #fieldName(): unknown {
    const at = this.#at;
    const { type } = this.#next();
    if (type !== major.bytes && type !== major.text && type !== major.positive && type !== major.negative) {
      const name = typeNames[type as 4 | 5 | 6 | 7]; // the others
      throw new TypeMismatch(
        name,
        "string",
        `map key is of type ${name} and cannot be used to match struct field name`,
      );
    }
    this.#at = at;
    return this.read(undefined);
  }

  #skip(): void {
    const { type, info, value } = this.#next();
    if (type === major.tag) this.#skip();
    if (type === major.bytes || type === major.text) {
      if (info === indefinite) while (!this.#atBreak()) this.#skip();
      else this.#at += value;
    }
    if (type !== major.array && type !== major.map) return;
    const count = type === major.map ? value * 2 : value;
    for (let left = count; info === indefinite ? !this.#atBreak() : left > 0; left--) this.#skip();
  }

  #tagged(schema: ValueSchema | undefined): unknown {
    const tag = this.#head.value;
    const form = laterForms.get(tag);
    if (form) {
      const outer = this.#later;
      this.#later = form;
      const value = this.read(schema);
      this.#later = outer;
      return value;
    }
    if ((tag === 0 || tag === 1) && (schema === undefined || schema.kind === "any")) return this.#time(tag);
    return this.read(schema);
  }

  /** A tagged time, as the text that JSON has for it. */
  #time(tag: 0 | 1): string {
    const value = this.read(undefined);
    if (tag === 0) {
      const match = rfc3339.exec(String(value));
      if (!match) throw new CborError(`cbor: cannot set ${value} for time.Time: not RFC 3339`);
      return String(value);
    }
    const seconds = value instanceof Decimal ? value.value : Number(value);
    const date = new Date(seconds * 1000);
    if (Number.isNaN(date.getTime())) throw new CborError(`cbor: cannot set ${seconds} for time.Time`);
    return date.toISOString().replace(/\.?0*Z$/, "Z");
  }

  #primitive(schema: Typed | undefined): unknown {
    const { info, value } = this.#head;
    if (info >= 25 && info <= 27) {
      const float = readFloat(this.#bytes, this.#at, info);
      if (schema === undefined) return Number.isInteger(float) ? new Decimal(String(float), float) : float;
      if (schema.kind === "number") return float;
      throw new TypeMismatch("primitives", textType(schema));
    }
    switch (value) {
      case 20:
      case 21:
        if (schema && schema.kind !== "boolean") throw new TypeMismatch("primitives", textType(schema));
        return value === 21;
      case 22:
        return undefined;
      default:
        throw notAccepted("primitives", `simple value ${value} is not recognized`);
    }
  }
}

const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/** What types with a decoder of their own ask for. */
function textType(schema: ValueSchema): string {
  switch (schema.kind) {
    case "time":
    case "quantity":
      return "string";
    case "int-or-string":
      return "int32";
    default:
      return goType(schema);
  }
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

function utf8(bytes: Buffer): void {
  try {
    strictUtf8.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) throw new CborError("cbor: invalid UTF-8 string");
    throw error;
  }
}

const duplicate = (key: unknown, index: number): CborError =>
  new CborError(
    `cbor: found duplicate map key ${typeof key === "string" ? JSON.stringify(key) : String(key)} at map element index ${index}`,
  );
