import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  PersistentVolume,
  PersistentVolumeClaim,
  PersistentVolumeClaimSpec,
  PersistentVolumeSpec,
  Pod,
  StorageClass,
  Volume as PodVolume,
} from "#api";
import { createAssumedStorage } from "./assumed-storage.ts";
import { ClusterState, noObjects } from "./cluster-state.ts";
import { defaultProfile } from "./default-plugins.ts";
import { printFitFailure } from "./fit-error.ts";
import { makeNode, makePod } from "./fixtures.ts";
import { createPodInfo } from "./pod-info.ts";
import { preempt } from "./preempt.ts";
import { createDecider } from "./schedule.ts";
import { classOf, noStorage, type StorageObjects } from "./storage.ts";
import { planVolumes, sortClaims } from "./volume-binding.ts";

interface World {
  claims?: PersistentVolumeClaim[];
  volumes?: PersistentVolume[];
  classes?: StorageClass[];
  csiNodes?: CSINode[];
  csiDrivers?: CSIDriver[];
  capacities?: CSIStorageCapacity[];
}

function storageOf(world: World): StorageObjects {
  const { claims = [], volumes = [], classes = [later], csiNodes = [], csiDrivers = [], capacities = [] } = world;
  const named =
    <T extends { metadata: { name?: string } }>(objects: T[]) =>
    (name: string) =>
      objects.find(({ metadata }) => metadata.name === name);
  return {
    ...noStorage,
    claim: (key) => claims.find(({ metadata }) => `${metadata.namespace}/${metadata.name}` === key),
    volume: named(volumes),
    volumesOfClass: (name) => volumes.filter((volume) => classOf(volume) === name),
    storageClass: named(classes),
    csiNode: named(csiNodes),
    csiDriver: named(csiDrivers),
    capacitiesOfClass: (name) => capacities.filter(({ storageClassName }) => storageClassName === name),
  };
}

const storageClass = (name: string, more: Partial<StorageClass> = {}): StorageClass => ({
  metadata: { name },
  provisioner: "disk.example",
  volumeBindingMode: "WaitForFirstConsumer",
  ...more,
});
const later = storageClass("later");
const local = storageClass("local", { provisioner: "kubernetes.io/no-provisioner" });
const now = storageClass("now", { volumeBindingMode: "Immediate" });

function claim(
  name: string,
  spec: PersistentVolumeClaimSpec = {},
  metadata: Partial<PersistentVolumeClaim["metadata"]> = {},
): PersistentVolumeClaim {
  return {
    metadata: { name, namespace: "ns", uid: `uid-${name}`, ...metadata },
    spec: { storageClassName: "later", resources: { requests: { storage: "1Gi" } }, ...spec },
  };
}
const bound = (name: string, volumeName: string, spec: PersistentVolumeClaimSpec = {}) =>
  claim(name, { volumeName, ...spec }, { annotations: { "pv.kubernetes.io/bind-completed": "yes" } });

function volume(
  name: string,
  spec: PersistentVolumeSpec = {},
  metadata: Partial<PersistentVolume["metadata"]> = {},
): PersistentVolume {
  return {
    metadata: { name, ...metadata },
    spec: { storageClassName: "later", capacity: { storage: "1Gi" }, ...spec },
    status: { phase: "Available" },
  };
}
const on = (node: string): PersistentVolumeSpec => ({
  nodeAffinity: {
    required: {
      nodeSelectorTerms: [{ matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: [node] }] }],
    },
  },
});

const withVolumes = (...volumes: Omit<PodVolume, "name">[]): Pod =>
  makePod("p", { spec: { volumes: volumes.map((each, index) => ({ name: `v${index}`, ...each })) } });
const using = (...names: string[]) =>
  withVolumes(...names.map((claimName) => ({ persistentVolumeClaim: { claimName } })));
const onlyOn = (node: string, pod: Pod): Pod => ({
  ...pod,
  spec: { containers: [], ...pod.spec, nodeSelector: { "kubernetes.io/hostname": node } },
});
const user = (name: string, claimName: string, node: string): Pod => {
  const pod = makePod(name, {
    spec: { nodeName: node, volumes: [{ name: "v", persistentVolumeClaim: { claimName } }] },
  });
  return pod;
};

