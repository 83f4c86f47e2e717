import assert from "node:assert/strict";
import { test } from "node:test";
import type { PersistentVolume, PersistentVolumeClaim, StorageClass } from "#api";
import { keyOf } from "#client";
import { bindCompleted, boundByController, isReservedFor, provisionedBy, selectedNode } from "../lib/volumes.ts";
import { defaultClassOf, deleterOf, isReleased, type Plan, syncClaim, syncVolume } from "./reconcile.ts";

/** `reserved: "c"`: for the claim c by name; `"c!uid"`: and uid. `bound`: by the controller. */
interface VolumeShape {
  size?: string;
  phase?: string;
  reserved?: string;
  bound?: boolean;
  className?: string;
  modes?: string[];
  mode?: string;
  labels?: Record<string, string>;
  attributes?: string;
  policy?: string;
  annotations?: Record<string, string>;
  finalizers?: string[];
  source?: object;
  deleting?: boolean;
}
function volume(name: string, shape: VolumeShape = {}): PersistentVolume {
  const [claim, uid] = shape.reserved?.split("!") ?? [];
  return {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: {
      name,
      uid: `u-${name}`,
      resourceVersion: "1",
      ...(shape.labels && { labels: shape.labels }),
      ...(shape.finalizers && { finalizers: shape.finalizers }),
      ...(shape.deleting && { deletionTimestamp: "2026-01-01T00:00:00Z" }),
      annotations: { ...shape.annotations, ...(shape.bound && { [boundByController]: "yes" }) },
    },
    spec: {
      capacity: { storage: shape.size ?? "1Gi" },
      accessModes: shape.modes ?? ["ReadWriteOnce", "ReadOnlyMany"],
      persistentVolumeReclaimPolicy: shape.policy ?? "Retain",
      volumeMode: shape.mode ?? "Filesystem",
      ...(shape.className && { storageClassName: shape.className }),
      ...(shape.attributes && { volumeAttributesClassName: shape.attributes }),
      ...(claim && { claimRef: { namespace: "ns", name: claim, ...(uid && { uid }) } }),
      ...(shape.source ?? { local: { path: "/x" } }),
    },
    status: { phase: shape.phase ?? "Available" },
  };
}

interface ClaimShape {
  size?: string;
  phase?: string;
  names?: string;
  completed?: boolean;
  bound?: boolean;
  className?: string;
  modes?: string[];
  mode?: string;
  selects?: Record<string, string>;
  attributes?: string;
  annotations?: Record<string, string>;
  uid?: string;
}
function claim(shape: ClaimShape = {}): PersistentVolumeClaim {
  return {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: {
      name: "c",
      namespace: "ns",
      uid: shape.uid ?? "u",
      resourceVersion: "1",
      annotations: {
        ...shape.annotations,
        ...(shape.completed && { [bindCompleted]: "yes" }),
        ...(shape.bound && { [boundByController]: "yes" }),
      },
    },
    spec: {
      resources: { requests: { storage: shape.size ?? "1Gi" } },
      accessModes: shape.modes ?? ["ReadWriteOnce"],
      volumeMode: shape.mode ?? "Filesystem",
      ...(shape.names && { volumeName: shape.names }),
      ...(shape.className !== undefined && { storageClassName: shape.className }),
      ...(shape.attributes && { volumeAttributesClassName: shape.attributes }),
      ...(shape.selects && { selector: { matchLabels: shape.selects } }),
    },
    status: { phase: shape.phase ?? "Pending" },
  };
}

const storageClass = (name: string, provisioner: string, more: Partial<StorageClass> = {}): StorageClass => ({
  apiVersion: "storage.k8s.io/v1",
  kind: "StorageClass",
  metadata: { name },
  provisioner,
  volumeBindingMode: "Immediate",
  ...more,
});
const classes = [
  storageClass("late", "x.dev/late", { volumeBindingMode: "WaitForFirstConsumer" }),
  storageClass("ext", "x.dev/ext"),
  storageClass("ebs", "kubernetes.io/aws-ebs"),
  storageClass("none", "kubernetes.io/no-provisioner"),
  storageClass("nfs", "kubernetes.io/nfs"),
  storageClass("host", "kubernetes.io/host-path"),
];

