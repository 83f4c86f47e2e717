/** What a proxy tells, put where people look: metrics, its own health, and the health-check node ports of Services. */
import type { Clock } from "#base";
import type { Family } from "../core/endpoints.ts";
import type { ProxyHealth } from "../health/proxy-health.ts";
import type { ServiceHealth } from "../health/service-health.ts";
import type { ProxyObserver } from "../observer.ts";
import type { ProxyMetrics } from "./proxy-metrics.ts";

export interface ObserveOptions {
  readonly metrics: ProxyMetrics;
  readonly health: ProxyHealth;
  readonly serviceHealth: ServiceHealth;
  /** Those that the proxy writes rules for; it does so in one transaction. */
  readonly families: readonly Family[];
  readonly clock: Clock;
}

export function observeProxy({ metrics, health, serviceHealth, families, clock }: ObserveOptions): ProxyObserver {
  /** Services with a health-check node port, to see which have none any more. */
  let checked: ReadonlySet<string> = new Set();
  const nowSeconds = () => clock.now() / 1000;
  return {
    queued() {
      for (const family of families) {
        health.queued(family);
        metrics.lastQueued.with(family).set(nowSeconds());
      }
    },
    committed({ durationMs, kind, triggers }) {
      const seconds = durationMs / 1000;
      const now = clock.now();
      metrics.servicesPending.with().set(0);
      metrics.endpointsPending.with().set(0);
      for (const family of families) {
        health.updated(family);
        metrics.sync.with(family).observe(seconds);
        (kind === "full" ? metrics.syncFull : metrics.syncPartial).with(family).observe(seconds);
        metrics.lastSync.with(family).set(now / 1000);
        for (const at of triggers) metrics.programming.with(family).observe(Math.max(0, now - at) / 1000);
      }
    },
    unchanged() {
      metrics.servicesPending.with().set(0);
      metrics.endpointsPending.with().set(0);
      for (const family of families) health.updated(family);
    },
    forgotten(family, flows, durationMs) {
      metrics.conntrack.with(family).observe(durationMs / 1000);
      metrics.conntrackDeleted.with(family).inc(flows);
    },
    withoutLocal(ports) {
      for (const policy of ["internal", "external"] as const)
        for (const family of families) metrics.noLocalEndpoints.with(policy, family).set(ports[policy][family]);
    },
    failed() {
      for (const family of families) metrics.syncFailures.with(family).inc();
    },
    localEndpoints(checks) {
      for (const key of checked) if (!checks.has(key)) serviceHealth.set(key, 0, 0);
      for (const [key, { port, local }] of checks) serviceHealth.set(key, port, local);
      checked = new Set(checks.keys());
    },
  };
}
