import assert from "node:assert/strict";
import { test } from "node:test";
import type { PersistentVolumeClaim, Pod, StatefulSet } from "#api";
import { type PodShape, testNow, testPod } from "../lib/fixture.ts";
import { claimOwnership, claimsOf, isStaleClaim, mendedPod, revisionLabel } from "./identity.ts";
import { planStateful, type StatefulState } from "./reconcile.ts";

const claimTemplate: PersistentVolumeClaim = { metadata: { name: "data" }, spec: { accessModes: ["ReadWriteOnce"] } };
const template = { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "c", image: "new" }] } };

function set(change: Partial<StatefulSet["spec"]> & object = {}): StatefulSet {
  return {
    metadata: { name: "web", namespace: "default", uid: "uid-web", generation: 1 },
    spec: {
      replicas: 3,
      serviceName: "svc",
      selector: { matchLabels: { app: "web" } },
      template,
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 0 } },
      ...change,
    },
  };
}

const pod = (ordinal: number, change: Partial<PodShape> = {}, revision = "web-new"): Pod =>
  testPod({
    name: `web-${ordinal}`,
    readySince: 5,
    labels: { app: "web", [revisionLabel]: revision, "statefulset.kubernetes.io/pod-name": `web-${ordinal}` },
    ...change,
  });
const old = (ordinal: number, change: Partial<PodShape> = {}) => pod(ordinal, change, "web-old");
const unready = { readySince: undefined } as unknown as Partial<PodShape>;

function state(of: StatefulSet, pods: Pod[]): StatefulState {
  const current = {
    template: { ...template, spec: { containers: [{ name: "c", image: "old" }] } },
    revision: "web-old",
  };
  const update = { template, revision: "web-new" };
  return { set: of, pods, current, update, collisions: 0, claim: () => undefined, now: testNow };
}

const steps = (of: StatefulSet, pods: Pod[]) => {
  const plan = planStateful(state(of, pods));
  return [plan.create.map(({ ordinal }) => ordinal), plan.delete.map(({ metadata }) => metadata.name)];
};

const parallel = { podManagementPolicy: "Parallel" };
const updating = (change: object) => ({ updateStrategy: { type: "RollingUpdate", rollingUpdate: change } });

for (const [why, of, pods, expected] of [
  ["the first first", set(), [], [[0], []]],
  ["the next when it is ready", set(), [pod(0)], [[1], []]],
  ["not before", set(), [pod(0, unready)], [[], []]],
  ["all at once in parallel", set(parallel), [pod(1, unready)], [[0, 2], []]],
  ["a hole is filled first", set(), [pod(0), pod(2)], [[1], []]],
  ["a failed one is deleted", set(), [pod(0), pod(1, { phase: "Failed" }), pod(2)], [[], ["web-1"]]],
  ["and waited for", set(), [pod(0), pod(1, { phase: "Failed", deleting: true }), pod(2)], [[], []]],
  ["scaled down from the top", set({ replicas: 1 }), [pod(0), pod(1), pod(2)], [[], ["web-2"]]],
  ["one at a time", set({ replicas: 1 }), [pod(0), pod(1), pod(2, { deleting: true })], [[], []]],
  ["not while another is sick", set({ replicas: 1 }), [pod(0, unready), pod(1), pod(2)], [[], []]],
  ["the sick one itself may go", set({ replicas: 2 }), [pod(0), pod(1), pod(2, unready)], [[], ["web-2"]]],
  [
    "all at once in parallel, down",
    set({ ...parallel, replicas: 1 }),
    [pod(0), pod(1), pod(2)],
    [[], ["web-2", "web-1"]],
  ],
  ["ordinals from another start", set({ ordinals: { start: 5 }, replicas: 2 }), [pod(5), pod(0)], [[6], []]],
  ["updated from the top", set(), [old(0), old(1), old(2)], [[], ["web-2"]]],
  ["waits for the updated one", set(), [old(0), old(1), pod(2, unready)], [[], []]],
  ["then the next", set(), [old(0), old(1), pod(2)], [[], ["web-1"]]],
  ["not below the partition", set(updating({ partition: 2 })), [old(0), old(1), pod(2)], [[], []]],
  [
    "several may be missing",
    set(updating({ partition: 0, maxUnavailable: 2 })),
    [old(0), old(1), old(2)],
    [[], ["web-2", "web-1"]],
  ],
  [
    "those that are missing count",
    set(updating({ partition: 0, maxUnavailable: 2 })),
    [old(0), pod(1, unready), old(2)],
    [[], []],
  ],
  [
    "not before the updated one has been ready for long",
    set({ minReadySeconds: 60 }),
    [old(0), old(1), pod(2)],
    [[], []],
  ],
  [
    "in parallel, filled and updated in one go",
    set({ ...parallel, replicas: 2 }),
    [old(0), old(1), old(2)],
    [[], ["web-2", "web-1"]],
  ],
  ["on delete: never", set({ updateStrategy: { type: "OnDelete" } }), [old(0), old(1), old(2)], [[], []]],
] satisfies [string, StatefulSet, Pod[], unknown][])
  test(`stateful set: ${why}`, () => assert.deepEqual(steps(of, pods), expected));

test("stateful set: a pod has its name, hostname, index and claims; below the partition the old template", () => {
  const of = set({ volumeClaimTemplates: [claimTemplate], ...updating({ partition: 1 }) });
  const [step] = planStateful(state(of, [])).create;
  assert.equal(step?.pod.metadata.name, "web-0");
  assert.deepEqual(step?.pod.metadata.labels, {
    app: "web",
    "statefulset.kubernetes.io/pod-name": "web-0",
    "apps.kubernetes.io/pod-index": "0",
    "controller-revision-hash": "web-old",
  });
  assert.deepEqual([step?.pod.spec?.hostname, step?.pod.spec?.subdomain], ["web-0", "svc"]);
  assert.deepEqual(step?.pod.spec?.volumes, [{ name: "data", persistentVolumeClaim: { claimName: "data-web-0" } }]);
  assert.equal(step?.pod.spec?.containers[0]?.image, "old");
  const [claim] = claimsOf(of, 0);
  assert.deepEqual(claim?.metadata, { name: "data-web-0", namespace: "default", labels: { app: "web" } });
});

