/** Collects a request body without ever holding more than the limit. */
import type { Readable } from "node:stream";
import { type StatusError, statusError } from "#machinery";

export function tooLargeError(bytesMax: number): StatusError {
  return statusError.tooLarge(`Request entity too large: limit is ${bytesMax}`);
}

export function readBody(stream: Readable, bytesMax: number, declaredLength: string | undefined): Promise<Buffer> {
  if (declaredLength !== undefined && Number(declaredLength) > bytesMax) return Promise.reject(tooLargeError(bytesMax));
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const done = (error?: Error) => {
      stream.off("data", onData).off("end", onEnd).off("error", done).off("close", onClose).off("aborted", onClose);
      if (error) reject(error);
      else resolve(chunks.length === 1 ? chunks[0]! /* there is one */ : Buffer.concat(chunks, length));
    };
    const onData = (chunk: Buffer) => {
      length += chunk.length;
      if (length > bytesMax) done(tooLargeError(bytesMax));
      else chunks.push(chunk);
    };
    const onEnd = () => done();
    const onClose = () => done(statusError.badRequest(`unexpected EOF: the body ended after ${length} bytes`));
    stream.on("data", onData).on("end", onEnd).on("error", done).on("close", onClose).on("aborted", onClose);
  });
}
