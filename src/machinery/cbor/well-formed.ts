/**
 * Whether bytes are one CBOR item (RFC 8949), before anything is made of them: lengths that lie, broken nesting, what the protocol
 * forbids (NaN, infinity, big numbers). Refusals are those of the library that upstream uses, in its order.
 */
export class CborError extends Error {
  override name = "CborError";
}

export const typeNames = [
  "positive integer",
  "negative integer",
  "byte string",
  "UTF-8 text string",
  "array",
  "map",
  "tag",
  "primitives",
] as const;

export const major = { positive: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6, primitive: 7 } as const;

/** Items within each other. Protects our recursion; upstream allows 10,000 and says so, no client needs 100. */
const depthMax = 1000;
const depthMaxOfUpstream = 10_000;
/** Upstream's; a body of 3 MiB can't have as many. */
const pairsMax = 2_097_152;
const itemsMax = 2_147_483_647;

export const breakByte = 0xff;
export const indefinite = 31;

export class Head {
  type = 0;
  info = 0;
  /** Exact up to 2^53; `big` beyond. */
  value = 0;
  big: bigint | undefined;
}

/** Reads the start of an item into `head`; answers where it ends. Checks nothing that `checkWellFormed` has. */
export function readHead(bytes: Buffer, at: number, head: Head): number {
  const first = bytes[at] ?? 0;
  head.type = first >> 5;
  head.info = first & 0x1f;
  head.big = undefined;
  head.value = head.info;
  switch (head.info) {
    case 24:
      head.value = bytes.readUInt8(at + 1);
      return at + 2;
    case 25:
      head.value = bytes.readUInt16BE(at + 1);
      return at + 3;
    case 26:
      head.value = bytes.readUInt32BE(at + 1);
      return at + 5;
    case 27:
      head.value = bytes.readUInt32BE(at + 1) * 2 ** 32 + bytes.readUInt32BE(at + 5);
      if (head.value > Number.MAX_SAFE_INTEGER) head.big = bytes.readBigUInt64BE(at + 1);
      return at + 9;
    default:
      return at + 1;
  }
}

/** Throws CborError unless all of it is one item. */
export function checkWellFormed(bytes: Buffer): void {
  if (bytes.length === 0) throw new CborError("EOF");
  const checker = new Checker(bytes);
  const end = checker.item(0, 0);
  if (end !== bytes.length) {
    throw new CborError(`cbor: ${bytes.length - end} bytes of extraneous data starting at index ${end}`);
  }
}

class Checker {
  readonly #bytes: Buffer;
  readonly #head = new Head();

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  item(start: number, depth: number): number {
    let at = this.#readHead(start);
    const { type, info, value } = this.#head;
    switch (type) {
      case major.bytes:
      case major.text:
        if (info === indefinite) return this.#chunks(at, type);
        if (this.#tooLong()) {
          throw new CborError(
            `cbor: ${typeNames[type]} length ${this.#head.big} is too large, causing integer overflow`,
          );
        }
        if (this.#bytes.length - at < value) throw unexpectedEnd();
        return at + value;
      case major.array:
      case major.map:
        return this.#container(at, depth + 1, type);
      case major.tag:
        at = this.#tags(at, depth);
        return this.item(at, depth + 1);
      default:
        return at;
    }
  }

  #tooLong(): boolean {
    const { big } = this.#head;
    return big !== undefined && big >= 2n ** 63n;
  }

  #container(start: number, depth: number, type: 4 | 5): number {
    if (depth > depthMax) throw tooDeep();
    const { info, value, big } = this.#head;
    const isMap = type === major.map;
    let at = start;
    if (info === indefinite) {
      let count = 0;
      for (; this.#byte(at) !== breakByte; count++) at = this.item(at, depth);
      if (isMap && count % 2 === 1) throw new CborError('cbor: unexpected "break" code');
      return at + 1;
    }
    if (this.#tooLong()) {
      throw new CborError(`cbor: ${typeNames[type]} length ${big} is too large, it would cause integer overflow`);
    }
    if (isMap && value > pairsMax) {
      throw new CborError(`cbor: exceeded max number of key-value pairs ${pairsMax} for CBOR map`);
    }
    if (!isMap && value > itemsMax) {
      throw new CborError(`cbor: exceeded max number of elements ${itemsMax} for CBOR array`);
    }
    for (let left = isMap ? value * 2 : value; left > 0; left--) at = this.item(at, depth);
    return at;
  }

