/** Requests that change the protocol of their connection (WebSocket): once a backend agreed, two connections become one. */
import { randomBytes } from "node:crypto";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { request as httpsRequest } from "node:https";
import type { Duplex } from "node:stream";
import { printHead, splice } from "#base";
import { connectMsMax } from "./exchange.ts";
import { endToEnd, forwardedHeaders, lowerNames, type Origin, type RawHeaders } from "./headers.ts";
import { safeLookup } from "./lookup.ts";
import type { Pool } from "./pools.ts";
import type { Decision } from "./router.ts";
import type { Endpoint } from "./upstream.ts";

const attemptsMax = 4;

export interface UpgradeHead {
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  /** As the client sent them. */
  readonly headers: RawHeaders;
  readonly origin: Origin;
  /** Headers that say what to become. */
  readonly upgrade: readonly string[];
}

interface Opened {
  readonly response: IncomingMessage;
  /** Absent: the backend answered something else than 101. */
  readonly socket?: Duplex;
  /** What it said already in the new protocol. */
  readonly head?: Buffer;
}

/** Tries endpoints until one can be connected to. Rejects if none answers; aborting ends it. */
async function open(head: UpgradeHead, pool: Pool, { now, signal }: Context): Promise<Opened> {
  const tried = new Set<string>();
  for (;;) {
    const endpoint = pool.balancer.choose(head.origin.address, { tried, now: now() });
    if (!endpoint) throw new Error("there is no endpoint left");
    tried.add(endpoint.id);
    let isConnected = false;
    try {
      return await ask(head, { endpoint, pool, signal, onConnect: () => (isConnected = true) });
    } catch (error) {
      if (isConnected || tried.size >= attemptsMax || signal.aborted) throw error;
      pool.balancer.failed(endpoint.id, now());
    }
  }
}

interface Context {
  readonly now: () => number;
  /** The client is gone. */
  readonly signal: AbortSignal;
}

interface Attempt {
  readonly endpoint: Endpoint;
  readonly pool: Pool;
  readonly signal: AbortSignal;
  readonly onConnect: () => void;
}

function ask(head: UpgradeHead, { endpoint, pool, signal, onConnect }: Attempt): Promise<Opened> {
  const { protocol, isExternal } = pool.upstream;
  const send = protocol === "https" || protocol === "h2" ? httpsRequest : httpRequest;
  const { promise, resolve, reject } = Promise.withResolvers<Opened>();
  const request = send({
    ...{ host: endpoint.host, port: endpoint.port, method: head.method, path: head.target, agent: false, signal },
    rejectUnauthorized: false,
    ...(isExternal && { lookup: safeLookup, servername: endpoint.host }),
    headers: ["Host", head.authority, ...forwardedHeaders(head.headers, head.origin), ...head.upgrade],
    setDefaultHeaders: false,
  });
  const timer = setTimeout(() => request.destroy(new Error("connect timeout")), connectMsMax);
  request.once("socket", (socket) =>
    socket.once("connect", () => {
      clearTimeout(timer);
      onConnect();
    }),
  );
  request.on("error", (error) => {
    clearTimeout(timer);
    reject(error);
  });
  request.once("upgrade", (response, socket: Duplex, first) => {
    socket.on("error", () => undefined); // until it is spliced, and after that
    resolve({ response, socket, head: first });
  });
  request.once("response", (response) => resolve({ response }));
  request.end();
  return promise;
}

export interface Http1Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What the client said already in the new protocol. */
  readonly head: Buffer;
  readonly target: string;
  readonly authority: string;
  readonly origin: Origin;
  readonly decision: Decision;
  readonly now: () => number;
}

