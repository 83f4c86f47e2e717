export { type ResourceMetricsOptions, resourceMetricsHandlers, type SimulatedUsage } from "./handlers.ts";
export { metricKinds, metricsReader, withResourceMetrics } from "./kinds.ts";
export { fetchUsage } from "./fetch-usage.ts";
export type { Usage } from "./usage-collector.ts";
