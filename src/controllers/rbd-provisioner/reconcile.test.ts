import assert from "node:assert/strict";
import { test } from "node:test";
import type { PersistentVolume, PersistentVolumeClaim, StorageClass } from "#api";
import { claimProblem, classSettings, isLeft, isWanted, mebibytesOf, volumeFor } from "./reconcile.ts";

const least = { monitors: "a:1,b:1", adminSecretName: "admin", userSecretName: "user" };
const provisioner = "kubernetes.io/rbd";
const claim = (spec: PersistentVolumeClaim["spec"] = {}, annotations = {}): PersistentVolumeClaim => ({
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: {
    name: "c",
    namespace: "ns",
    uid: "u",
    annotations: { "volume.kubernetes.io/storage-provisioner": provisioner, ...annotations },
  },
  spec: { storageClassName: "ceph", resources: { requests: { storage: "1Gi" } }, ...spec },
});
const storageClass = (more: Partial<StorageClass> = {}): StorageClass => ({
  apiVersion: "storage.k8s.io/v1",
  kind: "StorageClass",
  metadata: { name: "ceph" },
  provisioner,
  parameters: least,
  ...more,
});

test("rbd class: parameters by names in any case, with upstream's defaults", () => {
  assert.deepEqual(classSettings(least), {
    monitors: ["a:1", "b:1"],
    pool: "rbd",
    adminId: "admin",
    adminSecret: { name: "admin", namespace: "default" },
    userId: "admin",
    userSecret: { name: "user" },
    keyring: "",
    fsType: "",
    imageFormat: "2",
    imageFeatures: [],
  });
  const all = {
    Monitors: "a",
    ADMINID: "kube",
    adminSecretName: "s",
    adminsecretnamespace: "n",
    userId: "reader",
    pool: "p",
    userSecretName: "us",
    userSecretNamespace: "un",
    imageFormat: "1",
    imageFeatures: "layering",
    fsType: "xfs",
  };
  const { adminId, userId, pool, userSecret, imageFormat, imageFeatures, fsType } = classSettings(all);
  assert.deepEqual([adminId, userId, pool, imageFormat, fsType], ["kube", "reader", "p", "1", "xfs"]);
  assert.deepEqual([userSecret, imageFeatures], [{ name: "us", namespace: "un" }, ["layering"]]);
});

test("rbd class: what is refused, in upstream's words", () => {
  const cases: readonly (readonly [Record<string, string>, string])[] = [
    [{ ...least, zone: "x" }, 'invalid option "zone" for volume plugin kubernetes.io/rbd'],
    [
      { ...least, imageFeatures: "fast-diff" },
      'invalid feature "fast-diff" for volume plugin kubernetes.io/rbd, supported features are: map[layering:{}]',
    ],
    [{ ...least, imageFormat: "3" }, "invalid ceph imageformat 3, expecting 1 or 2"],
    [{ monitors: "a", userSecretName: "u" }, "missing Ceph admin secret name"],
    [{ adminSecretName: "a", userSecretName: "u" }, "missing Ceph monitors"],
    [{ monitors: "a", adminSecretName: "a" }, "must specify either keyring or user secret name"],
  ];
  for (const [parameters, message] of cases) assert.throws(() => classSettings(parameters), { message });
});

test("rbd claim: what an image can't be", () => {
  assert.equal(claimProblem(claim({ accessModes: ["ReadWriteOnce"] })), undefined);
  assert.equal(
    claimProblem(claim({ accessModes: ["ReadWriteMany"] })),
    "invalid AccessModes [ReadWriteMany]: only AccessModes [ReadWriteOnce ReadOnlyMany] are supported",
  );
  assert.equal(claimProblem(claim({ selector: {} })), "claim Selector is not supported");
  assert.match(
    claimProblem(claim({ dataSource: { kind: "PersistentVolumeClaim", name: "o" } })) ?? "",
    /is not a CSI plugin/,
  );
});

test("rbd claim: whether it waits for an image", () => {
  const waits = storageClass({ volumeBindingMode: "WaitForFirstConsumer" });
  assert.equal(isWanted(claim(), storageClass()), true);
  assert.equal(isWanted(claim({ volumeName: "v" }), storageClass()), false);
  assert.equal(isWanted(claim(), storageClass({ provisioner: "other" })), false);
  assert.equal(isWanted(claim(), undefined), false);
  assert.equal(isWanted(claim(), waits), false);
  assert.equal(isWanted(claim({}, { "volume.kubernetes.io/selected-node": "n" }), waits), true);
});

test("rbd volume: made as upstream's plugin makes it", () => {
  const settings = classSettings({ ...least, userId: "kube", fsType: "xfs" });
  const made = volumeFor(
    claim({ accessModes: ["ReadWriteOnce"] }),
    storageClass({ mountOptions: ["discard"] }),
    settings,
  );
  assert.deepEqual(made.metadata, {
    name: "pvc-u",
    annotations: {
      "kubernetes.io/createdby": "rbd-dynamic-provisioner",
      "pv.kubernetes.io/bound-by-controller": "yes",
      "pv.kubernetes.io/provisioned-by": "kubernetes.io/rbd",
    },
  });
  const { claimRef, ...spec } = made.spec ?? {};
  assert.equal(claimRef?.uid, "u");
  assert.deepEqual(spec, {
    rbd: {
      monitors: ["a:1", "b:1"],
      pool: "rbd",
      image: "kubernetes-dynamic-pvc-u",
      user: "kube",
      secretRef: { name: "user" },
      fsType: "xfs",
    },
    persistentVolumeReclaimPolicy: "Delete",
    accessModes: ["ReadWriteOnce"],
    capacity: { storage: "1024Mi" },
    storageClassName: "ceph",
    mountOptions: ["discard"],
  });
  assert.equal(volumeFor(claim({ volumeMode: "Block" }), storageClass(), settings).spec?.rbd?.fsType, undefined);
  assert.deepEqual(["1", "1Mi", "1500k", "1Gi"].map(mebibytesOf), [1, 1, 2, 1024]);
});

test("rbd volume: whose image is removed", () => {
  const volume = (status: string, spec: PersistentVolume["spec"] = {}, annotations = {}): PersistentVolume => ({
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: "v", annotations },
    spec: { rbd: { monitors: ["m"], image: "i" }, persistentVolumeReclaimPolicy: "Delete", ...spec },
    status: { phase: status },
  });
  assert.equal(isLeft(volume("Released")), true);
  assert.equal(isLeft(volume("Failed")), true);
  assert.equal(isLeft(volume("Bound")), false);
  assert.equal(isLeft(volume("Released", { persistentVolumeReclaimPolicy: "Retain" })), false);
  assert.equal(isLeft(volume("Released", {}, { "pv.kubernetes.io/provisioned-by": "rbd.csi.ceph.com" })), false);
});
