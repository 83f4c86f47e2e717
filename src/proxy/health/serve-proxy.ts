/** Everything that others ask a proxy, behind one call: health, metrics, health-check node ports. */
import type { Node } from "#api";
import type { Clock, Logger, MetricRegistry } from "#base";
import type { DeepReadonly } from "#machinery";
import { observeProxy } from "../metrics/observe.ts";
import { createProxyMetrics } from "../metrics/proxy-metrics.ts";
import type { ProxyObserver } from "../observer.ts";
import { type BindAddress, healthPages, metricPages, serveHttp } from "./health-server.ts";
import type { Family } from "../core/endpoints.ts";
import { createProxyHealth } from "./proxy-health.ts";
import { createServiceHealth, type ServiceHealthOptions } from "./service-health.ts";

export interface ServeProxyOptions {
  /** `nftables` or `userspace`. */
  readonly mode: () => string;
  readonly families: readonly Family[];
  readonly metrics: MetricRegistry;
  /** Undefined: not served. */
  readonly healthAddress: BindAddress | undefined;
  readonly metricsAddress: BindAddress | undefined;
  readonly hardFail?: boolean;
  readonly syncPeriodMs: number;
  /** Asked when somebody asks for health. */
  readonly node: () => Promise<DeepReadonly<Node> | undefined>;
  readonly configuration: () => object;
  readonly nodePortHosts: ServiceHealthOptions["hosts"];
  readonly healthCheckFailed: ServiceHealthOptions["failed"];
  readonly clock: Clock;
  readonly log: Logger;
}

export interface ServedProxy {
  /** For the proxy. */
  readonly observer: ProxyObserver;
  /** An event came of what rules are made from. */
  counted(what: "service" | "endpoint"): void;
  /** Resolves when the signal aborted and all is closed. */
  run(signal: AbortSignal): Promise<void>;
}

export function serveProxy(options: ServeProxyOptions): ServedProxy {
  const { mode, families, healthAddress, metricsAddress, hardFail, node, configuration, clock, log } = options;
  const metrics = createProxyMetrics(options.metrics, families);
  const health = createProxyHealth(clock, 2 * options.syncPeriodMs);
  const serviceHealth = createServiceHealth({
    ...{ hosts: options.nodePortHosts, healthy: health.healthy, failed: options.healthCheckFailed, clock, log },
  });
  const counted = (page: "healthz" | "livez", code: "200" | "503") => metrics[page].with(code).inc();
  const common = { clock, log, ...(hardFail && { hardFail }) };
  return {
    counted(what) {
      const [changes, pending] =
        what === "service"
          ? [metrics.serviceChanges, metrics.servicesPending]
          : [metrics.endpointChanges, metrics.endpointsPending];
      changes.with().inc();
      pending.with().add(1);
    },
    observer: observeProxy({ metrics, health, serviceHealth, families, clock }),
    async run(signal) {
      const pages = healthPages({ health, node, counted });
      const insight = metricPages({ mode, metrics: options.metrics, configuration });
      try {
        await Promise.all([
          healthAddress &&
            serveHttp({ what: "the proxy's health", bind: healthAddress, respond: pages, ...common }, signal),
          metricsAddress &&
            serveHttp({ what: "the proxy's metrics", bind: metricsAddress, respond: insight, ...common }, signal),
          new Promise<void>((resolve) => {
            if (signal.aborted) resolve();
            signal.addEventListener("abort", () => resolve(), { once: true });
          }),
        ]);
      } finally {
        await serviceHealth.close();
      }
    },
  };
}