  #chunks(start: number, type: 2 | 3): number {
    let at = start;
    for (let byte = this.#byte(at); byte !== breakByte; byte = this.#byte(at)) {
      const name = typeNames[type];
      if (byte >> 5 !== type) {
        throw new CborError(`cbor: wrong element type ${typeNames[byte >> 5]} for indefinite-length ${name}`);
      }
      if ((byte & 0x1f) === indefinite) {
        throw new CborError(`cbor: indefinite-length ${name} chunk is not definite-length`);
      }
      at = this.item(at, 0);
    }
    return at + 1;
  }

  /** Past all tags of an item; each counts as a level. */
  #tags(start: number, depth: number): number {
    let at = start;
    for (let levels = depth; ; ) {
      const next = this.#byte(at);
      checkTagContent(this.#head.value, next);
      if (this.#head.value === 2 || this.#head.value === 3) throw notAccepted("tag", "bignum");
      if (next >> 5 !== major.tag) return at;
      at = this.#readHead(at);
      if (++levels > depthMax) throw tooDeep();
    }
  }

  #byte(at: number): number {
    const byte = this.#bytes[at];
    if (byte === undefined) throw unexpectedEnd();
    return byte;
  }

  #readHead(at: number): number {
    const first = this.#byte(at);
    const type = (first >> 5) as 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7; // three bits
    const info = first & 0x1f;
    const size = info >= 24 && info <= 27 ? 1 << (info - 24) : 0;
    if (at + 1 + size > this.#bytes.length) throw unexpectedEnd();
    const end = readHead(this.#bytes, at, this.#head);
    const invalid = () => new CborError(`cbor: invalid additional information ${info} for type ${typeNames[type]}`);
    if (info > 27 && info < indefinite) throw invalid();
    if (info === indefinite) {
      if (type === major.primitive) throw new CborError('cbor: unexpected "break" code');
      if (type === major.positive || type === major.negative || type === major.tag) throw invalid();
    }
    if (type !== major.primitive) return end;
    if (info === 24 && this.#head.value < 32) {
      throw new CborError(`cbor: invalid simple value ${this.#head.value} for type primitives`);
    }
    if (info >= 25 && info <= 27) {
      const float = readFloat(this.#bytes, end, info);
      if (Number.isNaN(float)) throw notAccepted("primitives", "floating-point NaN");
      if (!Number.isFinite(float)) throw notAccepted("primitives", "floating-point infinity");
    }
    return end;
  }
}

/** The float whose item ends at `end`. */
export function readFloat(bytes: Buffer, end: number, info: number): number {
  if (info === 27) return bytes.readDoubleBE(end - 8);
  return info === 26 ? bytes.readFloatBE(end - 4) : halfFloat(bytes.readUInt16BE(end - 2));
}

function halfFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function checkTagContent(tag: number, content: number): void {
  const type = (content >> 5) as 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7; // three bits
  const refuse = (wanted: string) =>
    new CborError(`cbor: tag number ${tag} must be followed by ${wanted}, got ${typeNames[type]}`);
  if (tag === 0 && type !== major.text) throw refuse("text string");
  if (tag === 1 && type !== major.positive && type !== major.negative && (content < 0xf9 || content > 0xfb)) {
    throw refuse("integer or floating-point number");
  }
  if ((tag === 2 || tag === 3) && type !== major.bytes) {
    throw new CborError(`cbor: tag number 2 or 3 must be followed by byte string, got ${typeNames[type]}`);
  }
}

export const notAccepted = (type: string, what: string): CborError =>
  new CborError(`cbor: data item of cbor type ${type} is not accepted by protocol: ${what}`);
const tooDeep = () => new CborError(`cbor: exceeded max nested level ${depthMaxOfUpstream}`);
const unexpectedEnd = () => new CborError("unexpected EOF");