const noMatch = "node(s) didn't find available persistent volumes to bind";
const zone = "topology.kubernetes.io/zone";

interface Case extends World {
  name: string;
  pod: Pod;
  others?: Pod[];
  /** The node that takes it: n or m (in zone z), or why none does. */
  expected: string;
}

const cases: Case[] = [
  { name: "a claim that is missing", pod: using("c"), expected: 'persistentvolumeclaim "c" not found' },
  {
    name: "a claim of an ephemeral volume that is yet to be made",
    pod: withVolumes({ ephemeral: { volumeClaimTemplate: { spec: {} } } }),
    expected: 'waiting for ephemeral volume controller to create the persistentvolumeclaim "p-v0"',
  },
  {
    name: "a claim of an ephemeral volume that belongs to somebody else",
    pod: withVolumes({ ephemeral: { volumeClaimTemplate: { spec: {} } } }),
    claims: [claim("p-v0")],
    expected: "PVC ns/p-v0 was not created for pod ns/p (pod is not owner)",
  },
  {
    name: "a claim that is being deleted",
    pod: using("c"),
    claims: [claim("c", {}, { deletionTimestamp: "2026-01-01T00:00:00Z" })],
    expected: 'persistentvolumeclaim "c" is being deleted',
  },
  {
    name: "a claim that lost its volume",
    pod: using("c"),
    claims: [{ ...bound("c", "gone"), status: { phase: "Lost" } }],
    expected: 'persistentvolumeclaim "c" bound to non-existent persistentvolume "gone"',
  },
  {
    name: "an unbound claim that doesn't wait for a pod",
    pod: using("c"),
    claims: [claim("c", { storageClassName: "now" })],
    classes: [now],
    expected: "pod has unbound immediate PersistentVolumeClaims",
  },
  {
    name: "an unbound claim that names its volume",
    pod: using("c"),
    claims: [claim("c", { volumeName: "v" })],
    expected: "pod has unbound immediate PersistentVolumeClaims",
  },
  {
    name: "a bound claim goes where its volume is",
    pod: using("c"),
    claims: [bound("c", "v")],
    volumes: [volume("v", on("m"))],
    expected: "m",
  },
  {
    name: "a bound claim whose volume no node reaches",
    pod: using("c"),
    claims: [bound("c", "v")],
    volumes: [volume("v", on("x"))],
    expected: "2 node(s) didn't match PersistentVolume's node affinity",
  },
  {
    name: "a bound claim whose volume is gone",
    pod: using("c"),
    claims: [bound("c", "v")],
    expected: 'persistentvolume "v" not found',
  },
  {
    name: "an unbound claim goes where a volume for it is",
    pod: using("c"),
    classes: [local],
    claims: [claim("c", { storageClassName: "local" })],
    volumes: [volume("v", { ...on("m"), storageClassName: "local" })],
    expected: "m",
  },
  ...Object.entries<PersistentVolume>({
    "too small": volume("v", { storageClassName: "local", capacity: { storage: "1Mi" } }),
    "of another mode": volume("v", { storageClassName: "local", volumeMode: "Block" }),
    "somebody else's": volume("v", { storageClassName: "local", claimRef: { namespace: "ns", name: "other" } }),
    "of an earlier claim of this name": volume("v", {
      storageClassName: "local",
      claimRef: { namespace: "ns", name: "c", uid: "before" },
    }),
    "not available": { ...volume("v", { storageClassName: "local" }), status: { phase: "Failed" } },
    "on its way out": volume("v", { storageClassName: "local" }, { deletionTimestamp: "2026-01-01T00:00:00Z" }),
    "of another class": volume("v", { storageClassName: "other" }),
  }).map(([what, each]) => ({
    name: `a volume that is ${what}`,
    pod: using("c"),
    classes: [local],
    claims: [claim("c", { storageClassName: "local" })],
    volumes: [each],
    expected: `2 ${noMatch}`,
  })),
  {
    name: "a volume that lacks an access mode",
    pod: using("c"),
    classes: [local],
    claims: [claim("c", { storageClassName: "local", accessModes: ["ReadWriteMany"] })],
    volumes: [volume("v", { storageClassName: "local", accessModes: ["ReadWriteOnce"] })],
    expected: `2 ${noMatch}`,
  },
  {
    name: "a volume that the claim's selector doesn't match",
    pod: using("c"),
    classes: [local],
    claims: [claim("c", { storageClassName: "local", selector: { matchLabels: { a: "b" } } })],
    volumes: [volume("v", { storageClassName: "local" })],
    expected: `2 ${noMatch}`,
  },
  {
    name: "two claims need two volumes",
    pod: using("c", "d"),
    classes: [local],
    claims: [claim("c", { storageClassName: "local" }), claim("d", { storageClassName: "local" })],
    volumes: [
      volume("v", { ...on("n"), storageClassName: "local" }),
      volume("w", { ...on("m"), storageClassName: "local" }),
      volume("x", { ...on("m"), storageClassName: "local" }),
    ],
    expected: "m",
  },
  {
    name: "a volume can be made where the class allows it",
    pod: using("c"),
    classes: [{ ...later, allowedTopologies: [{ matchLabelExpressions: [{ key: zone, values: ["z"] }] }] }],
    claims: [claim("c")],
    expected: "m",
  },
  {
    name: "a volume is made where that was decided before",
    pod: using("c"),
    claims: [claim("c", {}, { annotations: { "volume.kubernetes.io/selected-node": "m" } })],
    expected: "m",
  },
  {
    name: "a volume is made where there is room for it",
    pod: using("c"),
    claims: [claim("c")],
    csiDrivers: [{ metadata: { name: "disk.example" }, spec: { storageCapacity: true } }],
    capacities: [
      { metadata: {}, storageClassName: "later", capacity: "1Mi", nodeTopology: {} },
      { metadata: {}, storageClassName: "later", capacity: "2Gi", nodeTopology: { matchLabels: { [zone]: "z" } } },
    ],
    expected: "m",
  },
  {
    name: "nowhere is room for a volume",
    pod: using("c"),
    claims: [claim("c")],
    csiDrivers: [{ metadata: { name: "disk.example" }, spec: { storageCapacity: true } }],
    expected: "2 node(s) did not have enough free storage",
  },
  {
    name: "a volume of several zones",
    pod: onlyOn("m", using("c")),
    claims: [bound("c", "v")],
    volumes: [volume("v", {}, { labels: { [zone]: "y__z" } })],
    expected: "m",
  },
  {
    name: "a volume of another zone",
    pod: onlyOn("m", using("c")),
    claims: [bound("c", "v")],
    volumes: [volume("v", {}, { labels: { "failure-domain.beta.kubernetes.io/zone": "y" } })],
    expected: "1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had no available volume zone",
  },
  {
    name: "a volume of another zone, for a node without",
    pod: using("c"),
    claims: [bound("c", "v")],
    volumes: [volume("v", {}, { labels: { [zone]: "y" } })],
    expected: "n",
  },
  {
    name: "a claim for one pod only, in use on one of the nodes",
    pod: using("c"),
    claims: [bound("c", "v", { accessModes: ["ReadWriteOncePod"] })],
    volumes: [volume("v")],
    others: [user("other", "c", "n")],
    expected:
      "2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod",
  },
  {
    name: "a disk that another pod writes to",
    pod: withVolumes({ gcePersistentDisk: { pdName: "d", readOnly: true } }),
    others: [
      makePod("other", {
        spec: { nodeName: "n", volumes: [{ name: "v", gcePersistentDisk: { pdName: "d" } }] },
      }),
    ],
    expected: "m",
  },
  {
    name: "more volumes than a driver attaches",
    pod: using("c"),
    claims: [claim("c"), bound("d", "v")],
    volumes: [volume("v", { csi: { driver: "disk.example", volumeHandle: "h" } })],
    csiNodes: ["n", "m"].map((name) => ({
      metadata: { name },
      spec: { drivers: [{ name: "disk.example", nodeID: name, allocatable: { count: 1 } }] },
    })),
    others: [user("other", "d", "n")],
    expected: "m",
  },
  {
    name: "a volume that is attached already counts once",
    pod: using("d"),
    claims: [bound("d", "v")],
    volumes: [volume("v", { csi: { driver: "disk.example", volumeHandle: "h" } })],
    csiNodes: ["n", "m"].map((name) => ({
      metadata: { name },
      spec: {
        drivers: [{ name: "disk.example", nodeID: name, allocatable: { count: name === "n" ? 1 : 0 } }],
      },
    })),
    others: [user("other", "d", "n")],
    expected: "n",
  },
];

