/**
 * The TLS port: HTTP/2 by ALPN for client-go and kubectl, HTTP/1.1 for everything else, and upgrades (SPDY, WebSocket) for exec and friends.
 * One handler sees both protocols as the same exchange.
 */
import {
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { SecureContext, TLSSocket } from "node:tls";
import type { Logger } from "#base";
import { statusError } from "#machinery";
import type { Handler } from "./exchange.ts";
import { Http1Request, Http1Sink } from "./http1.ts";
import { Http2Request, Http2Sink } from "./http2.ts";

/** Slow clients: headers must arrive in this time, and the whole request in the next. */
const headersTimeoutMs = 32_000;
const requestTimeoutMs = 90_000;
/** As upstream's idle timeout. */
const keepAliveTimeoutMs = 90_000;
/** As upstream: one connection can't take the server for itself. */
const streamsPerConnectionMax = 250;
/** Of all headers of a request, its path and query among them. A quarter of upstream's: what is read of them holds up everyone here. */
const headerBytesMax = 256 * 1024;
/** Headers of an HTTP/2 request: a flood of small ones costs more than their bytes. */
const headerPairsMax = 1000;
/** Of one HTTP/2 connection, for what its streams wait to send: all of them may have a piece or two on the way. Above it streams break. */
const sessionMegabytesMax = 64;
/** Upload window of one HTTP/2 stream: a large object in one round trip. */
const streamWindowBytes = 512 * 1024;

export interface ListenerOptions {
  readonly tls: TlsOptions;
  readonly handler: Handler;
  /** HTTP/1.1 upgrades; without it they are refused. */
  readonly upgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  readonly log: Logger;
  readonly onHandshakeError?: () => void;
}

export interface TlsOptions {
  readonly key: string | Buffer;
  readonly cert: string | Buffer;
  /** Authorities of client certificates. */
  readonly clientCa?: string | Buffer | readonly (string | Buffer)[];
  /** Other certificates by server name. */
  readonly contextOf?: (serverName: string) => SecureContext | undefined;
}

export interface Listener {
  listen(address: { host?: string; port: number }): Promise<AddressInfo>;
  /** A connection that somebody else accepted. */
  accept(socket: Socket): void;
  /** New certificates for connections from now on. */
  setTls(tls: TlsOptions): void;
  /** Open connections, for metrics and tests. */
  connections(): number;
  /** Stops accepting, lets requests in flight finish for `graceMs`, then breaks what is left. */
  close(graceMs?: number): Promise<void>;
}

export function createListener({ tls, handler, upgrade, log, onHandshakeError }: ListenerOptions): Listener {
  const server = createSecureServer({
    allowHTTP1: true,
    ...tlsSettings(tls),
    settings: {
      maxConcurrentStreams: streamsPerConnectionMax,
      initialWindowSize: streamWindowBytes,
      maxHeaderListSize: headerBytesMax,
      enableConnectProtocol: false,
    },
    maxHeaderListPairs: headerPairsMax,
    maxSessionMemory: sessionMegabytesMax,
    ...(tls.contextOf && { SNICallback: sniCallback(tls.contextOf) }),
  });
  // Node adds its compatibility layer for HTTP/2 when a 'request' listener comes; ours is for HTTP/1.1 only.
  server.removeAllListeners("newListener");
  Object.assign(server, {
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    maxHeaderSize: headerBytesMax,
    // Their bytes are bounded; left out would be worse than refused.
    maxHeadersCount: 0,
  });
  const sockets = new Set<TLSSocket>();
  const sessions = new Set<ServerHttp2Session>();

  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _: number, rawHeaders: string[]) => {
    handler(new Http2Request(stream, headers, rawHeaders), new Http2Sink(stream));
  });
  server.on("request", (request, response) => {
    // With allowHTTP1 and without the compatibility layer these are node:http's own.
    const [message, answer] = [request, response] as unknown as [IncomingMessage, ServerResponse];
    handler(new Http1Request(message, answer), new Http1Sink(message, answer));
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", (error) => log.debug("upgraded connection broke", { error }));
    if (upgrade) upgrade(request, socket, head);
    else socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
  });
  server.on("secureConnection", (socket: TLSSocket) => {
    // A small answer must not wait for the acknowledgement of the one before.
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", (error) => log.debug("connection broke", { error }));
  });
  server.on("connect", (_request: IncomingMessage, socket: Duplex) => refuse(socket, methodNotAllowed));
  server.on("session", (session) => {
    sessions.add(session);
    endWhenIdle(session);
    session.setLocalWindowSize(streamWindowBytes * 4);
    session.once("close", () => sessions.delete(session));
    session.on("error", (error) => log.debug("HTTP/2 session broke", { error }));
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => refuseUnreadable(error, socket));
  server.on("tlsClientError", (error) => {
    onHandshakeError?.();
    log.debug("TLS handshake failed", { error });
  });
  server.on("sessionError", (error) => log.debug("HTTP/2 session broke", { error }));

  let closing: Promise<void> | undefined;
  return {
    listen: ({ host, port }) => listen(server, host, port),
    accept: (socket) => void server.emit("connection", socket),
    setTls: (next) => server.setSecureContext(tlsSettings(next)),
    connections: () => sockets.size,
    close: (graceMs = 0) => {
      closing ??= close(server, { sockets, sessions, graceMs });
      return closing;
    },
  };
}

