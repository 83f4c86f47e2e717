/**
 * Protobuf's wire format: tags, varints, lengths.
 *
 * The writer fills its buffer from the end to the front, as gogo does: when a nested message is finished its length is
 * known, so nothing is measured twice and nothing moves. Callers therefore write fields in descending order.
 */
export const varintType = 0;
export const fixed64Type = 1;
export const bytesType = 2;
export const fixed32Type = 5;

const bufferBytesMin = 4 * 1024;
/** A scratch buffer above this is not kept for the next message: one huge object must not stay in memory. */
const bufferBytesKept = 1024 * 1024;

/** Messages within messages: keeps a hostile body from exhausting the stack. The deepest real ones are schemas in schemas. */
const nestingMax = 500;

/** Up to here a loop is faster than a call out of JavaScript. */
const shortText = 24;

const two32 = 2 ** 32;

export class WireWriter {
  #buffer = Buffer.allocUnsafe(bufferBytesMin);
  /** First used byte. */
  #position = bufferBytesMin;

  /** Bytes written so far; the difference of two is a length. */
  get length(): number {
    return this.#buffer.length - this.#position;
  }

  /** A copy of what was written; the writer is empty then. */
  finish(): Buffer {
    const result = Buffer.from(this.#buffer.subarray(this.#position));
    this.reset();
    return result;
  }

  reset(): void {
    if (this.#buffer.length > bufferBytesKept) this.#buffer = Buffer.allocUnsafe(bufferBytesMin);
    this.#position = this.#buffer.length;
  }

  #reserve(bytes: number): void {
    if (this.#position >= bytes) return;
    const used = this.length;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, used + bytes));
    this.#buffer.copy(larger, larger.length - used, this.#position);
    this.#buffer = larger;
    this.#position = larger.length - used;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[--this.#position] = value;
  }

  tag(number: number, wireType: number): void {
    this.unsigned(((number << 3) | wireType) >>> 0);
  }

  /** A varint of 0 to 2^32 - 1. */
  unsigned(value: number): void {
    this.#reserve(5);
    const size = value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5;
    this.#position -= size;
    let position = this.#position;
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[position] = rest;
  }

  /** Any integer as a 64-bit two's complement varint; a fraction is cut off. */
  integer(value: number): void {
    if (value >= 0 && value < two32) this.unsigned(Math.trunc(value));
    else this.#large(BigInt.asUintN(64, BigInt(Math.trunc(value))));
  }

  #large(value: bigint): void {
    this.#reserve(10);
    const bytes: number[] = [];
    for (let rest = value; ; rest >>= 7n) {
      if (rest < 0x80n) {
        bytes.push(Number(rest));
        break;
      }
      bytes.push(Number(rest & 0x7fn) | 0x80);
    }
    this.#position -= bytes.length;
    this.#buffer.set(bytes, this.#position);
  }

  double(value: number): void {
    this.#reserve(8);
    this.#position -= 8;
    this.#buffer.writeDoubleLE(value, this.#position);
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#position -= value.length;
    this.#buffer.set(value, this.#position);
  }

  text(value: string): void {
    if (value.length <= shortText && this.#shortText(value)) return;
    const bytes = Buffer.byteLength(value);
    this.#reserve(bytes);
    this.#position -= bytes;
    this.#buffer.write(value, this.#position, bytes === value.length ? "latin1" : "utf8");
  }

  /** False, with nothing written, when the text isn't plain ASCII. */
  #shortText(value: string): boolean {
    this.#reserve(value.length);
    const start = this.#position - value.length;
    for (let index = 0; index < value.length; index++) {
      const code = value.charCodeAt(index);
      if (code > 0x7f) return false;
      this.#buffer[start + index] = code;
    }
    this.#position = start;
    return true;
  }
}

/** Thrown for bytes that are no message of the expected type. */
export class ProtobufError extends Error {
  override name = "ProtobufError";
}

export class WireReader {
  readonly #buffer: Buffer;
  #position: number;
  #end: number;
  #nesting = 0;
  /** Upper half of the last varint. */
  #high = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#position = 0;
    this.#end = bytes.length;
  }

  get atEnd(): boolean {
    return this.#position >= this.#end;
  }

  /** Lower 32 bits of a varint. */
  varint(): number {
    const buffer = this.#buffer;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.#position >= this.#end) throw new ProtobufError("unexpected end within a varint");
      const byte = buffer[this.#position++] ?? 0;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.#high = high >>> 0;
        return low >>> 0;
      }
    }
    throw new ProtobufError("varint of more than 10 bytes");
  }

  /** Signed 64 bits; beyond 2^53 rounded to the next number. */
  signed(): number {
    const low = this.varint();
    return (this.#high | 0) * two32 + low;
  }

  unsigned64(): number {
    const low = this.varint();
    return this.#high * two32 + low;
  }

  double(): number {
    const start = this.#advance(8);
    return this.#buffer.readDoubleLE(start);
  }

  bytes(): Buffer {
    const length = this.varint();
    const start = this.#advance(length);
    return this.#buffer.subarray(start, start + length);
  }

  text(): string {
    const length = this.varint();
    const start = this.#advance(length);
    return (
      (length <= shortText ? this.#shortText(start, length) : undefined) ??
      this.#buffer.toString("utf8", start, start + length)
    );
  }

  #shortText(start: number, length: number): string | undefined {
    let text = "";
    for (let position = start; position < start + length; position++) {
      const code = this.#buffer[position] ?? 0;
      if (code > 0x7f) return undefined;
      text += String.fromCharCode(code);
    }
    return text;
  }

  /** Starts a nested message: reading ends with it. Give the answer to `leave`. */
  enter(): number {
    if (++this.#nesting > nestingMax) throw new ProtobufError(`messages are nested more than ${nestingMax} deep`);
    const length = this.varint();
    const start = this.#advance(length);
    const outer = this.#end;
    this.#position = start;
    this.#end = start + length;
    return outer;
  }

  leave(outer: number): void {
    this.#nesting--;
    this.#position = this.#end;
    this.#end = outer;
  }

  skip(wireType: number): void {
    if (wireType === varintType) this.varint();
    else if (wireType === fixed64Type) this.#advance(8);
    else if (wireType === bytesType) this.#advance(this.varint());
    else if (wireType === fixed32Type) this.#advance(4);
    else throw new ProtobufError(`wire type ${wireType} is unknown`);
  }

  #advance(bytes: number): number {
    const start = this.#position;
    if (start + bytes > this.#end) throw new ProtobufError(`${bytes} bytes expected, ${this.#end - start} left`);
    this.#position = start + bytes;
    return start;
  }
}
