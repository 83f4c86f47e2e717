/**
 * Answers that speak for themselves, for callers in this process: what an extension server says is read from its bytes, whole or line by
 * line. The garbage collector and the deletion of namespaces come this way to resources that others serve.
 */
import { Readable } from "node:stream";
import { type ApiRequest, type Status, StatusError, statusError, type WatchEvent } from "#machinery";
import type { StreamRun } from "./answer.ts";
import type { ResponseHeaders, ResponseSink, ServerRequest } from "./http/exchange.ts";
import { readBody } from "./http/body.ts";

/** The whole answer, read as JSON where it is; an error status rejects. */
export async function readLocally(run: StreamRun, request: LocalRequest): Promise<unknown> {
  const pieces: Uint8Array[] = [];
  const sink = new LocalSink((piece) => pieces.push(piece));
  await run(serverRequest(request), sink, request.headers);
  const body = Buffer.concat(pieces).toString("utf8");
  if (sink.aborted) throw statusError.serviceUnavailable(`the answer to ${request.path} was cut off`);
  if (sink.status >= 400) throw failure(sink.status, body);
  return sink.json && body !== "" ? JSON.parse(body) : body;
}

/** One event for each line, until the other side or the signal ends it. */
export async function watchLocally(
  run: StreamRun,
  request: LocalRequest,
  onEvent: (event: WatchEvent) => void,
): Promise<void> {
  let rest = "";
  const decoder = new TextDecoder();
  const sink = new LocalSink((piece) => {
    rest += decoder.decode(piece, { stream: true });
    if (sink.status >= 400) return;
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") onEvent(JSON.parse(line));
  });
  await run(serverRequest(request), sink, request.headers);
  if (sink.status >= 400) throw failure(sink.status, rest);
}

export interface LocalRequest extends ApiRequest {
  /** Encoded. */
  readonly queryText: string;
  readonly userAgent: string;
  readonly signal: AbortSignal;
  /** Of every answer. */
  readonly headers: ResponseHeaders;
}

function serverRequest({ method, path, queryText, userAgent, signal, body, contentType }: LocalRequest): ServerRequest {
  const bytes = body === undefined ? undefined : Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  const stream = Readable.from(bytes ? [bytes] : []);
  return {
    method,
    path,
    query: queryText,
    protocol: "1.1",
    remoteAddress: "127.0.0.1",
    rawHeaders: [],
    headers: {
      accept: "application/json",
      "user-agent": userAgent,
      ...(bytes && { "content-type": contentType ?? "application/json", "content-length": String(bytes.length) }),
    },
    peerCertificate: () => undefined,
    body: (bytesMax) => readBody(stream, bytesMax, bytes && String(bytes.length)),
    bodyStream: () => stream,
    signal,
  };
}

class LocalSink implements ResponseSink {
  readonly #take: (piece: Uint8Array) => void;
  status = 0;
  bytes = 0;
  json = false;
  aborted = false;
  readonly closed = false;

  constructor(take: (piece: Uint8Array) => void) {
    this.#take = take;
  }

  get started(): boolean {
    return this.status !== 0;
  }

  head(status: number, headers: ResponseHeaders): void {
    this.status = status;
    this.json = /\bjson\b/.test(String(headers["content-type"] ?? ""));
  }

  respond(status: number, headers: ResponseHeaders, body: Uint8Array | string): void {
    this.head(status, headers);
    this.#take(typeof body === "string" ? Buffer.from(body) : body);
  }

  write(chunk: Uint8Array): boolean {
    this.#take(chunk);
    return true;
  }

  async drained(): Promise<void> {
    // There is always room.
  }

  end(): void {
    // The caller waits for `run`.
  }

  abort(): void {
    this.aborted = true;
  }
}

function failure(status: number, body: string): StatusError {
  try {
    const said = JSON.parse(body) as Partial<Status>; // looked at first
    if (said?.kind === "Status") return new StatusError(said as Status);
  } catch (error) {
    // Not every refusal is a Status.
    if (!(error instanceof SyntaxError)) throw error;
  }
  return statusError.generic(status, body.trim() || "unknown");
}
