/**
 * The node's HTTPS server: logs, commands and ports of its pods for the API server, with upstream's paths. HTTP/1.1 only: half of
 * its work is connections that become something else. Beside it, where they are asked for, the ports of upstream's that need no
 * certificate: `readOnlyPort`, `healthzPort`.
 */
import { createServer as createPlainServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer, type Server as TlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock, Logger } from "#base";
import type { KubeletConfiguration } from "../config/configuration.ts";
import type { KubeletHost } from "../host.ts";
import type { MeterRequest } from "../metrics/meter-requests.ts";
import type { KubeletAuth } from "./auth.ts";
import { exchangeOf, responseOn, sendText } from "./exchange.ts";
import { healthRoutes } from "./health.ts";
import {
  type KubeletRoute,
  type RouteOptions,
  type RouteTable,
  routeTable,
  type ServerConfiguration,
} from "./routes.ts";
import { serveExchange } from "./serve.ts";
import { cipherNames, tlsVersion } from "./tls.ts";

export interface KubeletServerOptions {
  readonly tls: KubeletTls;
  /** Undefined: all addresses. */
  readonly address?: string;
  /** Upstream's is 10250; 0: any. */
  readonly port: number;
  readonly config: ServerConfiguration & Pick<KubeletConfiguration, "tlsMinVersion" | "tlsCipherSuites">;
  /** Served at `/logs/`; the machine's `/var/log` when missing. */
  readonly systemLogs?: string;
}

export interface KubeletTls {
  readonly certificate: string;
  readonly key: string;
  /** Signs the certificates of clients; missing: those show none. */
  readonly clientCa?: string | undefined;
}

export interface KubeletServerDependencies {
  /** Asked for each request: pods come and go. */
  readonly host: KubeletHost;
  readonly auth: KubeletAuth;
  readonly clock: Clock;
  readonly log: Logger;
  readonly checkpoints: RouteOptions["checkpoints"];
  readonly shownConfiguration: RouteOptions["shownConfiguration"];
  /** Beside the ones here (stats, metrics), by the first part of the path. */
  readonly routes?: ReadonlyMap<string, KubeletRoute>;
  readonly page?: RouteOptions["page"];
  readonly translate?: RouteOptions["translate"];
  /** Told of each request. */
  readonly meter?: MeterRequest;
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
  const { config, systemLogs } = options;
  const table = routeTable({ ...dependencies, config, systemLogs });
  const secure = (tls: KubeletTls) => tlsSettings(tls, config);
  const server: TlsServer = createServer({ ...secure(options.tls), ...limits });
  return {
    ...served(server, table, { ...options, ...dependencies }),
    setTls: (tls) => server.setSecureContext(secure(tls)),
  };
}

type PlainDependencies = Omit<KubeletServerDependencies, "auth"> & { readonly config: ServerConfiguration };

/** Without a certificate and without a question who asks: pods, stats and metrics (`readOnlyPort`). */
export function createReadOnlyServer(
  place: { readonly address: string; readonly port: number },
  dependencies: PlainDependencies,
): Omit<KubeletServer, "setTls"> {
  const table = routeTable({ ...dependencies, isReadOnly: true, systemLogs: undefined });
  return served(createPlainServer(limits), table, { ...dependencies, ...place });
}

/** Only whether the node is well (`healthzPort`). */
export function createHealthServer(
  place: { readonly address: string; readonly port: number },
  log: Logger,
): Omit<KubeletServer, "setTls"> {
  const exact = new Map([...healthRoutes].filter(([path]) => path === "/healthz" || path === "/healthz/ping"));
  return served(createPlainServer(limits), { exact, services: new Map() }, { ...place, log });
}

const limits = { keepAliveTimeout: keepAliveTimeoutMs, maxHeaderSize: headerBytesMax };

interface Serving {
  readonly address?: string;
  readonly port: number;
  readonly auth?: KubeletAuth;
  readonly meter?: MeterRequest;
  readonly log: Logger;
}

function served(
  server: Server | TlsServer,
  table: RouteTable,
  { address, port, auth, meter, log }: Serving,
): Omit<KubeletServer, "setTls"> {
  const sockets = new Set<Duplex>();
  server.headersTimeout = headersTimeoutMs;
  // Logs are followed and streams last for hours.
  server.requestTimeout = 0;

  const handle = (
    request: IncomingMessage,
    response: ServerResponse,
    upgrade?: Parameters<typeof exchangeOf>[2],
  ): void => {
    const exchange = exchangeOf(request, response, upgrade);
    if (!exchange) {
      response.writeHead(400, { connection: "close" }).end("400 Bad Request");
      return;
    }
    meter?.(exchange);
    serveExchange(exchange, { table, auth, log }).catch((error: unknown) => {
      if (exchange.signal.aborted) return;
      log.error("a request to the node failed", { path: request.url, error });
      // An answer that was cut off must not look complete.
      if (response.headersSent) response.destroy();
      else sendText(exchange, 500, error instanceof Error ? error.message : String(error));
    });
  };
  server.on("request", (request, response) => handle(request, response));
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", (error) => log.debug("a stream's connection broke", { error }));
    const response = responseOn(request, socket);
    const connection = { socket, head };
    const takeOver = () => {
      response.detachSocket(request.socket);
      return connection;
    };
    handle(request, response, { connection, takeOver });
  });
  const keep = (socket: Socket): void => {
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", (error) => log.debug("a connection to the node broke", { error }));
  };
  server.on("secureConnection", keep);
  if (!("setSecureContext" in server)) server.on("connection", keep);
  server.on("tlsClientError", (error) => log.debug("a TLS handshake with the node failed", { error }));

  let closing: Promise<void> | undefined;
  return {
    listen: () =>
      new Promise((resolve, reject) => {
        server.once("error", reject);
        server.listen({ port, ...(address !== undefined && { host: address }) }, () => {
          server.off("error", reject);
          resolve(server.address() as AddressInfo); // a TCP port has one
        });
      }),
    close() {
      closing ??= new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      });
      return closing;
    },
  };
}

const tlsSettings = ({ certificate, key, clientCa }: KubeletTls, config: KubeletServerOptions["config"]) => ({
  cert: certificate,
  key,
  ...(clientCa !== undefined && { ca: clientCa }),
  minVersion: tlsVersion(config.tlsMinVersion),
  ...(config.tlsCipherSuites.length > 0 && { ciphers: cipherNames(config.tlsCipherSuites) }),
  // Tokens come without a certificate.
  requestCert: clientCa !== undefined,
  rejectUnauthorized: false,
});