/** `volume phase reference +by-controller`, `claim phase volume +by-controller +completed`, events and the rest of a plan. */
function show(plan: Plan): string {
  const { volume: changed, claim: asked } = plan;
  const reference = changed?.spec?.claimRef;
  const by = (object: PersistentVolume | PersistentVolumeClaim) =>
    object.metadata.annotations?.[boundByController] ? " +by" : "";
  return [
    changed &&
      `volume ${changed.metadata.name} for ${reference ? `${reference.name}!${reference.uid ?? ""}` : "none"}${by(changed)}`,
    plan.volumeStatus && `is ${plan.volumeStatus.phase}`,
    asked &&
      `claim on ${asked.spec?.volumeName ?? "none"}${by(asked)}${asked.metadata.annotations?.[bindCompleted] ? " +done" : ""}`,
    plan.claimStatus && `is ${plan.claimStatus.phase}`,
    ...plan.events.map(({ type, reason }) => `${type} ${reason}`),
    plan.reclaim && `reclaim by ${plan.reclaim}`,
    plan.marksClaim && "marks claim",
    plan.error && "again",
  ]
    .filter(Boolean)
    .join("; ");
}

function sync(
  asked: PersistentVolumeClaim,
  volumes: readonly PersistentVolume[],
  more: StorageClass[] = [],
  pods: string[] = [],
) {
  const known = [...classes, ...more];
  return syncClaim(asked, {
    volume: (name) => volumes.find(({ metadata }) => metadata.name === name),
    candidates: (of) => volumes.filter((each) => !each.spec?.claimRef || isReservedFor(each, of)),
    storageClass: (name) => known.find(({ metadata }) => metadata.name === name),
    defaultClass: () => defaultClassOf(known),
    waitingPods: () => pods,
  });
}

const bound = (name: string, by = " +by") =>
  `volume ${name} for c!u${by}; is Bound; claim on ${name}${by === "" ? "" : " +by"} +done; is Bound`;

