/**
 * Where clients connect to: one HTTP/1.1 server and one of HTTP/2 behind a plain port and a TLS port. TLS says by ALPN which of the two gets
 * the connection. Times and sizes are bounded, so that clients who are slow on purpose hold nothing for long.
 */
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server as HttpServer,
  type ServerResponse,
} from "node:http";
import {
  constants,
  createServer as createHttp2Server,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { createServer as createPlainServer, type Server, type Socket } from "node:net";
import type { Readable } from "node:stream";
import { createServer as createTlsServer, type SecureContext, type Server as TlsServer } from "node:tls";
import type { Logger } from "#base";
import { createHttp1Exchange, readTarget } from "./exchange-http1.ts";
import { createHttp2Exchange } from "./exchange-http2.ts";
import type { Exchange } from "./exchange.ts";
import { forward, refuse } from "./forward.ts";
import type { Origin } from "./headers.ts";
import type { Router } from "./router.ts";
import { upgradeHttp1, upgradeHttp2 } from "./upgrade.ts";

/** Of the head of a request; beyond it 431. */
const headBytesMax = 32 * 1024;
const headersMax = 200;
const headMsDefault = 10_000;
const stalledMsDefault = 60_000;
/** Between two requests. */
const idleMs = 75_000;
/** Open at once on one port: each costs a descriptor and some 20 KiB. */
const connectionsMax = 16_384;
/** Of one client's connection. */
const streamsMax = 128;
const windowBytes = 256 * 1024;
const minVersion = "TLSv1.2";
/** What is under way may go on for so long when the ports are closed. */
const graceMs = 3_000;
const closingLookMs = 50;
/** Clients that vanish without a word are noticed. */
const probed = { keepAlive: true, keepAliveInitialDelay: 30_000 };

export interface ListenerOptions {
  readonly router: Router;
  /** Of the server name that a client asked for. */
  readonly contextOf: (serverName: string) => Promise<SecureContext>;
  /** For clients that name none. */
  readonly defaultPair: () => Promise<{ cert: string; key: string }>;
  /** A proxy of ours, whose headers about its client are believed. */
  readonly isTrusted: (address: string) => boolean;
  readonly now: () => number;
  readonly log: Logger;
  /** For the head of a request, and for the handshake of TLS. */
  readonly headMs?: number;
  /** Nothing comes from a client whose body is awaited, or nothing is taken by one who is answered. */
  readonly stalledMs?: number;
}

export interface Listener {
  /** Resolves with the port; rejects with the socket's error. `host` undefined: all addresses. */
  listen(kind: "http" | "https", port: number, host?: string): Promise<number>;
  /** `defaultPair` has another answer now. */
  refreshDefault(): Promise<void>;
  /** Ends what is under way after a short grace. */
  close(): Promise<void>;
}

export function createListener(options: ListenerOptions): Listener {
  const sockets = new Set<Socket>();
  const ports: Server[] = [];
  const secure = new Set<TlsServer>();
  const http = serveHttp1(options);
  const { server: http2, endSessions } = serveHttp2(options);

  const openPlain = () =>
    createPlainServer({ allowHalfOpen: true, noDelay: true, ...probed }, (socket) => http.emit("connection", socket));
  const openTls = async () => {
    const server = createTlsServer({
      ...(await options.defaultPair()),
      ...{
        ALPNProtocols: ["h2", "http/1.1"],
        minVersion,
        handshakeTimeout: options.headMs ?? headMsDefault,
        noDelay: true,
      },
      ...probed,
      SNICallback: (name, done) => void options.contextOf(name).then((context) => done(null, context), done),
    });
    server.on("secureConnection", (socket) => (socket.alpnProtocol === "h2" ? http2 : http).emit("connection", socket));
    // Strangers who don't speak TLS, or break off: their matter.
    server.on("tlsClientError", (error, socket) => {
      options.log.debug("ingress: a TLS handshake failed", { error });
      socket.destroy();
    });
    secure.add(server);
    return server;
  };
  return {
    async refreshDefault() {
      if (secure.size === 0) return;
      const pair = await options.defaultPair();
      for (const server of secure) server.setSecureContext({ ...pair, minVersion });
    },
    async listen(kind, port, host) {
      const server = kind === "http" ? openPlain() : await openTls();
      server.maxConnections = connectionsMax;
      server.on("connection", (socket: Socket) => {
        sockets.add(socket);
        socket.on("error", () => undefined); // before anybody else listens
        socket.once("close", () => sockets.delete(socket));
      });
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen({ port, ...(host !== undefined && { host }) }, () => {
          server.off("error", reject);
          resolve();
        });
      });
      server.on("error", (error) => options.log.error("ingress: a port failed", { port, error }));
      ports.push(server);
      const address = server.address();
      return typeof address === "object" && address ? address.port : port;
    },
    async close() {
      const closed = ports.splice(0).map((server) => new Promise((done) => server.close(done)));
      endSessions();
      // Those that are busy now are idle in a moment.
      const look = () => http.closeIdleConnections();
      look();
      const looking = setInterval(look, closingLookMs);
      const timer = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, graceMs);
      await Promise.all(closed);
      clearTimeout(timer);
      clearInterval(looking);
      http.close();
    },
  };
}

const originOf = (socket: Socket, host: string, isTrusted: (address: string) => boolean): Origin => {
  const address = (socket.remoteAddress ?? "").replace(/^::ffff:(?=\d+\.)/, "");
  const isSecure = "encrypted" in socket;
  return { address, isSecure, host, port: socket.localPort ?? 0, isTrusted: isTrusted(address) };
};

