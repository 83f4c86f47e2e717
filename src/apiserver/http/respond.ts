/** An answer as bytes on the wire: status, headers, format, compression, slices. */
import { setImmediate } from "node:timers/promises";
import { loadYaml, printAside, printAsideBytesMin, type Status, StatusError } from "#machinery";
import type { Answer } from "../answer.ts";
import { type ListBytes, pieceBytes, type Presenter } from "../present/presenter.ts";
import type { BinaryOutput } from "../present/binary.ts";
import { HttpWatchConsumer } from "../present/watch-consumer.ts";
import { upgradeOf } from "../streaming/upgrade-request.ts";
import { acceptsGzip, gzipBytesMin, writeGzip } from "./compress.ts";
import type { ResponseHeaders, ResponseSink, ServerRequest } from "./exchange.ts";
import { cborType, type Format, protobufType } from "./media-type.ts";

/** Bytes written between two turns of the event loop: a few milliseconds of encryption. */
const turnBytesMax = 1024 * 1024;
/** Larger answers are not indented, whoever asks. */
const prettyBytesMax = 2 * 1024 * 1024;

export interface ResponseContext {
  readonly request: ServerRequest;
  readonly sink: ResponseSink;
  /** On every answer of this request. */
  readonly headers: ResponseHeaders;
  readonly format: Format;
  /** When the format isn't text. */
  readonly binary: BinaryOutput | undefined;
  readonly pretty: boolean;
}

const contentTypes: Readonly<Record<Format, string>> = {
  json: "application/json",
  yaml: "application/yaml",
  protobuf: protobufType,
  cbor: cborType,
};

export async function respond(context: ResponseContext, answer: Answer, presenter: () => Presenter): Promise<void> {
  const { request, sink } = context;
  switch (answer.type) {
    case "object":
      return sendBody(context, answer.status, presenter().one(answer.object));
    case "value":
      return sendValue(context, answer.status, answer.value);
    case "list":
      return sendList(context, await presenter().list(answer.objects, answer.metadata));
    case "raw":
      return sendRaw(context, answer);
    case "stream":
      return answer.run(request, sink, context.headers);
    case "watch":
      return sendWatch(context, answer, presenter);
  }
}

type WatchAnswer = Extract<Answer, { type: "watch" }>;

async function sendWatch(context: ResponseContext, { open }: WatchAnswer, presenter: () => Presenter): Promise<void> {
  const { request, sink, headers, binary } = context;
  const type = binary?.streamType ?? contentTypes.json;
  const consumer = binary?.watchConsumer(presenter(), sink) ?? new HttpWatchConsumer(sink, presenter());
  const upgrade = upgradeOf(request);
  if (upgrade?.wanted === "websocket") {
    const { watchOverWebSocket } = await import("../streaming/watch-websocket.ts");
    const prefixBytes = binary?.eventPrefixBytes ?? 0;
    return watchOverWebSocket(upgrade, { consumer, open, binary: binary !== undefined, prefixBytes });
  }
  sink.head(200, { ...headers, "content-type": type });
  const stream = open(consumer);
  request.signal.addEventListener("abort", () => stream.cancel(), { once: true });
  return stream.done;
}

function sendValue(context: ResponseContext, status: number, value: object): Promise<void> {
  const bytes = context.binary?.encode(value);
  if (bytes) return sendBody(context, status, bytes);
  const format = context.binary ? "json" : context.format;
  return sendBody({ ...context, format }, status, Buffer.from(JSON.stringify(value)));
}

export async function respondError(context: ResponseContext, status: Status): Promise<void> {
  const code = status.code ?? 500;
  const retry = status.details?.retryAfterSeconds;
  const headers = retry ? { ...context.headers, "retry-after": String(retry) } : context.headers;
  await sendValue({ ...context, headers }, code, status);
}

async function sendBody(context: ResponseContext, status: number, json: Buffer): Promise<void> {
  const { request, sink, headers, format } = context;
  const printed = format === "yaml" || (context.pretty && format === "json");
  const body = printed ? await reprint(context, json) : json;
  const type = { ...headers, "content-type": contentTypes[format] };
  if (body.length >= gzipBytesMin && acceptsGzip(request.headers["accept-encoding"])) {
    sink.head(status, { ...type, ...gzipHeaders });
    await writeGzip([body], sink);
    return sink.end();
  }
  sink.respond(status, { ...type, "content-length": String(body.length) }, body);
}

const gzipHeaders = { "content-encoding": "gzip", vary: "Accept-Encoding" };

async function sendRaw({ request, sink, headers }: ResponseContext, answer: Extract<Answer, { type: "raw" }>) {
  const { status, body, compressible = false } = answer;
  const all = { ...headers, ...answer.headers };
  if (!compressible) return sink.respond(status, all, body);
  const vary = ["Accept-Encoding", answer.headers.vary].filter((each) => each !== undefined).join(", ");
  if (!acceptsGzip(request.headers["accept-encoding"]) || body.length === 0)
    return sink.respond(status, { ...all, vary }, body);
  sink.head(status, { ...all, "content-encoding": "gzip", vary });
  await writeGzip([Buffer.from(body)], sink);
  sink.end();
}

async function sendList(context: ResponseContext, list: ListBytes): Promise<void> {
  if (list.length !== undefined && list.length <= pieceBytes) {
    return sendBody(context, 200, Buffer.concat([...list.pieces], list.length));
  }
  const { request, sink, headers, format } = context;
  const iterator = list.pieces[Symbol.iterator]();
  const first = iterator.next();
  const second = first.done ? first : iterator.next();
  // One piece: a small list, answered like an object.
  if (second.done) return sendBody(context, 200, first.done ? Buffer.alloc(0) : first.value);
  const pieces = chain([first.value as Buffer, second.value], iterator); // neither is done
  if (format === "yaml" || (context.pretty && (list.length ?? Number.POSITIVE_INFINITY) <= prettyBytesMax)) {
    return sendBody(context, 200, Buffer.concat([...pieces]));
  }
  const type = { ...headers, "content-type": contentTypes[format] };
  if (acceptsGzip(request.headers["accept-encoding"])) {
    sink.head(200, { ...type, ...gzipHeaders });
    await writeGzip(pieces, sink);
    return sink.end();
  }
  sink.head(200, list.length === undefined ? type : { ...type, "content-length": String(list.length) });
  await writePieces(sink, pieces);
  sink.end();
}

function* chain(first: readonly Buffer[], rest: Iterator<Buffer>): Iterable<Buffer> {
  yield* first;
  for (let next = rest.next(); !next.done; next = rest.next()) yield next.value;
}

async function writePieces(sink: ResponseSink, pieces: Iterable<Buffer>): Promise<void> {
  let sinceTurn = 0;
  for (const piece of pieces) {
    if (sink.closed) return;
    sinceTurn += piece.length;
    if (!sink.write(piece)) {
      await sink.drained();
      sinceTurn = 0;
    } else if (sinceTurn >= turnBytesMax) {
      await setImmediate();
      sinceTurn = 0;
    }
  }
}

async function reprint({ format }: ResponseContext, json: Buffer): Promise<Buffer> {
  if (json.length >= printAsideBytesMin)
    return Buffer.from(await printAside(json, format === "json" ? "indented" : "yaml"));
  if (format === "yaml") return Buffer.from((await loadYaml()).printYaml(json));
  return Buffer.from(JSON.stringify(JSON.parse(json.toString("utf8")), null, 2));
}

/** The status that any failure is answered with; undefined: not one of ours, a fault of the server. */
export function statusOf(error: unknown): Status | undefined {
  return error instanceof StatusError ? error.status : undefined;
}
