/**
 * What the node's server answers, path by path, as upstream: `exact` paths take any method and nothing below them; `services` are trees whose
 * own 404 and 405 differ from those of paths that nobody knows. What is switched off says so instead.
 */
import type { KubeletConfiguration } from "../config/configuration.ts";
import { serveCheckpoint } from "./checkpoint.ts";
import { type LogsContext, serveContainerLogs } from "./container-logs.ts";
import { type Exchange, sendJson, sendPlainError } from "./exchange.ts";
import { healthRoutes } from "./health.ts";
import { servePods, serveRun, serveRunningPods } from "./pods.ts";
import { serveAttach, serveExec, servePortForward, type StreamContext } from "./stream.ts";
import { serveSystemLogs } from "./system-logs.ts";

export interface KubeletRoute {
  readonly methods: readonly string[];
  /** How many parts the path may have, with the first. */
  readonly parts: readonly [min: number, max: number];
  serve(exchange: Exchange): Promise<void> | void;
}

export interface ServiceRoute extends KubeletRoute {
  /** `/logs/` and not `/logs`, which leads there. */
  readonly endsInSlash?: boolean;
}

export interface RouteTable {
  /** By path. */
  readonly exact: ReadonlyMap<string, (exchange: Exchange) => Promise<void> | void>;
  /** By the first part of the path; `debug/pprof` by two. */
  readonly services: ReadonlyMap<string, ServiceRoute>;
}

export type ServerConfiguration = Pick<
  KubeletConfiguration,
  | "enableDebuggingHandlers"
  | "enableSystemLogHandler"
  | "enableProfilingHandler"
  | "enableDebugFlagsHandler"
  | "featureGates"
>;

export interface RouteOptions extends StreamContext, LogsContext {
  readonly config: ServerConfiguration;
  /** The machine's `/var/log` when missing. */
  readonly systemLogs: string | undefined;
  /** Where checkpoints go. */
  readonly checkpoints: string;
  /** As it is in force, with Go's texts. */
  shownConfiguration(): object;
  /** `/stats` and `/metrics`, of the stats. */
  readonly routes?: ReadonlyMap<string, KubeletRoute>;
  /** Pages about the process: `/statusz`, `/flagz`, `/debug/…`; made by whoever has them. */
  readonly page?: (exchange: Exchange) => Promise<void>;
}

const metricPaths = ["/metrics", "/metrics/cadvisor", "/metrics/resource", "/metrics/probes", "/metrics/slis"];
const streams = ["GET", "POST"];

/** `isReadOnly`: nobody is asked who they are, so only what everybody may read is there. */
export function routeTable(options: RouteOptions & { readonly isReadOnly?: boolean }): RouteTable {
  const { config, routes, isReadOnly = false } = options;
  const open = openRoutes(options);
  const own = config.enableDebuggingHandlers && !isReadOnly ? guardedRoutes(options) : closedRoutes;
  const [stats, metrics] = [routes?.get("stats"), routes?.get("metrics")];
  const measured = metrics
    ? metricPaths.map((path) => [path, (exchange: Exchange) => metrics.serve(exchange)] as const)
    : [];
  return {
    exact: new Map([...open.exact, ...measured, ...own.exact]),
    services: new Map<string, ServiceRoute>([
      ...open.services,
      ...entry("stats", stats && { ...stats, endsInSlash: true }),
      ...[...(routes ?? [])].filter(([name]) => name !== "stats" && name !== "metrics"),
      ...own.services,
    ]),
  };
}

const entry = (name: string, route: ServiceRoute | undefined): [string, ServiceRoute][] =>
  route ? [[name, route]] : [];

const openRoutes = (context: StreamContext): RouteTable => ({
  exact: healthRoutes,
  services: new Map([
    ["pods", { methods: ["GET"], parts: [1, 1], serve: (exchange: Exchange) => servePods(context, exchange) }],
  ]),
});

function guardedRoutes(options: RouteOptions): RouteTable {
  const { config, systemLogs = "/var/log", page } = options;
  const below = (min: number, max: number, methods: readonly string[]) =>
    ({ parts: [min, max], methods }) as const satisfies Partial<ServiceRoute>;
  const anywhere = { methods: [], parts: [1, Number.POSITIVE_INFINITY], endsInSlash: true } as const;
  const shut = (what: string): ServiceRoute => ({
    ...anywhere,
    serve: (exchange) => refuse(exchange, `${what} endpoint is disabled.`),
  });
  const shown = page ?? ((exchange: Exchange) => sendPlainError(exchange, 404, "404 page not found"));
  return {
    exact: new Map<string, (exchange: Exchange) => Promise<void> | void>([
      ["/configz", (exchange) => sendJson(exchange, { kubeletconfig: options.shownConfiguration() }, nosniff)],
      ["/statusz", shown],
      ["/flagz", shown],
      [
        "/debug/flags/v",
        config.enableDebugFlagsHandler ? shown : (exchange) => refuse(exchange, "flags endpoint is disabled."),
      ],
    ]),
    services: new Map<string, ServiceRoute>([
      [
        "runningpods",
        { ...below(1, 1, ["GET"]), endsInSlash: true, serve: (exchange) => serveRunningPods(options, exchange) },
      ],
      [
        "logs",
        config.enableSystemLogHandler
          ? { ...below(1, 32, ["GET"]), endsInSlash: true, serve: (exchange) => serveSystemLogs(systemLogs, exchange) }
          : shut("logs"),
      ],
      [
        "debug/pprof",
        config.enableProfilingHandler
          ? { ...below(3, 32, ["GET"]), endsInSlash: true, serve: shown }
          : shut("profiling"),
      ],
      ["containerLogs", { ...below(4, 4, ["GET"]), serve: (exchange) => serveContainerLogs(options, exchange) }],
      ["exec", { ...below(4, 5, streams), serve: (exchange) => serveExec(options, exchange) }],
      ["attach", { ...below(4, 5, streams), serve: (exchange) => serveAttach(options, exchange) }],
      ["portForward", { ...below(3, 4, streams), serve: (exchange) => servePortForward(options, exchange) }],
      ["run", { ...below(4, 5, ["POST"]), serve: (exchange) => serveRun(options, exchange) }],
      [
        "checkpoint",
        { ...below(4, 4, ["POST"]), endsInSlash: true, serve: (exchange) => serveCheckpoint(options, exchange) },
      ],
    ]),
  };
}

const nosniff = { "x-content-type-options": "nosniff" };
const refuse = (exchange: Exchange, why: string) => sendPlainError(exchange, 405, why);

const closedRoutes: RouteTable = {
  exact: new Map(),
  services: new Map(
    ["run", "exec", "attach", "portForward", "containerLogs", "runningpods", "debug/pprof", "logs"].map((name) => [
      name,
      {
        methods: [],
        parts: [1, Number.POSITIVE_INFINITY],
        endsInSlash: true,
        serve: (exchange: Exchange) => refuse(exchange, "Debug endpoints are disabled."),
      },
    ]),
  ),
};
