/** One request to the node's server. A connection that may change its protocol has a response as well, until someone takes it over. */
import { type IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** As sent, without the query. */
  readonly path: string;
  /** Of the path, decoded; no empty ones. */
  readonly parts: readonly string[];
  readonly query: URLSearchParams;
  /** Aborts when the client goes before the answer is complete. */
  readonly signal: AbortSignal;
  /** What the client wants the connection to become; undefined: an ordinary request. */
  readonly upgrade: PendingUpgrade | undefined;
}

export interface PendingUpgrade {
  /** Still the response's. */
  readonly connection: { readonly socket: Duplex; readonly head: Buffer };
  /** The raw connection; from then on the response is nobody's. */
  takeOver(): { socket: Duplex; head: Buffer };
}

/** Undefined: a path that can't be decoded. */
export function exchangeOf(request: IncomingMessage, response: ServerResponse, upgrade?: PendingUpgrade) {
  const target = request.url ?? "/";
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  const parts = decodeParts(path);
  if (!parts) return undefined;
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const exchange: Exchange = {
    request,
    response,
    path,
    parts,
    query: new URLSearchParams(mark < 0 ? "" : target.slice(mark + 1)),
    signal: gone.signal,
    upgrade,
  };
  return exchange;
}

/** A response on a connection that node has given up because it wants to change its protocol. */
export function responseOn(request: IncomingMessage, socket: Duplex): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as Parameters<ServerResponse["assignSocket"]>[0]); // node hands it out as a stream, it is a socket
  response.once("finish", () => socket.end());
  return response;
}

function decodeParts(path: string): string[] | undefined {
  try {
    return path
      .split("/")
      .filter((part) => part !== "")
      .map(decodeURIComponent);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

export function sendText({ response }: Exchange, status: number, text: string, headers: Record<string, string> = {}) {
  response.writeHead(status, {
    "content-type": "text/plain; charset=utf-8",
    "content-length": Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}

/** As Go's http.Error. */
export const sendPlainError = (exchange: Exchange, status: number, text: string): void =>
  sendText(exchange, status, `${text}\n`, { "x-content-type-options": "nosniff" });

export function sendJson({ response }: Exchange, value: unknown, headers: Record<string, string> = {}): void {
  const text = JSON.stringify(value);
  const length = Buffer.byteLength(text);
  response.writeHead(200, { "content-type": "application/json", "content-length": length, ...headers });
  response.end(text);
}