const claimCases: readonly (readonly [string, ClaimShape, Record<string, VolumeShape>, string])[] = [
  // Any volume will do.
  ["takes one that fits", {}, { a: {} }, bound("a")],
  ["no volume fits", {}, { a: { size: "1Mi" } }, "Normal FailedBinding"],
  ["without a volume it is pending again", { phase: "Bound" }, {}, "is Pending; Normal FailedBinding"],
  ["takes the smallest", {}, { a: { size: "10Gi" }, b: { size: "2Gi" }, c: { size: "5Gi" } }, bound("b")],
  [
    "takes the one with the fewest access modes, though larger",
    {},
    { a: {}, b: { size: "9Gi", modes: ["ReadWriteOnce"] } },
    bound("b"),
  ],
  [
    "takes what is reserved by name, though larger",
    {},
    { a: {}, b: { size: "9Gi", reserved: "c" } },
    "volume b for c!u; is Bound; claim on b +by +done; is Bound",
  ],
  [
    "takes what is reserved by uid",
    {},
    { a: {}, b: { size: "9Gi", reserved: "c!u" } },
    "is Bound; claim on b +by +done; is Bound",
  ],
  ["what is reserved for another of its name isn't for it", {}, { a: { reserved: "c!other" } }, "Normal FailedBinding"],
  [
    "what is reserved needn't be available",
    {},
    { a: { reserved: "c", phase: "Pending" } },
    "volume a for c!u; is Bound; claim on a +by +done; is Bound",
  ],
  ["what is reserved must be large enough", { size: "2Gi" }, { a: { reserved: "c" } }, "Normal FailedBinding"],
  [
    "goes on after the volume was written",
    {},
    { a: { reserved: "c!u", bound: true } },
    "is Bound; claim on a +by +done; is Bound",
  ],
  [
    "goes on after the volume's phase was written",
    {},
    { a: { reserved: "c!u", bound: true, phase: "Bound" } },
    "claim on a +by +done; is Bound",
  ],
  [
    "goes on after the claim was written",
    { names: "a", bound: true, completed: true },
    { a: { reserved: "c!u", bound: true, phase: "Bound" } },
    "is Bound",
  ],
  ["a selector matches", { selects: { k: "v" } }, { a: {}, b: { size: "9Gi", labels: { k: "v" } } }, bound("b")],
  ["a selector doesn't match", { selects: { k: "v" } }, { a: { labels: { k: "w" } } }, "Normal FailedBinding"],
  [
    "one that isn't available isn't taken",
    {},
    { a: { phase: "Pending" }, b: { phase: "Failed" }, c: { size: "9Gi" } },
    bound("c"),
  ],
  ["one that is being deleted isn't taken", {}, { a: { deleting: true } }, "Normal FailedBinding"],
  // A volume is named.
  ["its volume isn't there", { names: "a" }, {}, ""],
  ["its volume isn't there any more", { names: "a", phase: "Bound" }, {}, "is Pending"],
  ["its volume is free", { names: "a" }, { a: {} }, "volume a for c!u +by; is Bound; claim on a +done; is Bound"],
  [
    "its volume waits for it",
    { names: "a" },
    { a: { reserved: "c" } },
    "volume a for c!u; is Bound; claim on a +done; is Bound",
  ],
  [
    "its volume is bound to it",
    { names: "a" },
    { a: { reserved: "c!u", phase: "Bound" } },
    "claim on a +done; is Bound",
  ],
  [
    "its volume is another's",
    { names: "a", phase: "Bound" },
    { a: { reserved: "d!u2" } },
    "is Pending; Warning FailedBinding",
  ],
  [
    "its volume became another's",
    { names: "a", bound: true },
    { a: { reserved: "d!u2" } },
    "Warning FailedBinding; again",
  ],
  [
    "its volume needn't match the selector",
    { names: "a", selects: { k: "v" } },
    { a: {} },
    "volume a for c!u +by; is Bound; claim on a +done; is Bound",
  ],
  ["its volume is too small", { names: "a", size: "2Gi" }, { a: {} }, "Warning VolumeMismatch"],
  ["its volume is of another class", { names: "a", className: "ext" }, { a: {} }, "Warning VolumeMismatch"],
  ["its volume can't be written by one", { names: "a", modes: ["ReadWriteMany"] }, { a: {} }, "Warning VolumeMismatch"],
  ["its volume is a device", { names: "a" }, { a: { mode: "Block" } }, "Warning VolumeMismatch"],
  ["its volume has other attributes", { names: "a" }, { a: { attributes: "gold" } }, "Warning VolumeMismatch"],
  [
    "its volume has its attributes",
    { names: "a", attributes: "gold" },
    { a: { attributes: "gold" } },
    "volume a for c!u +by; is Bound; claim on a +done; is Bound",
  ],
  // Bound before.
  ["it lost the name of its volume", { completed: true, phase: "Bound" }, {}, "is Lost; Warning ClaimLost"],
  ["it lost its volume", { completed: true, names: "a", phase: "Bound" }, {}, "is Lost; Warning ClaimLost"],
  ["it is lost already", { completed: true, names: "a", phase: "Lost" }, {}, ""],
  ["its volume was made free", { completed: true, names: "a" }, { a: {} }, "volume a for c!u +by; is Bound; is Bound"],
  [
    "its volume forgot its uid",
    { completed: true, names: "a", phase: "Bound" },
    { a: { reserved: "c" } },
    "is Lost; Warning ClaimMisbound",
  ],
  [
    "its volume is bound to another",
    { completed: true, names: "a" },
    { a: { reserved: "d!u2" } },
    "is Lost; Warning ClaimMisbound",
  ],
  [
    "all is as it should be but its status",
    { completed: true, names: "a" },
    { a: { reserved: "c!u", phase: "Bound" } },
    "is Bound",
  ],
  // Classes.
  [
    "only of its class",
    { className: "ext" },
    { a: {}, b: { className: "ext", size: "9Gi" }, c: { className: "late" } },
    bound("b"),
  ],
  ["without a class, one without", { className: "" }, { a: { className: "ext" }, b: { size: "9Gi" } }, bound("b")],
  ["devices for devices", { mode: "Block" }, { a: {}, b: { mode: "Block", size: "9Gi" } }, bound("b")],
  // Made for it.
  ["waits for a pod", { className: "late" }, { a: { className: "late" } }, "Normal WaitForFirstConsumer"],
  [
    "waits for no pod with a volume reserved",
    { className: "late" },
    { a: { className: "late", reserved: "c" } },
    "volume a for c!u; is Bound; claim on a +by +done; is Bound",
  ],
  [
    "is made for its node",
    { className: "late", annotations: { [selectedNode]: "n" } },
    { a: { className: "late" } },
    "claim on none; Normal ExternalProvisioning",
  ],
  ["is made", { className: "ext" }, {}, "claim on none; Normal ExternalProvisioning"],
  ["is made by a driver", { className: "ebs" }, {}, "claim on none; Normal ExternalProvisioning"],
  ["its class isn't there", { className: "gone" }, {}, "Warning ProvisioningFailed"],
  ["its class makes none", { className: "none" }, {}, "Warning ProvisioningFailed"],
  ["its plugin makes none", { className: "nfs" }, {}, "Warning ProvisioningFailed"],
  ["its plugin may not", { className: "host" }, {}, "claim on none; Warning ProvisioningFailed; again"],
];

