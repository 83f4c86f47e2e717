import assert from "node:assert/strict";
import { test } from "node:test";
import type { PodDisruptionBudget } from "#api";
import { ago, testNow, testPod } from "../lib/fixture.ts";
import { failSafe, planBudget, printSelector, staleInMs } from "./reconcile.ts";

const budget = (spec: object, status: object = {}): PodDisruptionBudget => ({
  metadata: { name: "b", namespace: "default", generation: 3 },
  spec: { selector: { matchLabels: { app: "web" } }, ...spec },
  status: status as PodDisruptionBudget["status"] & object,
});

const pods = (ready: number, others = 0) => [
  ...Array.from({ length: ready }, (_, index) => testPod({ name: `r${index}`, readySince: 5 })),
  ...Array.from({ length: others }, (_, index) => testPod({ name: `n${index}` })),
];

for (const [why, spec, covered, scale, expected] of [
  ["min available", { minAvailable: 2 }, pods(3), 0, [3, 2, 3, 1]],
  ["min available, some sick", { minAvailable: 2 }, pods(2, 1), 0, [2, 2, 3, 0]],
  ["min available in percent", { minAvailable: "50%" }, pods(3), 3, [3, 2, 3, 1]],
  ["max unavailable", { maxUnavailable: 1 }, pods(3), 4, [3, 3, 4, 0]],
  ["max unavailable in percent, rounded up", { maxUnavailable: "30%" }, pods(4), 4, [4, 2, 4, 2]],
  ["no pods: none", { maxUnavailable: 1 }, [], 0, [0, 0, 0, 0]],
  ["more must be available than there are", { minAvailable: 9 }, pods(3), 0, [3, 9, 3, 0]],
  ["min available in percent, rounded up", { minAvailable: "28%" }, pods(7), 7, [7, 2, 7, 5]],
  ["all must be available", { minAvailable: "100%" }, pods(3), 3, [3, 3, 3, 0]],
  ["more may be unavailable than there are", { maxUnavailable: 9 }, pods(2), 2, [2, 0, 2, 2]],
  ["none may be unavailable", { maxUnavailable: 0 }, pods(2), 2, [2, 2, 2, 0]],
  ["fewer pods than their controllers want", { maxUnavailable: "30%" }, pods(7), 10, [7, 7, 10, 0]],
  ["nothing said: nothing allowed", {}, pods(3), 0, [3, 0, 0, 0]],
  [
    "pods that go aren't healthy",
    { minAvailable: 1 },
    [...pods(1), testPod({ name: "g", readySince: 5, deleting: true })],
    0,
    [1, 1, 2, 0],
  ],
] as const)
  test(`budget: ${why}`, () => {
    const { status } = planBudget({ budget: budget(spec), pods: covered, expectedScale: scale, now: testNow });
    const { currentHealthy, desiredHealthy, expectedPods, disruptionsAllowed } = status;
    assert.deepEqual([currentHealthy, desiredHealthy, expectedPods, disruptionsAllowed], expected);
    assert.equal(status.conditions?.[0]?.reason, (disruptionsAllowed ?? 0) > 0 ? "SufficientPods" : "InsufficientPods");
  });

test("budget: granted evictions count as done, until they prove not to be", () => {
  const of = budget({ minAvailable: 1 }, { disruptedPods: { r0: ago(60), r1: ago(200), gone: ago(5) } });
  const plan = planBudget({ budget: of, pods: pods(3), expectedScale: 0, now: testNow });
  assert.deepEqual(plan.status.disruptedPods, { r0: ago(60) });
  assert.equal(plan.status.currentHealthy, 2);
  assert.deepEqual(
    plan.notDeleted.map(({ metadata }) => metadata.name),
    ["r1"],
  );
  assert.equal(plan.againMs, 60_001);
});

const about = (type: string, change: object = {}, more: object = {}) => ({
  ...testPod({ name: "p", ...more }),
  status: { phase: "Running", conditions: [{ type, status: "True", lastTransitionTime: ago(30), ...change }] },
});
for (const [why, pod, expected] of [
  ["in two minutes", about("DisruptionTarget"), 90_000],
  ["now", about("DisruptionTarget", { lastTransitionTime: ago(500) }), 0],
  ["another condition", about("Ready"), undefined],
  ["taken back already", about("DisruptionTarget", { status: "False" }), undefined],
  ["by its kubelet: may take long", about("DisruptionTarget", { reason: "TerminationByKubelet" }), undefined],
  ["it goes", about("DisruptionTarget", {}, { deleting: true }), undefined],
  [
    "it is over",
    { ...about("DisruptionTarget"), status: { ...about("DisruptionTarget").status, phase: "Failed" } },
    undefined,
  ],
] as const)
  test(`budget: a disruption that didn't come is taken back: ${why}`, () =>
    assert.equal(staleInMs(pod, testNow), expected));

test("budget: in doubt nothing may be evicted", () => {
  const status = failSafe(budget({}, { disruptionsAllowed: 3, currentHealthy: 3 }), "why", testNow);
  assert.equal(status.disruptionsAllowed, 0);
  assert.deepEqual([status.conditions?.[0]?.reason, status.conditions?.[0]?.message], ["SyncFailed", "why"]);
});

test("budget: a selector as upstream prints it", () => {
  assert.equal(
    printSelector({
      matchExpressions: [
        { key: "k", operator: "In", values: ["a", "b"] },
        { key: "l", operator: "Exists" },
      ],
    }),
    "&LabelSelector{MatchLabels:map[string]string{},MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,Values:[a b],},LabelSelectorRequirement{Key:l,Operator:Exists,Values:[],},},}",
  );
  assert.equal(
    printSelector({ matchLabels: { b: "2", a: "1" } }),
    "&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},MatchExpressions:[]LabelSelectorRequirement{},}",
  );
});
