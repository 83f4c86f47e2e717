/**
 * The node's HTTPS server: logs, commands and ports of its pods for the API server, with upstream's paths. HTTP/1.1 only: half of
 * its work is connections that become something else.
 */
import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock, Logger } from "#base";
import type { KubeletHost } from "../host.ts";
import { accessOf, type KubeletAuth } from "./auth.ts";
import { serveContainerLogs } from "./container-logs.ts";
import { type Exchange, exchangeOf, responseOn, sendText } from "./exchange.ts";
import { serveHealth } from "./health.ts";
import { servePods, serveRun, serveRunningPods } from "./pods.ts";
import { serveAttach, serveExec, servePortForward, type StreamContext } from "./stream.ts";
import { serveSystemLogs } from "./system-logs.ts";

export interface KubeletServerOptions {
  readonly tls: KubeletTls;
  /** Undefined: all addresses. */
  readonly address?: string;
  /** Upstream's is 10250; 0: any. */
  readonly port: number;
  /** Served at `/logs/`; the machine's `/var/log` when missing. */
  readonly systemLogs?: string;
}

export interface KubeletTls {
  readonly certificate: string;
  readonly key: string;
  /** Signs the certificates of clients. */
  readonly clientCa: string;
}

export interface KubeletServerDependencies {
  /** Asked for each request: pods come and go. */
  readonly host: KubeletHost;
  readonly auth: KubeletAuth;
  readonly clock: Clock;
  readonly log: Logger;
  /** Beside the ones here (stats, metrics), by the first part of the path. */
  readonly routes?: ReadonlyMap<string, KubeletRoute>;
}

export interface KubeletRoute {
  readonly methods: readonly string[];
  /** How many parts the path may have, with the first. */
  readonly parts: readonly [min: number, max: number];
  serve(exchange: Exchange): Promise<void> | void;
}

export interface KubeletServer {
  listen(): Promise<AddressInfo>;
  /** Other certificates for connections from now on. */
  setTls(tls: KubeletTls): void;
  /** Breaks what is open. */
  close(): Promise<void>;
}

/** Upstream's port of the kubelet. */
export const kubeletPort = 10250;
/** As upstream's idle timeout. */
const keepAliveTimeoutMs = 90_000;
/** Of all headers, path and query among them: upstream's. A command to run may be long. */
const headerBytesMax = 1024 * 1024;
const headersTimeoutMs = 32_000;

export function createKubeletServer(
  options: KubeletServerOptions,
  dependencies: KubeletServerDependencies,
): KubeletServer {
  const { log } = dependencies;
  const routes = new Map([...ownRoutes(options, dependencies), ...(dependencies.routes ?? [])]);
  const sockets = new Set<Duplex>();
  const server: Server = createServer({
    ...tlsSettings(options.tls),
    keepAliveTimeout: keepAliveTimeoutMs,
    maxHeaderSize: headerBytesMax,
  });
  server.headersTimeout = headersTimeoutMs;
  // Logs are followed and streams last for hours.
  server.requestTimeout = 0;

  const handle = (exchange: Exchange | undefined, response: ServerResponse): void => {
    if (!exchange) {
      response.writeHead(400, { connection: "close" }).end("400 Bad Request");
      return;
    }
    serve(exchange, { routes, auth: dependencies.auth, log }).catch((error: unknown) => {
      if (exchange.signal.aborted) return;
      log.error("a request to the node failed", { path: exchange.request.url, error });
      // An answer that was cut off must not look complete.
      if (response.headersSent) response.destroy();
      else sendText(exchange, 500, error instanceof Error ? error.message : String(error));
    });
  };
  server.on("request", (request, response) => handle(exchangeOf(request, response), response));
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", (error) => log.debug("a stream's connection broke", { error }));
    const response = responseOn(request, socket);
    const takeOver = () => {
      response.detachSocket(request.socket);
      return { socket, head };
    };
    handle(exchangeOf(request, response, { takeOver }), response);
  });
  server.on("secureConnection", (socket) => {
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", (error) => log.debug("a connection to the node broke", { error }));
  });
  server.on("tlsClientError", (error) => log.debug("a TLS handshake with the node failed", { error }));

  let closing: Promise<void> | undefined;
  return {
    listen: () =>
      new Promise((resolve, reject) => {
        const { address: host, port } = options;
        server.once("error", reject);
        server.listen({ port, ...(host !== undefined && { host }) }, () => {
          server.off("error", reject);
          resolve(server.address() as AddressInfo); // a TCP port has one
        });
      }),
    setTls: (tls) => server.setSecureContext(tlsSettings(tls)),
    close() {
      closing ??= new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      });
      return closing;
    },
  };
}