for (const [name, shape, volumes, wanted] of claimCases)
  test(`claim: ${name}`, () => {
    const all = Object.entries(volumes).map(([each, of]) => volume(each, of));
    assert.equal(show(sync(claim(shape), all)), wanted);
  });

test("claim: of default classes the newest is taken, however late it came", () => {
  const marked = (name: string, creationTimestamp: string) =>
    storageClass(name, "x.dev/a", {
      metadata: { name, creationTimestamp, annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
    });
  const defaults = [
    marked("a", "2026-01-01T00:00:00Z"),
    marked("c", "2026-01-02T00:00:00Z"),
    marked("b", "2026-01-02T00:00:00Z"),
  ];
  const plan = sync(claim(), [], defaults);
  assert.equal(plan.claim?.spec?.storageClassName, "b");
  assert.equal(plan.events.length, 0);
  assert.equal(sync(claim({ className: "" }), [], defaults).claim, undefined);
  assert.equal(show(sync(claim(), [volume("a")], defaults)), bound("a"));
});

test("claim: says for which pods it waits", () => {
  const said = (...pods: string[]) => sync(claim({ className: "late" }), [], [], pods).events[0];
  assert.equal(said()?.message, "waiting for first consumer to be created before binding");
  assert.equal(said("p")?.message, "waiting for pod p to be scheduled");
  assert.equal(said("p", "q")?.message, "waiting for pods p,q to be scheduled");
  assert.equal(said("p")?.reason, "WaitForPodScheduled");
});

test("claim: its status tells size, modes and attributes of the volume", () => {
  const gold = volume("a", { size: "7Gi", attributes: "gold" });
  const plan = sync(claim({ attributes: "gold" }), [gold]);
  assert.deepEqual(plan.claimStatus, {
    phase: "Bound",
    accessModes: ["ReadWriteOnce", "ReadOnlyMany"],
    capacity: { storage: "7Gi" },
    currentVolumeAttributesClassName: "gold",
  });
  assert.deepEqual(plan.volume?.spec?.claimRef, {
    kind: "PersistentVolumeClaim",
    namespace: "ns",
    name: "c",
    uid: "u",
    apiVersion: "v1",
    resourceVersion: "1",
  });
  // While it grows, what its file system has is what it has.
  gold.metadata.annotations = { "volume.alpha.kubernetes.io/pre-resize-capacity": "3Gi" };
  assert.deepEqual(sync(claim({ attributes: "gold" }), [gold]).claimStatus?.capacity, { storage: "3Gi" });
});

test("claim: the driver that took over a plugin is annotated, and forgotten with the plugin", () => {
  const of = (provisioner: string, to?: string) =>
    sync(
      claim({
        names: "a",
        annotations: {
          "volume.kubernetes.io/storage-provisioner": provisioner,
          ...(to && { "pv.kubernetes.io/migrated-to": to }),
        },
      }),
      [],
    ).claim?.metadata.annotations?.["pv.kubernetes.io/migrated-to"];
  assert.equal(of("kubernetes.io/gce-pd"), "pd.csi.storage.gke.io");
  assert.equal(
    sync(
      claim({
        names: "a",
        annotations: { "volume.kubernetes.io/storage-provisioner": "x", "pv.kubernetes.io/migrated-to": "y" },
      }),
      [],
    ).claim?.metadata.annotations?.["pv.kubernetes.io/migrated-to"],
    undefined,
  );
});

const made = { [provisionedBy]: "x.dev/ext" };
const volumeCases: readonly (readonly [string, VolumeShape, ClaimShape | undefined, string])[] = [
  ["new ones are available", { phase: "Pending" }, undefined, "is Available"],
  ["reserved ones are available", { phase: "Pending", reserved: "c" }, {}, "is Available"],
  ["its claim has gone", { phase: "Bound", reserved: "c!u" }, undefined, "is Released"],
  [
    "its claim has gone, and it goes too",
    { phase: "Bound", reserved: "c!u", policy: "Delete" },
    undefined,
    "is Released; reclaim by Delete",
  ],
  [
    "its claim has gone, and it is emptied",
    { phase: "Bound", reserved: "c!u", policy: "Recycle" },
    undefined,
    "is Released; reclaim by Recycle",
  ],
  [
    "released ones are tried again",
    { phase: "Released", reserved: "c!u", policy: "Delete" },
    undefined,
    "reclaim by Delete",
  ],
  [
    "failed ones are tried again",
    { phase: "Failed", reserved: "c!u", policy: "Recycle" },
    undefined,
    "reclaim by Recycle",
  ],
  [
    "what migrated is its driver's to delete",
    {
      phase: "Bound",
      reserved: "c!u",
      policy: "Delete",
      annotations: { [provisionedBy]: "kubernetes.io/aws-ebs", "pv.kubernetes.io/migrated-to": "ebs.csi.aws.com" },
    },
    undefined,
    "is Released",
  ],
  [
    "nobody knows its policy",
    { phase: "Bound", reserved: "c!u", policy: "Burn" },
    undefined,
    "is Failed; Warning VolumeUnknownReclaimPolicy",
  ],
  ["its claim isn't bound yet", { phase: "Available", reserved: "c!u", bound: true }, {}, "marks claim"],
  [
    "its claim wants a device",
    { phase: "Available", reserved: "c!u" },
    { mode: "Block" },
    "Warning VolumeMismatch; Warning VolumeMismatch",
  ],
  ["its claim is bound to it", { phase: "Pending", reserved: "c!u" }, { names: "a" }, "is Bound"],
  [
    "its claim is bound to it, whatever the policy",
    { phase: "Bound", reserved: "c!u", policy: "Delete" },
    { names: "a" },
    "",
  ],
  [
    "its claim is bound elsewhere: free again",
    { phase: "Bound", reserved: "c!u", bound: true },
    { names: "b" },
    "volume a for none; is Available",
  ],
  [
    "its claim is bound elsewhere: reserved again",
    { phase: "Bound", reserved: "c!u" },
    { names: "b" },
    "volume a for c!; is Available",
  ],
  [
    "made for a claim that is bound elsewhere",
    { phase: "Available", reserved: "c!u", bound: true, policy: "Delete", annotations: made },
    { names: "b" },
    "is Released; reclaim by Delete",
  ],
];

for (const [name, shape, asked, wanted] of volumeCases)
  test(`volume: ${name}`, () => assert.equal(show(syncVolume(volume("a", shape), asked && claim(asked))), wanted));

test("volume: finalizers protect what plugins of old made, as long as it is to be deleted", () => {
  const of = (provisioner: string, policy: string, finalizers: string[]) =>
    syncVolume(volume("a", { policy, finalizers, annotations: { [provisionedBy]: provisioner } }), undefined).volume
      ?.metadata.finalizers;
  const [ours, theirs] = [
    "kubernetes.io/pv-controller",
    "external-provisioner.volume.kubernetes.io/finalizer",
  ] as const;
  const plugin = "kubernetes.io/host-path";
  assert.deepEqual(of(plugin, "Delete", ["x"]), ["x", ours]);
  assert.deepEqual(of(plugin, "Delete", [ours, theirs]), [ours]);
  assert.deepEqual(of(plugin, "Retain", ["x", ours]), ["x"]);
  assert.deepEqual(of("kubernetes.io/cinder", "Delete", [ours, theirs]), [theirs]);
  assert.equal(of("x.dev/ext", "Delete", [theirs]), undefined);
  assert.equal(syncVolume(volume("a", { policy: "Delete" }), undefined).volume, undefined);
});

test("volume: who deletes it", () => {
  const of = (shape: VolumeShape) => deleterOf(volume("a", shape));
  const by = (name: string) => ({ [provisionedBy]: name });
  assert.equal(of({ annotations: made }), "external");
  assert.equal(of({ annotations: by("kubernetes.io/host-path") }), "hostPath");
  assert.deepEqual(of({ annotations: by("kubernetes.io/old") }), {
    problem: "no volume plugin matched name: kubernetes.io/old",
  });
  assert.equal(of({ source: { csi: { driver: "d", volumeHandle: "h" } } }), "external");
  assert.equal(of({ source: { hostPath: { path: "/tmp/x" } } }), "hostPath");
  const problem = (why: string) => ({ problem: `error getting deleter volume plugin for volume "a": ${why}` });
  assert.deepEqual(of({ source: { nfs: { server: "s", path: "/" } } }), problem("no deletable volume plugin matched"));
  assert.deepEqual(of({}), problem("no volume plugin matched"));
});

test("volume: is released when its claim is gone, another, or bound elsewhere", () => {
  const reserved = volume("a", { reserved: "c!u" });
  assert.equal(isReleased(reserved, undefined), true);
  assert.equal(isReleased(reserved, claim({ uid: "other" })), true);
  assert.equal(isReleased(reserved, claim({ names: "b" })), true);
  assert.equal(isReleased(reserved, claim({ names: "a" })), false);
  assert.equal(isReleased(reserved, claim()), false);
  assert.equal(isReleased(volume("a", { reserved: "c" }), undefined), false);
  assert.equal(keyOf(claim()), "ns/c");
});
