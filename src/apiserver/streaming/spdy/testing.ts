/** The server's side of SPDY, for tests: reads whole frames and the headers of streams with node's own zlib. */
import { inflateRawSync, constants } from "node:zlib";

export interface ReadFrame {
  /** 0: data. */
  readonly type: number;
  readonly streamId: number;
  readonly fin: boolean;
  readonly body: Buffer;
}

/** Cuts complete frames off the front. */
export function takeFrames(bytes: Buffer): { frames: ReadFrame[]; rest: Buffer } {
  const frames: ReadFrame[] = [];
  let rest = bytes;
  while (rest.length >= 8) {
    const length = rest.readUIntBE(5, 3);
    if (rest.length < 8 + length) break;
    const control = (rest[0]! & 0x80) !== 0; // 8 bytes are there
    const body = rest.subarray(8, 8 + length);
    const streamId = control ? (length >= 4 ? body.readUInt32BE(0) : 0) : rest.readUInt32BE(0);
    frames.push({ type: control ? rest.readUInt16BE(2) : 0, streamId, fin: (rest[4]! & 1) !== 0, body });
    rest = rest.subarray(8 + length);
  }
  return { frames, rest };
}

/** The headers of a SYN_STREAM; `first`: of the connection, which begins with the head of the zlib stream. */
export function headersOf({ body }: ReadFrame, { first }: { first: boolean }): Record<string, string> {
  const packed = body.subarray(first ? 16 : 10);
  const block = inflateRawSync(packed, { finishFlush: constants.Z_SYNC_FLUSH });
  const headers: Record<string, string> = {};
  let at = 4;
  const text = (): string => {
    const length = block.readUInt32BE(at);
    at += 4 + length;
    return block.toString("utf8", at - length, at);
  };
  for (let left = block.readUInt32BE(0); left > 0; left--) headers[text()] = text();
  return headers;
}

export function controlFrame(type: number, body: Buffer, { fin = false } = {}): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt16BE(0x8003, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt32BE(body.length, 4);
  head[4] = fin ? 1 : 0;
  return Buffer.concat([head, body]);
}

export function dataFrame(streamId: number, payload: Buffer | string, { fin = false } = {}): Buffer {
  const body = Buffer.from(payload);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(streamId, 0);
  head.writeUInt32BE(body.length, 4);
  head[4] = fin ? 1 : 0;
  return Buffer.concat([head, body]);
}

export const numbers = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [position, value] of values.entries()) bytes.writeUInt32BE(value, position * 4);
  return bytes;
};
