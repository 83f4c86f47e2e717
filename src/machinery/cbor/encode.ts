/**
 * CBOR as upstream writes it: self-described, deterministic (RFC 8949, 4.2.1), strings as byte strings, the shortest floats, bytes
 * under tag 22. The type says which texts are bytes and which numbers are floats; without one all are as JSON has them.
 */
import type { TypeSchema, ValueSchema } from "../schema.ts";
import { major } from "./well-formed.ts";

/** Tag 55799 before an item says that it is CBOR. */
export const selfDescribed: Buffer = Buffer.from([0xd9, 0xd9, 0xf7]);

/** With the tag. */
export function encodeCbor(value: unknown, type?: TypeSchema): Buffer {
  const writer = new CborWriter();
  writer.raw(selfDescribed);
  writer.value(value, type && { kind: "object", type });
  return writer.take();
}

export class CborWriter {
  #buffer: Buffer = Buffer.allocUnsafe(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** All that was written since the last time. */
  take(): Buffer {
    const taken = Buffer.from(this.#buffer.subarray(0, this.#length));
    this.#length = 0;
    return taken;
  }

  raw(bytes: Uint8Array): void {
    this.#need(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  value(value: unknown, schema?: ValueSchema): void {
    if (typeof value === "string") {
      if (schema?.kind === "bytes") this.#base64(value);
      else this.text(value);
    } else if (typeof value === "number") {
      if (Number.isInteger(value) && Math.abs(value) < 2 ** 63 && schema?.kind !== "number") this.#integer(value);
      else this.#float(value);
    } else if (typeof value === "boolean") this.#byte(value ? 0xf5 : 0xf4);
    else if (Array.isArray(value)) this.#array(value, schema?.kind === "list" ? schema.items : undefined);
    else if (typeof value === "object" && value !== null) this.#map(value as Record<string, unknown>, schema);
    else this.#byte(0xf6);
  }

  text(value: string): void {
    const bytes = Buffer.byteLength(value);
    this.head(major.bytes, bytes);
    this.#need(bytes);
    this.#length += this.#buffer.write(value, this.#length, "utf8");
  }

  head(type: number, value: number): void {
    this.#need(9);
    const first = type << 5;
    if (value < 24) this.#length = this.#buffer.writeUInt8(first | value, this.#length);
    else if (value < 2 ** 8) {
      this.#length = this.#buffer.writeUInt8(first | 24, this.#length);
      this.#length = this.#buffer.writeUInt8(value, this.#length);
    } else if (value < 2 ** 16) {
      this.#length = this.#buffer.writeUInt8(first | 25, this.#length);
      this.#length = this.#buffer.writeUInt16BE(value, this.#length);
    } else if (value < 2 ** 32) {
      this.#length = this.#buffer.writeUInt8(first | 26, this.#length);
      this.#length = this.#buffer.writeUInt32BE(value, this.#length);
    } else {
      this.#length = this.#buffer.writeUInt8(first | 27, this.#length);
      this.#length = this.#buffer.writeBigUInt64BE(BigInt(value), this.#length);
    }
  }

  #integer(value: number): void {
    if (value >= 0) this.head(major.positive, value);
    else this.head(major.negative, -1 - value);
  }

  #float(value: number): void {
    this.#need(9);
    const half = toHalf(value);
    if (half !== undefined) {
      this.#length = this.#buffer.writeUInt8(0xf9, this.#length);
      this.#length = this.#buffer.writeUInt16BE(half, this.#length);
    } else if (Math.fround(value) === value) {
      this.#length = this.#buffer.writeUInt8(0xfa, this.#length);
      this.#length = this.#buffer.writeFloatBE(value, this.#length);
    } else {
      this.#length = this.#buffer.writeUInt8(0xfb, this.#length);
      this.#length = this.#buffer.writeDoubleBE(value, this.#length);
    }
  }

  #base64(value: string): void {
    const bytes = Buffer.from(value, "base64");
    this.head(major.tag, 22);
    this.head(major.bytes, bytes.length);
    this.raw(bytes);
  }

  #array(items: readonly unknown[], schema: ValueSchema | undefined): void {
    this.head(major.array, items.length);
    for (const item of items) this.value(item, schema);
  }

  #map(object: Record<string, unknown>, schema: ValueSchema | undefined): void {
    const keys = Object.keys(object)
      .filter((key) => object[key] !== undefined)
      .sort(byEncoding);
    this.head(major.map, keys.length);
    for (const key of keys) {
      this.text(key);
      this.value(object[key], memberSchema(schema, key));
    }
  }

  #byte(value: number): void {
    this.#need(1);
    this.#buffer[this.#length++] = value;
  }

  #need(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

function memberSchema(schema: ValueSchema | undefined, key: string): ValueSchema | undefined {
  if (schema?.kind === "object") return schema.type.fields.get(key)?.value;
  return schema?.kind === "map" ? schema.values : undefined;
}

/** As their encodings sort: the length comes first. */
function byEncoding(a: string, b: string): number {
  const bytes = Buffer.byteLength(a);
  const shorter = bytes - Buffer.byteLength(b);
  if (shorter !== 0) return shorter;
  // UTF-16 sorts otherwise than bytes beyond ASCII.
  if (bytes !== a.length || bytes !== b.length) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The bits of a half float that is exactly this number; undefined: there is none. */
function toHalf(value: number): number | undefined {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size === 0) return sign;
  const exponent = Math.floor(Math.log2(size));
  if (exponent > 15) return undefined;
  if (exponent < -14) {
    const fraction = size * 2 ** 24;
    return Number.isInteger(fraction) && fraction < 1024 ? sign | fraction : undefined;
  }
  const fraction = (size / 2 ** exponent - 1) * 1024;
  return Number.isInteger(fraction) && fraction < 1024 && fraction >= 0
    ? sign | ((exponent + 15) << 10) | fraction
    : undefined;
}
