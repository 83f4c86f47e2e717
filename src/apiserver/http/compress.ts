/** gzip for large answers, as upstream: fast level, only when the client asks and only beyond 128 kB. Runs in the thread pool. */
import { once } from "node:events";
import { constants, createGzip } from "node:zlib";
import type { ResponseSink } from "./exchange.ts";

/** Below this the processor time isn't worth it. */
export const gzipBytesMin = 128 * 1024 + 1;

export function acceptsGzip(header: string | string[] | undefined): boolean {
  return (
    typeof header === "string" && /(^|[,\s])gzip($|[,;\s])/.test(header) && !/gzip\s*;\s*q=0(\.0*)?($|,)/.test(header)
  );
}

/** Writes all pieces, compressed; the caller has sent the head and ends the answer. */
export async function writeGzip(pieces: Iterable<Buffer>, sink: ResponseSink): Promise<void> {
  const gzip = createGzip({ level: constants.Z_BEST_SPEED });
  gzip.on("data", (chunk: Buffer) => {
    if (sink.write(chunk)) return;
    gzip.pause();
    void sink.drained().then(() => gzip.resume());
  });
  for (const piece of pieces) {
    if (sink.closed) break;
    if (!gzip.write(piece)) await once(gzip, "drain");
  }
  gzip.end();
  await once(gzip, "end");
}
