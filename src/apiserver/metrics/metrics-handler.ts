/** /metrics and /metrics/slis: as text or OpenMetrics, compressed if asked, in pieces so that nobody waits for a large one. */
import { setImmediate } from "node:timers/promises";
import { createGzip, constants } from "node:zlib";
import { once } from "node:events";
import { metricContentTypes, metricFormatOf, type MetricRegistry, printMetrics } from "#base";
import type { Answer } from "../answer.ts";
import { acceptsGzip } from "../http/compress.ts";
import type { ResponseSink } from "../http/exchange.ts";
import type { PathHandler } from "../paths.ts";

/** Characters printed between two turns of the event loop: about a millisecond. */
const turnCharsMax = 64 * 1024;

export const metricsHandler =
  (registry: MetricRegistry, slis: MetricRegistry): PathHandler =>
  ({ parts, accept }) => {
    if (parts.length === 1) return metricsAnswer(registry, accept);
    return parts.length === 2 && parts[1] === "slis" ? metricsAnswer(slis, accept) : undefined;
  };

export function metricsAnswer(registry: MetricRegistry, accept: string | undefined): Answer {
  const format = metricFormatOf(accept);
  return {
    type: "stream",
    async run(request, sink, headers) {
      const families = await registry.collect();
      const gzip = acceptsGzip(request.headers["accept-encoding"]);
      const type = { ...headers, "content-type": metricContentTypes[format] };
      sink.head(200, gzip ? { ...type, "content-encoding": "gzip" } : type);
      if (request.method !== "HEAD") await send(printMetrics(families, format), { sink, gzip });
      sink.end();
    },
  };
}

async function send(texts: Iterable<string>, { sink, gzip }: { sink: ResponseSink; gzip: boolean }): Promise<void> {
  const write = async (bytes: Uint8Array) => {
    if (!sink.write(bytes)) await sink.drained();
  };
  const packer = gzip ? createGzip({ level: constants.Z_BEST_SPEED }) : undefined;
  const packed = packer && pass(packer, write);
  for (const piece of inTurns(texts)) {
    if (sink.closed) break;
    const bytes = Buffer.from(piece);
    if (!packer) await write(bytes);
    else if (!packer.write(bytes)) await once(packer, "drain");
    await setImmediate();
  }
  packer?.end();
  await packed;
}

async function pass(from: AsyncIterable<Buffer>, write: (bytes: Uint8Array) => Promise<void>): Promise<void> {
  for await (const chunk of from) await write(chunk);
}

function* inTurns(texts: Iterable<string>): Generator<string> {
  let piece = "";
  for (const text of texts) {
    piece += text;
    if (piece.length < turnCharsMax) continue;
    yield piece;
    piece = "";
  }
  if (piece !== "") yield piece;
}
