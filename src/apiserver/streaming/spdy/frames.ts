/**
 * SPDY/3.1 frames, as far as exec and attach need them (draft-mbelshe-httpbis-spdy-00, 3.1). Container runtimes speak it and
 * nothing newer, and the npm packages for it are dead (docs/decisions/0011-spdy.md).
 *
 * Data is handed on in the pieces it arrives in: a frame may be 16 MB, nobody needs it whole.
 */
import { storedHeaderBlock } from "./header-block.ts";

const version = 3;
const headBytes = 8;
/** Of a control frame's body: peers send replies and pings, a few bytes each. Protects memory from a peer that is no SPDY peer. */
export const controlBytesMax = 64 * 1024;

const frameType = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const;

const finFlag = 1;

/** What RST_STREAM says; only what we send or explain. */
export const resetStatus = { protocolError: 1, refusedStream: 3, cancel: 5 } as const;

export class SpdyError extends Error {
  override name = "SpdyError";
}

/** What a client is told, in order. Header blocks of the peer are not read: its replies carry nothing that anyone uses. */
export interface FrameHandler {
  synStream(streamId: number): void;
  synReply(streamId: number, fin: boolean): void;
  headers(streamId: number, fin: boolean): void;
  rstStream(streamId: number, status: number): void;
  data(streamId: number, piece: Buffer): void;
  /** After the last piece of a frame that says so. */
  dataEnd(streamId: number): void;
  ping(id: number): void;
  goAway(lastStreamId: number, status: number): void;
}

export function synStreamFrame(streamId: number, headers: Buffer): Buffer {
  const body = Buffer.allocUnsafe(10);
  body.writeUInt32BE(streamId, 0);
  // Associated to no stream, priority 0, no credential slot.
  body.fill(0, 4);
  return Buffer.concat([controlHead(frameType.synStream, 10 + headers.length), body, headers]);
}

export const rstStreamFrame = (streamId: number, status: number): Buffer =>
  pairFrame(frameType.rstStream, streamId, status);

export const goAwayFrame = (lastStreamId: number, status: number): Buffer =>
  pairFrame(frameType.goAway, lastStreamId, status);

export function pingFrame(id: number): Buffer {
  const frame = Buffer.allocUnsafe(headBytes + 4);
  controlHead(frameType.ping, 4).copy(frame);
  frame.writeUInt32BE(id, headBytes);
  return frame;
}

/** The payload follows on its own, so that nobody copies it. */
export function dataHead(streamId: number, { length, fin }: { length: number; fin: boolean }): Buffer {
  const head = Buffer.allocUnsafe(headBytes);
  head.writeUInt32BE(streamId, 0);
  head.writeUInt32BE(length, 4);
  head[4] = fin ? finFlag : 0;
  return head;
}

/** A length has 24 bits. */
export const dataBytesMax = 2 ** 24 - 1;

function controlHead(type: number, length: number): Buffer {
  const head = Buffer.allocUnsafe(headBytes);
  head.writeUInt16BE(0x8000 | version, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt32BE(length, 4);
  return head;
}

function pairFrame(type: number, first: number, second: number): Buffer {
  const body = Buffer.allocUnsafe(8);
  body.writeUInt32BE(first, 0);
  body.writeUInt32BE(second, 4);
  return Buffer.concat([controlHead(type, 8), body]);
}

/** Cuts a byte stream into frames, wherever its chunks end. Throws SpdyError when the bytes are none. */
export class FrameReader {
  readonly #handler: FrameHandler;
  /** The start of a head or of a control frame's body that came without its rest. */
  #pending: Buffer = Buffer.alloc(0);
  /** Of the data frame that is being read. */
  #dataLeft = 0;
  #dataStream = 0;
  #dataFin = false;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  push(chunk: Buffer): void {
    let rest = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    for (;;) {
      if (this.#dataLeft > 0) {
        rest = this.#takeData(rest);
        if (this.#dataLeft > 0) break;
      }
      if (rest.length < headBytes) break;
      const length = rest.readUIntBE(5, 3);
      const isControl = (rest[0]! & 0x80) !== 0; // a head is there
      if (!isControl) {
        this.#startData(rest, length);
        rest = rest.subarray(headBytes);
        continue;
      }
      if (length > controlBytesMax)
        throw new SpdyError(`a control frame of ${length} bytes, at most ${controlBytesMax}`);
      if (rest.length < headBytes + length) break;
      this.#control(rest.subarray(0, headBytes + length));
      rest = rest.subarray(headBytes + length);
    }
    // A copy: a short rest must not hold a large chunk.
    this.#pending = rest.length === 0 ? rest : Buffer.from(rest);
  }

  #startData(head: Buffer, length: number): void {
    this.#dataStream = head.readUInt32BE(0);
    this.#dataFin = (head[4]! & finFlag) !== 0; // a head is there
    this.#dataLeft = length;
    if (length === 0 && this.#dataFin) this.#handler.dataEnd(this.#dataStream);
  }

  #takeData(from: Buffer): Buffer {
    const piece = from.subarray(0, this.#dataLeft);
    if (piece.length === 0) return from;
    this.#dataLeft -= piece.length;
    this.#handler.data(this.#dataStream, piece);
    if (this.#dataLeft === 0 && this.#dataFin) this.#handler.dataEnd(this.#dataStream);
    return from.subarray(piece.length);
  }

  #control(frame: Buffer): void {
    const spoken = frame.readUInt16BE(0) & 0x7fff;
    if (spoken !== version) throw new SpdyError(`SPDY version ${spoken}, expected ${version}`);
    const type = frame.readUInt16BE(2);
    const fin = (frame[4]! & finFlag) !== 0; // a head is there
    const body = frame.subarray(headBytes);
    const needed = bodyBytesMin[type] ?? 0;
    if (body.length < needed)
      throw new SpdyError(`frame type ${type} has ${body.length} bytes, at least ${needed} expected`);
    const first = needed >= 4 ? body.readUInt32BE(0) : 0;
    const id = first & 0x7fffffff;
    const handler = this.#handler;
    if (type === frameType.synStream) handler.synStream(id);
    else if (type === frameType.synReply) handler.synReply(id, fin);
    else if (type === frameType.headers) handler.headers(id, fin);
    else if (type === frameType.rstStream) handler.rstStream(id, body.readUInt32BE(4));
    else if (type === frameType.ping) handler.ping(first);
    else if (type === frameType.goAway) handler.goAway(id, body.readUInt32BE(4));
    // SETTINGS and WINDOW_UPDATE: see `connection.ts`. Unknown types are to be skipped.
  }
}

const bodyBytesMin: Readonly<Record<number, number>> = {
  [frameType.synStream]: 10,
  [frameType.synReply]: 4,
  [frameType.rstStream]: 8,
  [frameType.ping]: 4,
  [frameType.goAway]: 8,
  [frameType.headers]: 4,
};

/** The first header block of a connection starts the compressed stream, the others go on with it. */
export const synStream = (
  streamId: number,
  headers: Readonly<Record<string, string>>,
  { first }: { first: boolean },
): Buffer => synStreamFrame(streamId, storedHeaderBlock(headers, { first }));