async function handle(exchange: Exchange, { router, now, log }: ListenerOptions): Promise<void> {
  const { authority, target, origin } = exchange;
  const decision = router({ authority, target, isSecure: origin.isSecure });
  if (decision.type === "refuse") return refuse(exchange, decision.status, decision.text);
  if (decision.type === "redirect") {
    return refuse(exchange, permanentRedirect, decision.location, ["Location", decision.location]);
  }
  try {
    await forward(exchange, decision.pool, now);
  } catch (error) {
    log.error("ingress: a request failed", { error, stack: (error as Error).stack });
    exchange.abort();
  }
}

const permanentRedirect = 308;

function serveHttp1(options: ListenerOptions): HttpServer {
  /** What each connection does now. */
  const current = new WeakMap<Socket, { request: IncomingMessage; response: ServerResponse }>();
  const { headMs = headMsDefault, stalledMs = stalledMsDefault } = options;
  const server = createHttpServer({
    ...{ maxHeaderSize: headBytesMax, headersTimeout: headMs, requestTimeout: 0, keepAliveTimeout: idleMs },
    ...{ connectionsCheckingInterval: headMs / 4, noDelay: true, insecureHTTPParser: false },
    // curl offers HTTP/2 so; it takes no for an answer.
    shouldUpgradeCallback: ({ headers }) => !/^h2c?\b/i.test(headers.upgrade ?? ""),
  });
  // It only looks after connections, and how long they take, once it listens; it gets them from ports of ours.
  server.emit("listening");
  server.maxHeadersCount = headersMax;
  server.timeout = stalledMs;
  const take = (request: IncomingMessage, response: ServerResponse): void => {
    current.set(request.socket, { request, response });
    const head = readTarget(request);
    if (!head) {
      response.writeHead(400, { connection: "close" }).end("the host of the request is malformed\n");
      return;
    }
    const origin = originOf(request.socket, head.authority, options.isTrusted);
    void handle(createHttp1Exchange({ request, response, ...head, origin }), options);
  };
  server.on("request", take);
  server.on("checkContinue", take);
  server.on("upgrade", (request, socket, head) => {
    // Always a socket of ours, plain or TLS.
    const peer = socket as Socket;
    peer.setTimeout(0);
    const found = readTarget(request);
    if (!found) return void peer.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    const origin = originOf(peer, found.authority, options.isTrusted);
    const decision = options.router({ ...found, isSecure: origin.isSecure });
    void upgradeHttp1({ request, socket: peer, head, ...found, origin, decision, now: options.now });
  });
  server.on("timeout", (socket) => {
    const { request, response } = current.get(socket) ?? {};
    const isOver = !request || !response || (request.complete && response.writableFinished);
    if (isOver || response.writableNeedDrain || isAwaited(request, response)) socket.destroy();
    else socket.setTimeout(stalledMs); // a backend is slow, or quiet
  });
  return server;
}

/** A body that is read, and not answered yet: once it is, both sides may be quiet for as long as they like. */
const isAwaited = (body: Readable, { headersSent }: { readonly headersSent: boolean }): boolean =>
  !headersSent && body.readableFlowing === true && !body.readableEnded;

function serveHttp2(options: ListenerOptions): { server: Http2Server; endSessions(): void } {
  const { stalledMs = stalledMsDefault } = options;
  const sessions = new Set<ServerHttp2Session>();
  const server = createHttp2Server({
    settings: {
      ...{ maxConcurrentStreams: streamsMax, maxHeaderListSize: headBytesMax, enableConnectProtocol: true },
      initialWindowSize: windowBytes,
    },
    maxHeaderListPairs: headersMax,
    // A request without an answer yet may be followed by many that are taken back at once: bounded by default, too.
    maxSessionRejectedStreams: streamsMax,
  });
  server.on("session", (session) => {
    sessions.add(session);
    let open = 0;
    session.on("stream", (stream) => {
      open++;
      stream.once("close", () => open--);
    });
    session.once("close", () => sessions.delete(session));
    session.setTimeout(idleMs, () => open === 0 && session.close());
  });
  server.on("sessionError", (error) => options.log.debug("ingress: a connection failed", { error }));
  server.on("stream", (stream: ServerHttp2Stream, headers, _flags, raw: string[]) => {
    stream.on("error", () => undefined); // its close tells enough
    stream.setTimeout(stalledMs, () => {
      // Calls of gRPC may be open for long before the first message.
      const isCall = headers["content-type"]?.startsWith("application/grpc") ?? false;
      if (stream.writableNeedDrain || (!isCall && isAwaited(stream, stream))) stream.close(constants.NGHTTP2_CANCEL);
      else stream.setTimeout(stalledMs);
    });
    const { socket } = stream.session ?? {};
    if (!socket) return;
    const authority = headers[":authority"] ?? "";
    const origin = originOf(socket as Socket, authority, options.isTrusted);
    if (headers[":method"] !== "CONNECT")
      return void handle(createHttp2Exchange({ stream, headers, raw, origin }), options);
    if (headers[":protocol"] === undefined) return void stream.respond({ ":status": 405 }, { endStream: true });
    stream.setTimeout(0);
    const decision = options.router({ authority, target: headers[":path"] ?? "", isSecure: true });
    void upgradeHttp2({ stream, headers, raw, origin, decision, now: options.now });
  });
  const endSessions = () => {
    for (const session of sessions) session.close();
  };
  return { server, endSessions };
}
