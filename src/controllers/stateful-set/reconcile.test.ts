import assert from "node:assert/strict";
import { test } from "node:test";
import type { PersistentVolumeClaim, Pod, StatefulSet } from "#api";
import { type PodShape, testNow, testPod } from "../lib/fixture.ts";
import { claimOwners, claimsOf, isStaleClaim, revisionLabel } from "./identity.ts";
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
  return { set: of, pods, current, update: { template, revision: "web-new" }, now: testNow };
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

for (const [whenDeleted, whenScaled, ordinal, expected] of [
  ["Retain", "Retain", 5, []],
  ["Delete", "Retain", 5, ["StatefulSet"]],
  ["Delete", "Delete", 5, ["Pod"]],
  ["Delete", "Delete", 0, ["StatefulSet"]],
  ["Retain", "Delete", 0, []],
] as const)
  test(`stateful set: claims when deleted ${whenDeleted}, when scaled ${whenScaled}, ordinal ${ordinal}`, () => {
    const of = set({ persistentVolumeClaimRetentionPolicy: { whenDeleted, whenScaled } });
    const holder = { set: of, ordinal, pod: pod(ordinal) };
    const stray = { apiVersion: "v1", kind: "Pod", name: `web-${ordinal}`, uid: "former" };
    const owners = claimOwners({ metadata: { ownerReferences: [stray] } }, holder);
    assert.deepEqual(
      owners?.map(({ kind }) => kind),
      expected,
    );
    assert.equal(claimOwners({ metadata: { ownerReferences: owners ?? [] } }, holder), undefined);
    assert.equal(
      isStaleClaim({ metadata: { ownerReferences: [stray] } }, { set: of, ordinal }),
      whenScaled === "Delete",
    );
  });
