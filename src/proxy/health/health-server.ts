/**
 * The two small HTTP servers beside a proxy, at upstream's ports and paths: health for load balancers (10256, all addresses) and metrics for
 * this machine (10249). A port that is taken is tried again; what is served is made when somebody asks.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Node } from "#api";
import {
  aborted,
  type Clock,
  type Logger,
  type MetricRegistry,
  metricContentTypes,
  metricFormatOf,
  printMetrics,
} from "#base";
import type { DeepReadonly } from "#machinery";
import { nodeEligible, type ProxyHealth } from "./proxy-health.ts";

/** Of health for everyone, of metrics for this machine: upstream's. */
export const proxyPorts = { health: 10_256, metrics: 10_249 } as const;

export interface BindAddress {
  readonly host: string;
  readonly port: number;
  /** `::` without IPv4. */
  readonly ipv6Only?: boolean;
}

export type Respond = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** As upstream: how long between two tries of a port that is taken. */
const againMs = 5_000;
/** Who holds connections open beside health checks has no business here. */
const connectionsMax = 1_000;

export interface ServeOptions {
  readonly what: string;
  readonly bind: BindAddress;
  readonly respond: Respond;
  readonly clock: Clock;
  readonly log: Logger;
  /** Instead of trying again: rejects. */
  readonly hardFail?: boolean;
}

/** Until the signal aborts. `listening` is told once, when the port is ours. */
export async function serveHttp(options: ServeOptions, signal: AbortSignal, listening?: () => void): Promise<void> {
  const { what, bind, respond, clock, log, hardFail } = options;
  for (let tries = 0; !signal.aborted; tries++) {
    try {
      const server = await listen(bind, respond, log);
      if (tries > 0) log.info(`${what} is served after all`, { ...bind });
      listening?.();
      await aborted(signal);
      await closeServer(server);
      return;
    } catch (error) {
      if (hardFail) throw error;
      const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message; // listen fails with errno errors
      log[tries === 0 ? "warn" : "debug"](`${what} is not served`, { ...bind, why, retryMs: againMs });
      await waitFor(againMs, clock, signal);
    }
  }
}

/** A server that answers; closed by `closeServer`. */
export function listen({ host, port, ipv6Only = false }: BindAddress, respond: Respond, log: Logger): Promise<Server> {
  const server = createServer((request, response) => {
    Promise.resolve()
      .then(() => respond(request, response))
      .catch((error: unknown) => {
        log.error("a question about health wasn't answered", { url: request.url, error });
        response.destroy();
      });
  });
  server.maxConnections = connectionsMax;
  server.unref();
  return new Promise((resolve, reject) => {
    server.once("error", reject).listen({ host, port, ipv6Only }, () => {
      server.off("error", reject);
      resolve(server);
    });
  });
}

export const closeServer = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });

const waitFor = (ms: number, clock: Clock, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const cancel = clock.after(ms, resolve);
    signal.addEventListener(
      "abort",
      () => {
        cancel();
        resolve();
      },
      { once: true },
    );
  });

export interface HealthPages {
  readonly health: ProxyHealth;
  readonly node: () => Promise<DeepReadonly<Node> | undefined>;
  readonly counted: (page: "healthz" | "livez", code: "200" | "503") => void;
}

/** `/healthz` is for load balancers and knows the node, `/livez` is about the proxy alone. */
export function healthPages({ health, node, counted }: HealthPages): Respond {
  return async (request, response) => {
    const page = pathOf(request);
    if (page !== "healthz" && page !== "livez") return notFound(response);
    const body = health.body(page === "healthz" ? nodeEligible(await node()) : undefined);
    const code = body.healthy && body.nodeEligible !== false ? 200 : 503;
    counted(page, `${code}`);
    respondWith(response, code, { type: "application/json", body: JSON.stringify(body) });
  };
}

export interface MetricPages {
  readonly mode: () => string;
  readonly metrics: MetricRegistry;
  /** What runs, as a KubeProxyConfiguration. */
  readonly configuration: () => object;
}

export function metricPages({ mode, metrics, configuration }: MetricPages): Respond {
  return async (request, response) => {
    switch (pathOf(request)) {
      case "healthz":
        return respondWith(response, 200, { type: "text/plain; charset=utf-8", body: "ok" });
      case "proxyMode":
        return respondWith(response, 200, { type: "text/plain; charset=utf-8", body: mode() });
      case "configz":
        return respondWith(response, 200, {
          type: "application/json",
          body: JSON.stringify({ "kubeproxy.config.k8s.io": configuration() }),
        });
      case "metrics": {
        const format = metricFormatOf(request.headers.accept);
        const body = [...printMetrics(await metrics.collect(), format)].join("");
        return respondWith(response, 200, { type: metricContentTypes[format], body });
      }
      default:
        return notFound(response);
    }
  };
}

const pathOf = ({ url = "/" }: IncomingMessage) => url.split("?", 1)[0]?.replace(/^\//, "");

export function respondWith(
  response: ServerResponse,
  code: number,
  { type, body, headers }: { type: string; body: string; headers?: Readonly<Record<string, string>> },
): void {
  const length = { "content-length": Buffer.byteLength(body) };
  response.writeHead(code, { "content-type": type, "x-content-type-options": "nosniff", ...length, ...headers });
  response.end(body);
}

const notFound = (response: ServerResponse) =>
  respondWith(response, 404, { type: "text/plain; charset=utf-8", body: "404 page not found\n" });