function stateOf({ others = [], ...world }: World & { others?: Pod[] }): ClusterState {
  const state = new ClusterState({ ...noObjects, storage: storageOf(world) });
  state.setNode(makeNode("n"));
  state.setNode(makeNode("m", { labels: { [zone]: "z" } }));
  for (const other of others) state.setPod(other);
  return state;
}

for (const { name, pod, expected, ...world } of cases) {
  test(`volumes: ${name}`, () => {
    const decision = createDecider(defaultProfile).decide(createPodInfo(pod), stateOf(world));
    const found = "failure" in decision ? printFitFailure(decision.failure) : decision.node.name;
    const isNode = expected === "n" || expected === "m";
    assert.equal(found, isNode ? expected : `0/2 nodes are available: ${expected}.`);
  });
}

test("volumes: of those that suffice a claim gets the smallest, and the smallest claim chooses first", () => {
  const storage = storageOf({
    claims: [claim("large", { resources: { requests: { storage: "2Gi" } } }), claim("small")],
    volumes: [
      volume("v3", { capacity: { storage: "3Gi" } }),
      volume("v2", { capacity: { storage: "2Gi" } }),
      volume("v4", { capacity: { storage: "4Gi" } }),
    ],
  });
  const claims = sortClaims(createPodInfo(using("large", "small")), storage);
  assert.ok(typeof claims === "object");
  const plan = planVolumes(claims, new ClusterState().setNode(makeNode("n")), storage);
  assert.ok("bindings" in plan);
  assert.deepEqual(
    plan.bindings.map((each) => [each.claim.metadata.name, each.volume.metadata.name]),
    [
      ["small", "v2"],
      ["large", "v3"],
    ],
  );
  assert.deepEqual(plan.provisions, []);
});