test("stateful set: when all pods are updated and ready, the update is the current revision", () => {
  const { status } = planStateful(state(set(), [pod(0), pod(1), pod(2)]));
  assert.deepEqual(status, {
    observedGeneration: 1,
    replicas: 3,
    readyReplicas: 3,
    availableReplicas: 3,
    currentReplicas: 3,
    updatedReplicas: 3,
    currentRevision: "web-new",
    updateRevision: "web-new",
    collisionCount: 0,
  });
  const midway = planStateful(state(set(), [old(0), old(1), pod(2)])).status;
  assert.deepEqual([midway.currentRevision, midway.currentReplicas, midway.updatedReplicas], ["web-old", 1, 1]);
});

const ownSet = { apiVersion: "apps/v1", kind: "StatefulSet", name: "web", uid: "uid-web", controller: true };
const ownPod = (ordinal: number) => ({
  apiVersion: "v1",
  kind: "Pod",
  name: `web-${ordinal}`,
  uid: `uid-web-${ordinal}`,
});
const managing = { blockOwnerDeletion: true, controller: true };
const foreign = { apiVersion: "v1", kind: "Job", name: "other", uid: "uid-other" };

/** `undefined`: nothing is written. */
for (const [whenDeleted, whenScaled, ordinal, before, expected] of [
  ["Retain", "Retain", 5, [], undefined],
  ["Retain", "Retain", 5, [ownSet], []],
  ["Retain", "Retain", 0, [{ ...foreign, controller: true }], undefined],
  ["Delete", "Retain", 5, [], ["StatefulSet"]],
  ["Delete", "Retain", 0, [foreign], ["Job", "StatefulSet"]],
  ["Delete", "Retain", 0, [ownSet], undefined],
  ["Delete", "Retain", 0, [{ ...ownSet, controller: false }], ["StatefulSet"]],
  ["Delete", "Retain", 0, [{ ...foreign, controller: true }], undefined],
  ["Delete", "Retain", 0, [ownSet, { ...foreign, controller: true }], ["Job"]],
  ["Delete", "Retain", 0, [{ ...ownSet, uid: "former" }], undefined],
  ["Delete", "Delete", 5, [ownSet], ["Pod"]],
  ["Delete", "Delete", 0, [{ ...ownPod(0), ...managing }], ["StatefulSet"]],
  ["Delete", "Delete", 0, [{ ...ownPod(0), uid: "former" }], undefined],
  ["Retain", "Delete", 0, [], undefined],
  ["Retain", "Delete", 0, [{ ...ownPod(0), ...managing }], []],
  ["Retain", "Delete", 5, [], ["Pod"]],
] as const)
  test(`stateful set: claim ${ordinal} owned by ${JSON.stringify(before.map(({ kind }) => kind))}, ${whenDeleted} when deleted, ${whenScaled} when scaled`, () => {
    const of = set({ persistentVolumeClaimRetentionPolicy: { whenDeleted, whenScaled } });
    const holder = { set: of, ordinal, pod: pod(ordinal) };
    const { owners } = claimOwnership({ metadata: { ownerReferences: before } }, holder);
    assert.deepEqual(
      owners?.map(({ kind }) => kind),
      expected,
    );
    if (owners) assert.equal(claimOwnership({ metadata: { ownerReferences: owners } }, holder).owners, undefined);
    for (const owner of owners ?? []) if (owner.kind !== "Job") assert.equal(owner.controller, true);
  });

test("stateful set: a claim that goes with a former pod holds up the next one, if the policy is to delete", () => {
  const claim = { metadata: { ownerReferences: [{ ...ownPod(1), uid: "former" }] } };
  const policy = (whenScaled: string) => set({ persistentVolumeClaimRetentionPolicy: { whenScaled } });
  assert.equal(isStaleClaim(claim, { set: policy("Delete"), ordinal: 1 }), true);
  assert.equal(isStaleClaim(claim, { set: policy("Delete"), ordinal: 0 }), false);
  assert.equal(isStaleClaim(claim, { set: policy("Retain"), ordinal: 1 }), false);
  const waiting = set({ ...policy("Delete").spec, ...parallel, volumeClaimTemplates: [claimTemplate] });
  const plan = planStateful({ ...state(waiting, []), claim: (name) => (name === "data-web-1" ? claim : undefined) });
  assert.deepEqual(
    plan.create.map(({ ordinal }) => ordinal),
    [0, 2],
  );
});

test("stateful set: what is missing around a pod is made good: claims of a pending one, labels and volumes of a running one", () => {
  const of = set({ ...parallel, volumeClaimTemplates: [claimTemplate] });
  const strange = pod(1, { labels: { app: "web" } });
  const plan = planStateful(state(of, [pod(0, { phase: "Pending", ...unready }), strange]));
  assert.deepEqual(
    plan.pending.map(({ ordinal }) => ordinal),
    [0],
  );
  assert.deepEqual(
    plan.mend.map(({ ordinal }) => ordinal),
    [0, 1],
  );
  const mended = mendedPod(strange, of, 1);
  assert.equal(mended?.metadata.labels?.["apps.kubernetes.io/pod-index"], "1");
  assert.equal(mended?.spec?.volumes?.[0]?.persistentVolumeClaim?.claimName, "data-web-1");
});