/** A connection that nobody uses is closed, as upstream's are; watches that wait for events use theirs. */
function endWhenIdle(session: ServerHttp2Session): void {
  let streams = 0;
  session.on("stream", (stream) => {
    streams++;
    stream.once("close", () => streams--);
  });
  session.setTimeout(keepAliveTimeoutMs, () => {
    if (streams === 0) session.close();
  });
}

interface Refusal {
  readonly line: string;
  readonly type?: string;
  readonly body?: string;
}

const methodNotAllowed: Refusal = {
  line: "405 Method Not Allowed",
  type: "application/json",
  body: JSON.stringify(statusError.methodNotAllowed().status),
};

/** What the HTTP/1.1 parser refuses never becomes a request. */
function refuseUnreadable(error: NodeJS.ErrnoException & { rawPacket?: Buffer }, socket: Duplex): void {
  // The parser knows a list of methods; upstream doesn't, and refuses others only when it has read the request.
  const strange = error.code === "HPE_INVALID_METHOD" && requestLine.test(error.rawPacket?.toString("latin1") ?? "");
  refuse(socket, strange ? methodNotAllowed : { line: refusedLines.get(error.code) ?? "400 Bad Request" });
}

const refusedLines: ReadonlyMap<string | undefined, string> = new Map([
  ["HPE_HEADER_OVERFLOW", "431 Request Header Fields Too Large"],
  ["ERR_HTTP_REQUEST_TIMEOUT", "408 Request Timeout"],
]);

const requestLine = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^\s]+ HTTP\/1\.[01]\r?\n/;

function refuse(socket: Duplex, { line, type = "text/plain; charset=utf-8", body = line }: Refusal): void {
  if (socket.writableEnded) return; // refused already; what still comes is read and dropped
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const head = `HTTP/1.1 ${line}\r\ncache-control: no-cache, private\r\ncontent-type: ${type}\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n`;
  socket.end(head + body);
  // Closed at once, a connection whose data nobody read is reset, and a reset overtakes the answer.
  socket.resume();
  setTimeout(() => socket.destroy(), lingerMs).unref();
}

/** As Go's server. */
const lingerMs = 500;

function tlsSettings({ key, cert, clientCa }: TlsOptions) {
  return {
    key: key as string,
    cert: cert as string,
    minVersion: "TLSv1.2" as const,
    ...(clientCa && { ca: clientCa as string | Buffer | (string | Buffer)[] }),
    // As Go: whatever is in the file is an authority, intermediate ones too.
    allowPartialTrustChain: true,
    // Certificates are optional: tokens and anonymous requests come on the same port.
    requestCert: clientCa !== undefined,
    rejectUnauthorized: false,
  };
}

function sniCallback(contextOf: (name: string) => SecureContext | undefined) {
  return (name: string, done: (error: Error | null, context?: SecureContext) => void) => done(null, contextOf(name));
}

function listen(server: Http2SecureServer, host: string | undefined, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, ...(host !== undefined && { host }) }, () => {
      server.off("error", reject);
      resolve(server.address() as AddressInfo); // a TCP port has one
    });
  });
}

interface CloseOptions {
  readonly sockets: Set<TLSSocket>;
  readonly sessions: Set<ServerHttp2Session>;
  readonly graceMs: number;
}

function close(server: Http2SecureServer, { sockets, sessions, graceMs }: CloseOptions): Promise<void> {
  return new Promise((resolve) => {
    const kill = setTimeout(() => {
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
    }, graceMs);
    server.close(() => {
      clearTimeout(kill);
      resolve();
    });
    for (const session of sessions) session.close();
    // Idle HTTP/1.1 connections have nothing to finish.
    if (graceMs === 0) for (const socket of sockets) socket.destroy();
  });
}
