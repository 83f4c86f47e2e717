import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, testNow, testPod, testReplicaSet } from "../lib/fixture.ts";
import { burstMax, isStatusCurrent, nextAvailabilityMs, planReplicas, replicaStatus } from "./reconcile.ts";

const pods = (count: number) => Array.from({ length: count }, (_, index) => testPod({ name: `p${index}` }));

for (const [wanted, have, create, remove] of [
  [3, 0, 3, 0],
  [3, 3, 0, 0],
  [1, 3, 0, 2],
  [0, 2, 0, 2],
  [1000, 0, burstMax, 0],
] as const)
  test(`replica set: wants ${wanted}, has ${have}`, () => {
    const owner = testReplicaSet("rs", { replicas: wanted });
    const plan = planReplicas({ owner, pods: pods(have), related: () => [], now: testNow });
    assert.deepEqual([plan.create, plan.delete.length], [create, remove]);
  });

test("replica set: status counts labelled, ready and available pods", () => {
  const owner = testReplicaSet("rs", { replicas: 4, minReadySeconds: 30 });
  const status = replicaStatus({
    owner,
    pods: [
      testPod({ name: "a", readySince: 60 }),
      testPod({ name: "b", readySince: 10 }),
      testPod({ name: "c" }),
      testPod({ name: "d", labels: { app: "other" } }),
    ],
    terminating: 2,
    now: testNow,
  });
  assert.deepEqual(status, {
    replicas: 4,
    fullyLabeledReplicas: 3,
    readyReplicas: 2,
    availableReplicas: 1,
    terminatingReplicas: 2,
    observedGeneration: 1,
  });
});

test("replica set: a failure shows as a condition until it is over", () => {
  const owner = testReplicaSet("rs", { replicas: 2 });
  const status = replicaStatus({ owner, pods: pods(1), failure: "quota", now: testNow });
  assert.deepEqual(status.conditions, [
    {
      type: "ReplicaFailure",
      status: "True",
      lastTransitionTime: ago(0),
      reason: "FailedCreate",
      message: "quota",
    },
  ]);
  const later = replicaStatus({ owner: { ...owner, status }, pods: pods(2), now: testNow });
  assert.equal(later.conditions, undefined);
});

test("replica set: zero and missing counts are the same status", () => {
  const owner = { ...testReplicaSet("rs"), status: { replicas: 0, observedGeneration: 1 } };
  assert.equal(isStatusCurrent(owner, replicaStatus({ owner, pods: [], now: testNow })), true);
  assert.equal(isStatusCurrent(owner, replicaStatus({ owner, pods: pods(1), now: testNow })), false);
  const changed = { ...owner, metadata: { ...owner.metadata, generation: 2 } };
  assert.equal(isStatusCurrent(changed, replicaStatus({ owner: changed, pods: [], now: testNow })), false);
});

test("replica set: looks again when the next ready pod becomes available", () => {
  const owner = testReplicaSet("rs", { minReadySeconds: 30 });
  const some = [testPod({ name: "a", readySince: 60 }), testPod({ name: "b", readySince: 10 })];
  assert.equal(nextAvailabilityMs(owner, some, testNow), 20_000);
  assert.equal(nextAvailabilityMs(testReplicaSet("rs"), some, testNow), undefined);
});
