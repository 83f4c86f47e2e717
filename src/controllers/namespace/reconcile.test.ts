import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, testNow } from "../lib/fixture.ts";
import { estimateSeconds, namespaceConditions, nextLookMs, type Remains } from "./reconcile.ts";

const remains = (resource: string, count: number, finalizers: Record<string, number> = {}): Remains => ({
  group: resource === "pods" ? "" : "apps",
  version: "v1",
  resource,
  count,
  finalizers: new Map(Object.entries(finalizers)),
});

test("namespace: conditions name what remains and what holds it", () => {
  const report = {
    failures: ["b: no", "a: no"],
    remains: [remains("pods", 2, { "x/y": 1 }), remains("deployments", 1, { "x/y": 1 })],
  };
  const conditions = namespaceConditions([], report, testNow);
  assert.deepEqual(
    conditions?.map(({ type, status, reason, message }) => [type, status, reason, message]),
    [
      ["NamespaceDeletionDiscoveryFailure", "False", "ResourcesDiscovered", "All resources successfully discovered"],
      [
        "NamespaceDeletionGroupVersionParsingFailure",
        "False",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
      ],
      [
        "NamespaceDeletionContentFailure",
        "True",
        "ContentDeletionFailed",
        "Failed to delete all resource types, 2 remaining: a: no, b: no",
      ],
      [
        "NamespaceContentRemaining",
        "True",
        "SomeResourcesRemain",
        "Some resources are remaining: deployments.apps has 1 resource instances, pods. has 2 resource instances",
      ],
      [
        "NamespaceFinalizersRemaining",
        "True",
        "SomeFinalizersRemain",
        "Some content in the namespace has finalizers remaining: x/y in 2 resource instances",
      ],
    ],
  );
  assert.equal(namespaceConditions(conditions ?? [], report, testNow + 5000), undefined);
  const later = namespaceConditions(conditions ?? [], { failures: [], remains: [] }, testNow + 5000);
  assert.deepEqual(
    later?.map(({ status, lastTransitionTime }) => [status, lastTransitionTime]),
    [
      ["False", ago(0)],
      ["False", ago(0)],
      ["False", ago(-5)],
      ["False", ago(-5)],
      ["False", ago(-5)],
    ],
  );
});

test("namespace: while pods are left conditions don't tell of what remains, only of what failed", () => {
  const report = { failures: ["no"], remains: [remains("pods", 1, { "x/y": 1 })], podsRemain: true };
  assert.deepEqual(
    namespaceConditions([], report, testNow)
      ?.filter(({ status }) => status === "True")
      .map(({ type }) => type),
    ["NamespaceDeletionContentFailure"],
  );
});

for (const [why, left, grace, expected] of [
  ["pods in their grace period", remains("pods", 1), 30, 30],
  ["pods after it, with finalizers", remains("pods", 1, { x: 1 }), 0, 15],
  ["finalizers", remains("deployments", 1, { x: 1 }), 30, 15],
  ["nothing explains it", remains("deployments", 1), 30, 0],
] as const)
  test(`namespace: what remains may take: ${why}`, () => assert.equal(estimateSeconds(left, grace), expected));

test("namespace: looks again after half of it", () => {
  assert.deepEqual([30, 15, 1].map(nextLookMs), [16_000, 8000, 1000]);
});