const tlsSettings = ({ certificate, key, clientCa }: KubeletTls) => ({
  cert: certificate,
  key,
  ca: clientCa,
  minVersion: "TLSv1.2" as const,
  // Tokens come without a certificate.
  requestCert: true,
  rejectUnauthorized: false,
});

function ownRoutes(
  { systemLogs = "/var/log" }: KubeletServerOptions,
  dependencies: KubeletServerDependencies,
): [string, KubeletRoute][] {
  const context: StreamContext = dependencies;
  const streams = ["GET", "POST"];
  return [
    ["healthz", { methods: ["GET"], parts: [1, 3], serve: serveHealth }],
    ["pods", { methods: ["GET"], parts: [1, 1], serve: (exchange) => servePods(context, exchange) }],
    ["runningpods", { methods: ["GET"], parts: [1, 1], serve: (exchange) => serveRunningPods(context, exchange) }],
    ["logs", { methods: ["GET"], parts: [1, 32], serve: (exchange) => serveSystemLogs(systemLogs, exchange) }],
    [
      "containerLogs",
      { methods: ["GET"], parts: [4, 4], serve: (exchange) => serveContainerLogs(dependencies, exchange) },
    ],
    ["exec", { methods: streams, parts: [4, 5], serve: (exchange) => serveExec(context, exchange) }],
    ["attach", { methods: streams, parts: [4, 5], serve: (exchange) => serveAttach(context, exchange) }],
    ["portForward", { methods: streams, parts: [3, 4], serve: (exchange) => servePortForward(context, exchange) }],
    ["run", { methods: ["POST"], parts: [4, 5], serve: (exchange) => serveRun(context, exchange) }],
  ];
}

interface ServeContext {
  readonly routes: ReadonlyMap<string, KubeletRoute>;
  readonly auth: KubeletAuth;
  readonly log: Logger;
}

async function serve(exchange: Exchange, { routes, auth, log }: ServeContext): Promise<void> {
  const { request, parts } = exchange;
  const method = request.method ?? "GET";
  const user = await auth.authenticate(request).catch((error: unknown) => {
    log.warn("a caller's token could not be checked", { error });
    return undefined;
  });
  if (!user) return sendText(exchange, 401, "Unauthorized");
  const access = accessOf(method, parts);
  const about = `user=${user.name}, verb=${access.verb}, resource=nodes, subresource(s)=[${access.subresources.join(" ")}]`;
  let allowed: boolean;
  try {
    allowed = await auth.authorize(user, access);
  } catch (error) {
    log.warn("nobody says what a caller may do", { user: user.name, error });
    return sendText(exchange, 500, `Authorization error (${about})`);
  }
  if (!allowed) return sendText(exchange, 403, `Forbidden (${about})\n`);
  const route = routes.get(parts[0] ?? "");
  if (!route || parts.length < route.parts[0] || parts.length > route.parts[1]) {
    return sendText(exchange, 404, "404: Page Not Found");
  }
  if (!route.methods.includes(method)) {
    return sendText(exchange, 405, "405: Method Not Allowed", { allow: route.methods.join(", ") });
  }
  await route.serve(exchange);
}
