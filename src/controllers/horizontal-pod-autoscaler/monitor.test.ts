import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock, MetricRegistry, printMetrics } from "#base";
import { createMonitor, directionOf } from "./monitor.ts";

test("autoscaler's metrics: upstream's names, by what was done and what went wrong", async () => {
  const registry = new MetricRegistry();
  const clock = new FakeClock();
  const monitor = createMonitor(registry, { clock, count: () => 2 });
  const [first, second] = [monitor.reconciliation(), monitor.computation("Resource")];
  clock.advance(3);
  second({ action: directionOf(1, 3), failure: "none" });
  first({ action: "none", failure: "spec" });
  const web = { namespace: "ns", name: "web" };
  monitor.desired(web, 3);
  const shown = async () =>
    [...printMetrics(await registry.collect(), "text")]
      .join("")
      .split("\n")
      .filter((line) => /^horizontal.*(total|replicas|autoscalers|_sum)/.test(line))
      .map((line) => line.replace("horizontal_pod_autoscaler_controller_", ""));
  assert.deepEqual(await shown(), [
    'desired_replicas{namespace="ns",hpa_name="web"} 3',
    'metric_computation_duration_seconds_sum{action="scale_up",error="none",metric_type="Resource"} 0.003',
    'metric_computation_total{action="scale_up",error="none",metric_type="Resource"} 1',
    "num_horizontal_pod_autoscalers 2",
    'reconciliation_duration_seconds_sum{action="none",error="spec"} 0.003',
    'reconciliations_total{action="none",error="spec"} 1',
  ]);
  monitor.gone(web);
  assert.ok(!(await shown()).some((line) => line.startsWith("desired_replicas")));
});
