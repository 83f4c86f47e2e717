/** What a proxy counts, under upstream's names, texts and bounds: those that its nftables mode registers. */
import { exponentialBounds, type MetricRegistry } from "#base";
import type { Family } from "../core/endpoints.ts";

const steps = (first: number, step: number, count: number) =>
  Array.from({ length: count }, (_, at) => first + step * at);

/** From 1 ms to 16 s. */
const durations = exponentialBounds(0.001, 2, 15);
/** From a quarter of a second to five minutes, finest where it is felt. */
const programming = [...steps(0.25, 0.25, 2), ...steps(1, 1, 59), ...steps(60, 5, 12), ...steps(120, 30, 7)];

export type ProxyMetrics = ReturnType<typeof createProxyMetrics>;

/** All begin with `kubeproxy_`. */
export function createProxyMetrics(registry: MetricRegistry, families: readonly Family[]) {
  const byFamily = ["ip_family"] as const;
  const duration = (name: string, help: string, bounds = durations) =>
    registry.histogram(`kubeproxy_${name}`, help, { bounds, labels: byFamily });
  const gauge = <const L extends readonly string[]>(name: string, help: string, labels: L) =>
    registry.gauge(`kubeproxy_${name}`, help, labels);
  const counter = <const L extends readonly string[]>(name: string, help: string, labels: L) =>
    registry.counter(`kubeproxy_${name}`, help, labels);
  const metrics = {
    sync: duration("sync_proxy_rules_duration_seconds", "SyncProxyRules latency in seconds"),
    syncFull: duration("sync_full_proxy_rules_duration_seconds", "SyncProxyRules latency in seconds for full resyncs"),
    syncPartial: duration(
      "sync_partial_proxy_rules_duration_seconds",
      "SyncProxyRules latency in seconds for partial resyncs",
    ),
    programming: duration(
      "network_programming_duration_seconds",
      "In Cluster Network Programming Latency in seconds",
      programming,
    ),
    conntrack: duration(
      "conntrack_reconciler_sync_duration_seconds",
      "ReconcileConntrackFlowsLatency latency in seconds",
    ),
    conntrackDeleted: counter(
      "conntrack_reconciler_deleted_entries_total",
      "Cumulative conntrack flows deleted by conntrack reconciler",
      byFamily,
    ),
    lastSync: gauge(
      "sync_proxy_rules_last_timestamp_seconds",
      "The last time proxy rules were successfully synced",
      byFamily,
    ),
    lastQueued: gauge(
      "sync_proxy_rules_last_queued_timestamp_seconds",
      "The last time a sync of proxy rules was queued",
      byFamily,
    ),
    endpointsPending: gauge("sync_proxy_rules_endpoint_changes_pending", "Pending proxy rules Endpoint changes", []),
    endpointChanges: counter("sync_proxy_rules_endpoint_changes_total", "Cumulative proxy rules Endpoint changes", []),
    servicesPending: gauge("sync_proxy_rules_service_changes_pending", "Pending proxy rules Service changes", []),
    serviceChanges: counter("sync_proxy_rules_service_changes_total", "Cumulative proxy rules Service changes", []),
    noLocalEndpoints: gauge(
      "sync_proxy_rules_no_local_endpoints_total",
      "Number of services with a Local traffic policy and no endpoints",
      ["traffic_policy", "ip_family"],
    ),
    syncFailures: counter(
      "sync_proxy_rules_nftables_sync_failures_total",
      "Cumulative proxy nftables sync failures",
      byFamily,
    ),
    cleanupFailures: counter(
      "sync_proxy_rules_nftables_cleanup_failures_total",
      "Cumulative proxy nftables cleanup failures",
      byFamily,
    ),
    healthz: counter("proxy_healthz_total", "Cumulative proxy healthz HTTP status", ["code"]),
    livez: counter("proxy_livez_total", "Cumulative proxy livez HTTP status", ["code"]),
  };
  for (const family of families) metrics.conntrackDeleted.with(family);
  for (const policy of ["internal", "external"] as const)
    for (const family of families) metrics.noLocalEndpoints.with(policy, family).set(0);
  // Those without labels are there from the start.
  for (const family of [metrics.endpointsPending, metrics.servicesPending]) family.with();
  for (const family of [metrics.endpointChanges, metrics.serviceChanges]) family.with();
  return metrics;
}
