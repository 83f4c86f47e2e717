import assert from "node:assert/strict";
import { test } from "node:test";
import { cloneJson } from "#machinery";
import { tryCreate } from "../trial.ts";
import type { AutoscalingV1HorizontalPodAutoscaler, HorizontalPodAutoscaler } from "../types.d.ts";
import { fromOld, toOld } from "./autoscaler/convert.ts";
import { horizontalPodAutoscalerKind as kind } from "./horizontal-pod-autoscaler.ts";

const scaleTargetRef = { apiVersion: "apps/v1", kind: "Deployment", name: "web" };
const target = (type: string, value: object) => ({ type, ...value });
const cpu = { type: "Resource", resource: { name: "cpu", target: target("Utilization", { averageUtilization: 50 }) } };
const others = [
  { type: "Resource", resource: { name: "memory", target: target("AverageValue", { averageValue: "100Mi" }) } },
  { type: "Pods", pods: { metric: { name: "m" }, target: target("AverageValue", { averageValue: "1k" }) } },
  {
    type: "Object",
    object: {
      describedObject: { kind: "Service", name: "s", apiVersion: "v1" },
      metric: { name: "o", selector: { matchLabels: { a: "b" } } },
      target: target("Value", { value: "500m" }),
    },
  },
  { type: "External", external: { metric: { name: "e" }, target: target("Value", { value: "3" }) } },
  {
    type: "ContainerResource",
    containerResource: { name: "cpu", container: "c", target: target("Utilization", { averageUtilization: 5 }) },
  },
];

const full = (): HorizontalPodAutoscaler => {
  const behavior = { scaleUp: { selectPolicy: "Disabled" }, scaleDown: { stabilizationWindowSeconds: 10 } };
  const { object } = tryCreate(kind, {
    metadata: { name: "h", annotations: { mine: "x", "autoscaling.alpha.kubernetes.io/metrics": "[]" } },
    spec: { scaleTargetRef, minReplicas: 2, maxReplicas: 5, metrics: [...others, cpu], behavior },
  });
  const current = { averageValue: "400m", averageUtilization: 40 };
  object.status = {
    desiredReplicas: 2,
    currentReplicas: 1,
    currentMetrics: [{ type: "Resource", resource: { name: "cpu", current } }],
    conditions: [{ type: "AbleToScale", status: "True", lastTransitionTime: "2026-01-02T03:04:05Z", reason: "R" }],
  };
  return object;
};

test("autoscaler versions: what the old one has no field for is in annotations", () => {
  const { metadata, spec, status } = toOld(full());
  assert.deepEqual(spec, { scaleTargetRef, minReplicas: 2, maxReplicas: 5, targetCPUUtilizationPercentage: 50 });
  assert.deepEqual(status, { currentReplicas: 1, desiredReplicas: 2, currentCPUUtilizationPercentage: 40 });
  const prefix = "autoscaling.alpha.kubernetes.io";
  assert.deepEqual(metadata.annotations, {
    mine: "x",
    [`${prefix}/behavior`]:
      '{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":"Disabled","Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15},{"Type":"Percent","Value":100,"PeriodSeconds":15}],"Tolerance":null},"ScaleDown":{"StabilizationWindowSeconds":10,"SelectPolicy":"Max","Policies":[{"Type":"Percent","Value":100,"PeriodSeconds":15}],"Tolerance":null}}',
    [`${prefix}/conditions`]:
      '[{"type":"AbleToScale","status":"True","lastTransitionTime":"2026-01-02T03:04:05Z","reason":"R"}]',
    [`${prefix}/current-metrics`]:
      '[{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":40,"currentAverageValue":"400m"}}]',
    [`${prefix}/metrics`]:
      '[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"100Mi"}},{"type":"Pods","pods":{"metricName":"m","targetAverageValue":"1k"}},{"type":"Object","object":{"target":{"kind":"Service","name":"s","apiVersion":"v1"},"metricName":"o","targetValue":"500m","selector":{"matchLabels":{"a":"b"}}}},{"type":"External","external":{"metricName":"e","targetValue":"3"}},{"type":"ContainerResource","containerResource":{"name":"cpu","targetAverageUtilization":5,"container":"c"}}]',
  });
});

test("autoscaler versions: there and back nothing is lost", () => {
  const object = full();
  assert.deepEqual(fromOld(toOld(cloneJson(object))), { kind: kind.kind, apiVersion: "autoscaling/v2", ...object });
});

test("autoscaler versions: without anything else the use of CPU counts", () => {
  const old: AutoscalingV1HorizontalPodAutoscaler = {
    metadata: { name: "h" },
    spec: { scaleTargetRef, maxReplicas: 5 },
  };
  const metricsOf = (change: object, annotation = "") => {
    const annotations = annotation && { "autoscaling.alpha.kubernetes.io/metrics": annotation };
    const metadata = { name: "h", ...(annotations && { annotations }) };
    return fromOld({ ...old, metadata, spec: { ...old.spec, ...change } }).spec.metrics?.map(({ type }) => type);
  };
  assert.deepEqual(metricsOf({}), ["Resource"]);
  assert.deepEqual(metricsOf({ targetCPUUtilizationPercentage: 70 }, '[{"type":"Pods","pods":{"metricName":"m"}}]'), [
    "Pods",
    "Resource",
  ]);
  // Upstream passes over what it can't read.
  for (const text of ["{", "{}", "[1]", '[{"type":5}]', '[{"type":"Pods","pods":{"targetAverageValue":"x"}}]']) {
    assert.deepEqual(metricsOf({}, text), ["Resource"], text);
  }
});
