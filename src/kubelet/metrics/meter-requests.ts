/** Requests to the node's server, counted by the first part of their path as upstream does. */
import type { MetricRegistry } from "#base";
import type { Exchange } from "../server/exchange.ts";

const known = new Set([
  ..."healthz pods stats metrics metrics/cadvisor metrics/resource metrics/probes metrics/slis configz statusz flagz".split(
    " ",
  ),
  ..."runningpods logs debug containerLogs exec attach portForward run checkpoint".split(" "),
]);
const longRunning = new Set(["exec", "attach", "portForward", "debug"]);
/** Prometheus' own. */
const bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const labels = ["method", "path", "server_type", "long_running"] as const;

export type MeterRequest = (exchange: Exchange) => void;

export function createRequestMeter(registry: MetricRegistry): MeterRequest {
  const requests = registry.counter(
    "kubelet_http_requests_total",
    "[ALPHA] Number of the http requests received since the server started",
    labels,
  );
  const running = registry.gauge(
    "kubelet_http_inflight_requests",
    "[ALPHA] Number of the inflight http requests",
    labels,
  );
  const seconds = registry.histogram(
    "kubelet_http_requests_duration_seconds",
    "[ALPHA] Duration in seconds to serve http requests",
    { bounds, labels },
  );
  return ({ request, response, parts, upgrade }) => {
    const root = parts[0] === "metrics" ? parts.slice(0, 2).join("/") : (parts[0] ?? "");
    const path = known.has(root) ? root : "other";
    const type = "encrypted" in request.socket ? "readwrite" : "readonly";
    const values = [request.method ?? "GET", path, type, String(longRunning.has(path))] as const;
    requests.with(...values).inc();
    // Whoever takes the connection over answers nobody here.
    if (upgrade) return;
    const started = performance.now();
    running.with(...values).add(1);
    response.once("close", () => {
      running.with(...values).add(-1);
      seconds.with(...values).observe((performance.now() - started) / 1000);
    });
  };
}