/** HTTP/1.1: the connection itself. Never rejects. */
export async function upgradeHttp1(client: Http1Upgrade): Promise<void> {
  const { request, socket, decision, target, authority, origin, now } = client;
  socket.on("error", () => undefined); // its end is what counts
  if (decision.type === "redirect") return answerRaw(socket, 308, "", `Location: ${decision.location}\r\n`);
  if (decision.type === "refuse") return answerRaw(socket, decision.status, decision.text);
  const gone = new AbortController();
  const onClose = () => gone.abort();
  socket.once("close", onClose);
  const upgrade = ["Connection", "Upgrade", "Upgrade", request.headers.upgrade ?? ""];
  try {
    const { method = "GET", rawHeaders: headers } = request;
    const head = { method, target, authority, headers, origin, upgrade };
    const opened = await open(head, decision.pool, { now, signal: gone.signal });
    socket.off("close", onClose);
    if (socket.destroyed) return void (opened.socket ?? opened.response).destroy();
    if (!opened.socket) return answerWith(socket, opened.response);
    socket.write(printHead(opened.response));
    if (opened.head?.length) socket.write(opened.head);
    if (client.head.length > 0) opened.socket.write(client.head);
    await splice(socket, opened.socket);
  } catch (error) {
    if (!socket.destroyed)
      answerRaw(socket, 502, `no endpoint of the Service could answer: ${(error as Error).message}`);
  }
}

const reasons: Readonly<Record<number, string>> = {
  308: "Permanent Redirect",
  400: "Bad Request",
  404: "Not Found",
  502: "Bad Gateway",
  503: "Service Unavailable",
};

function answerRaw(socket: Duplex, status: number, text: string, more = ""): void {
  const body = text === "" ? "" : `${text}\n`;
  const headers = `Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${more}`;
  socket.end(`HTTP/1.1 ${status} ${reasons[status] ?? ""}\r\n${headers}Connection: close\r\n\r\n${body}`);
}

/** The backend wants no other protocol: its answer goes back, up to the end of the connection. */
function answerWith(socket: Duplex, response: IncomingMessage): void {
  const headers = endToEnd(response.rawHeaders);
  const rawHeaders = [...headers, "Connection", "close"];
  socket.write(printHead(Object.assign(Object.create(response) as IncomingMessage, { rawHeaders })));
  response.on("error", () => socket.destroy());
  response.pipe(socket);
}

export interface Http2Upgrade {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  readonly raw: RawHeaders;
  readonly origin: Origin;
  readonly decision: Decision;
  readonly now: () => number;
}

/** HTTP/2 (RFC 8441): one stream of the connection, which the backend sees as a connection of HTTP/1.1. Never rejects. */
export async function upgradeHttp2({ stream, headers, raw, origin, decision, now }: Http2Upgrade): Promise<void> {
  const refuse = (status: number, ...more: string[]) =>
    !stream.destroyed && stream.respond([":status", String(status), ...more], { endStream: true });
  if (decision.type === "redirect") return void refuse(308, "location", decision.location);
  if (decision.type === "refuse") return void refuse(decision.status);
  const gone = new AbortController();
  stream.once("close", () => gone.abort());
  const key = randomBytes(16).toString("base64");
  const protocol = String(headers[":protocol"]);
  try {
    const { response, socket, head } = await open(
      {
        ...{
          method: "GET",
          target: headers[":path"] ?? "",
          authority: headers[":authority"] ?? "",
          headers: raw,
          origin,
        },
        upgrade: ["Connection", "Upgrade", "Upgrade", protocol, "Sec-WebSocket-Key", key],
      },
      decision.pool,
      { now, signal: gone.signal },
    );
    if (stream.destroyed) return void (socket ?? response).destroy();
    const own = endToEnd(response.rawHeaders, (name) => name === "sec-websocket-accept" || name === "content-length");
    if (!socket) {
      response.resume();
      return void refuse(response.statusCode ?? constants.HTTP_STATUS_BAD_GATEWAY, ...lowerNames(own));
    }
    stream.respond([":status", "200", ...lowerNames(own)]);
    if (head?.length) stream.write(head);
    await splice(stream, socket);
  } catch {
    refuse(constants.HTTP_STATUS_BAD_GATEWAY);
  }
}
