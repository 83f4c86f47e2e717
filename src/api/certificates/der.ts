/** Reads and writes DER, as far as certificates and requests for them need it: one element after the other, nothing is copied when reading. */

export class DerError extends Error {
  override name = "DerError";
}

export interface DerElement {
  /** Class, form and number in one byte, as encoded; high numbers don't occur. */
  readonly tag: number;
  readonly content: Buffer;
  /** With tag and length. */
  readonly encoded: Buffer;
}

export const derTag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  sequence: 0x30,
  set: 0x31,
};

/** Enough for four gigabytes; what is longer can't be here. */
const lengthBytesMax = 4;

/** The elements that fill `bytes`. Throws DerError. */
export function readDer(bytes: Buffer): DerElement[] {
  const elements: DerElement[] = [];
  let start = 0;
  while (start < bytes.length) {
    const element = readElement(bytes, start);
    elements.push(element);
    start += element.encoded.length;
  }
  return elements;
}

function readElement(bytes: Buffer, start: number): DerElement {
  const [tag, first] = bytes.subarray(start, start + 2);
  if (tag === undefined || first === undefined) throw new DerError("data truncated");
  // Up to 127 the byte is the length, else how many bytes the length has.
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (lengthBytes > lengthBytesMax || first === 0x80) throw new DerError("length too large");
  const from = start + 2 + lengthBytes;
  if (from > bytes.length) throw new DerError("data truncated");
  const end = from + (lengthBytes === 0 ? first : bytes.readUIntBE(start + 2, lengthBytes));
  if (end > bytes.length) throw new DerError("data truncated");
  return { tag, content: bytes.subarray(from, end), encoded: bytes.subarray(start, end) };
}

/** The elements inside of `element`, which must have this tag. */
export function readInside(element: DerElement | undefined, tag: number): DerElement[] {
  return readDer(contentOf(element, tag));
}

export function contentOf(element: DerElement | undefined, tag: number): Buffer {
  if (!element) throw new DerError("sequence truncated");
  if (element.tag !== tag) throw new DerError(`tags don't match (${tag} vs ${element.tag})`);
  return element.content;
}

/** `1.2.840.113549`. */
export function readOid(element: DerElement | undefined): string {
  const parts: number[] = [];
  let value = 0;
  for (const byte of contentOf(element, derTag.oid)) {
    value = value * 128 + (byte & 0x7f);
    if (byte & 0x80) continue;
    if (parts.length === 0) {
      const top = Math.min(2, Math.floor(value / 40));
      parts.push(top, value - 40 * top);
    } else parts.push(value);
    value = 0;
  }
  return parts.join(".");
}

/** One element with these contents, one after the other. */
export function writeDer(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const length = contents.reduce((sum, { length }) => sum + length, 0);
  const lengthBytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) lengthBytes.unshift(rest % 256);
  const head = length < 0x80 ? [tag, length] : [tag, 0x80 | lengthBytes.length, ...lengthBytes];
  return Buffer.concat([Buffer.from(head), ...contents]);
}
