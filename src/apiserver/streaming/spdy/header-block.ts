/**
 * SPDY header blocks. All blocks of a connection are one zlib stream that starts from a dictionary. Ours is written in "stored"
 * blocks: valid zlib that compresses nothing. Five short headers a connection are not worth a deflate state of 256 kB and its
 * asynchronous API, and a stream that never refers back needs no dictionary, only its checksum.
 */
import { assert } from "#base";

/** zlib: deflate with a 32 kB window, the slowest level named, a preset dictionary; then Adler-32 of SPDY/3's dictionary. */
const streamHead = Buffer.from("78bbe3c6a7c2", "hex");

/** An empty stored block: Go's reader hands out what it has only when it sees one, and breaks when the bytes end before. */
const flush = Buffer.from("000000ffff", "hex");

/** Of a stored block; also far more than any stream's headers. */
const blockBytesMax = 0xffff;

/** Names are sent in lower case, as SPDY demands. `first`: it starts the connection's stream. */
export function storedHeaderBlock(headers: Readonly<Record<string, string>>, { first }: { first: boolean }): Buffer {
  const block = nameValueBlock(headers);
  assert(block.length <= blockBytesMax, `a SPDY header block of ${block.length} bytes`);
  const head = Buffer.allocUnsafe(5);
  // Not the last block, stored.
  head[0] = 0;
  head.writeUInt16LE(block.length, 1);
  head.writeUInt16LE(block.length ^ 0xffff, 3);
  return Buffer.concat(first ? [streamHead, head, block, flush] : [head, block, flush]);
}

function nameValueBlock(headers: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(headers);
  const parts: Buffer[] = [number32(entries.length)];
  for (const [name, value] of entries) {
    for (const text of [Buffer.from(name.toLowerCase()), Buffer.from(value)]) parts.push(number32(text.length), text);
  }
  return Buffer.concat(parts);
}

function number32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