test("volumes: what was given away is gone until the server shows something newer, or it is taken back", () => {
  const world: Required<Pick<World, "claims" | "volumes" | "classes">> = {
    claims: [claim("c"), claim("d")],
    volumes: [volume("v")],
    classes: [later],
  };
  const assumed = createAssumedStorage(storageOf(world));
  const node = new ClusterState().setNode(makeNode("n"));
  const planFor = (name: string) => {
    const claims = sortClaims(createPodInfo(using(name)), assumed);
    assert.ok(typeof claims === "object");
    const plan = planVolumes(claims, node, assumed);
    assert.ok("bindings" in plan);
    return plan;
  };
  const plan = assumed.assume(planFor("c"), "n");
  const [written] = plan.bindings;
  assert.equal(written?.volume.metadata.annotations?.["pv.kubernetes.io/bound-by-controller"], "yes");
  assert.equal(written?.volume.spec?.claimRef?.uid, "uid-c");
  assert.equal(planFor("d").provisions.length, 1);
  const provision = assumed.assume(planFor("d"), "n");
  assert.equal(assumed.claim("ns/d")?.metadata.annotations?.["volume.kubernetes.io/selected-node"], "n");
  assumed.revert(plan);
  assumed.revert(provision);
  assert.equal(planFor("d").bindings.length, 1);
  assumed.assume(planFor("c"), "n");
  world.volumes[0] = volume("v", {}, { resourceVersion: "2" });
  assert.equal(planFor("d").bindings.length, 1);
});

test("volumes: who holds a claim for one pod only can be preempted", () => {
  const low = user("low", "c", "n");
  const state = stateOf({
    claims: [bound("c", "v", { accessModes: ["ReadWriteOncePod"] })],
    volumes: [volume("v", on("n"))],
    others: [low],
  });
  const pod = using("c");
  const info = createPodInfo({ ...pod, spec: { containers: [], ...pod.spec, priority: 1 } });
  const decision = createDecider(defaultProfile).decide(info, state);
  assert.ok("failure" in decision);
  const result = preempt(info, { failure: decision.failure, state, filters: defaultProfile.filters, now: 0 });
  assert.ok("candidates" in result);
  assert.deepEqual(
    result.candidates.map(({ node, victims }) => [node.name, victims.map(({ name }) => name)]),
    [["n", ["low"]]],
  );
});
