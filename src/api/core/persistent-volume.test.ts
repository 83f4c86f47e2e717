import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import type { PersistentVolume } from "../types.d.ts";
import { persistentVolumeKind } from "./persistent-volume.ts";

const base = { capacity: { storage: "1Gi" }, accessModes: ["ReadWriteOnce"] };
const create = (spec: object, metadata: object = { name: "v" }) =>
  tryCreate(persistentVolumeKind, { metadata, spec: { ...base, ...spec } });
const hostPath = { path: "/x" };
const shorten = (errors: readonly string[]) =>
  errors.map((error) => error.replace(/ must consist of .*$/, " …").split("\n", 1)[0]);

test("a volume: what a client leaves out", () => {
  const { spec, status } = create({ hostPath }).object;
  assert.deepEqual(spec, {
    ...base,
    hostPath: { path: "/x", type: "" },
    persistentVolumeReclaimPolicy: "Retain",
    volumeMode: "Filesystem",
  });
  assert.deepEqual(status, { phase: "Pending", lastPhaseTransitionTime: "2026-01-02T03:04:05Z" });
});

test("volumes: what is refused", () => {
  const cases: [object, string[]][] = [
    [{}, ["spec: Required value: must specify a volume type"]],
    [{ hostPath, nfs: { server: "s", path: "/x" } }, ["spec.nfs: Forbidden: may not specify more than 1 volume type"]],
    [
      { capacity: {}, hostPath },
      ["spec.capacity: Required value", 'spec.capacity: Unsupported value: {}: supported values: "storage"'],
    ],
    [
      { capacity: { storage: "0" }, hostPath },
      ['spec.capacity[storage]: Invalid value: "0": must be greater than zero'],
    ],
    [
      { capacity: { storage: "-1" }, hostPath },
      [
        "spec.capacity[storage]: Invalid value: -1: must be a valid resource quantity",
        'spec.capacity[storage]: Invalid value: "-1": must be greater than zero',
      ],
    ],
    [{ accessModes: [], hostPath }, ["spec.accessModes: Required value"]],
    [
      { accessModes: ["ReadWriteOncePod", "ReadWriteOnce"], hostPath },
      ["spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"],
    ],
    [
      { persistentVolumeReclaimPolicy: "Odd", hostPath },
      ['spec.persistentVolumeReclaimPolicy: Unsupported value: "Odd": supported values: "Delete", "Recycle", "Retain"'],
    ],
    [
      { persistentVolumeReclaimPolicy: "Recycle", hostPath: { path: "//" } },
      ["spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"],
    ],
    [{ local: { path: "/mnt" } }, ["spec.nodeAffinity: Required value: Local volume requires node affinity"]],
    [
      { hostPath, nodeAffinity: {} },
      ["spec.nodeAffinity.required: Required value: must specify required node constraints"],
    ],
    [
      { csi: { driver: "A b", volumeHandle: "", nodePublishSecretRef: { name: "", namespace: "A" } } },
      [
        'spec.csi.driver: Invalid value: "A b": a lowercase RFC 1123 subdomain …',
        "spec.csi.volumeHandle: Required value",
        "spec.csi.nodePublishSecretRef.name: Required value",
        'spec.csi.nodePublishSecretRef.namespace: Invalid value: "A": a lowercase RFC 1123 label …',
      ],
    ],
    [
      { azureFile: { secretName: "", shareName: "", secretNamespace: "" } },
      [
        "spec.azureFile.secretName: Required value",
        "spec.azureFile.shareName: Required value",
        "spec.azureFile.secretNamespace: Required value",
      ],
    ],
    [
      { hostPath, volumeAttributesClassName: "" },
      [
        "spec.volumeAttributesClassName: Required value: an empty string is disallowed",
        "spec.csi: Required value: has to be specified when using volumeAttributesClassName",
      ],
    ],
  ];
  for (const [spec, errors] of cases) assert.deepEqual(shorten(create(spec).errors), errors, JSON.stringify(spec));
  const annotations = { "volume.beta.kubernetes.io/mount-options": "ro" };
  assert.deepEqual(create({ hostPath }, { name: "v", annotations }).errors, [
    "metadata.annotations.volume.beta.kubernetes.io/mount-options: Forbidden: may not specify mount options for this volume type",
  ]);
});

test("what may change in a volume", () => {
  const terms = (key: string) => ({
    required: { nodeSelectorTerms: [{ matchExpressions: [{ key, operator: "Exists" }] }] },
  });
  const csi = { driver: "d.example.com", volumeHandle: "h" };
  const change = (spec: object, fields: object) =>
    shorten(
      tryUpdate(persistentVolumeKind, create(spec).object, {
        change: (volume) => Object.assign(volume, { spec: { ...volume.spec, ...fields } }),
      }).errors,
    );
  const secret = { controllerExpandSecretRef: { name: "s", namespace: "n" } };
  assert.deepEqual(change({ hostPath }, { accessModes: ["ReadWriteMany"], capacity: { storage: "2Gi" } }), []);
  assert.deepEqual(change({ hostPath }, { hostPath: { path: "/y" } }), [
    "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation",
  ]);
  assert.deepEqual(change({ csi }, { csi: { ...csi, ...secret } }), []);
  assert.deepEqual(change({ hostPath }, { volumeMode: "Block" }), [
    'volumeMode: Invalid value: "Block": field is immutable',
  ]);
  assert.deepEqual(change({ hostPath }, { nodeAffinity: terms("a") }), []);
  const moved = change({ hostPath, nodeAffinity: terms("a") }, { nodeAffinity: terms("b") });
  assert.match(
    moved.join(),
    /^nodeAffinity: Invalid value: .*: field is immutable, except for updating from beta label to GA$/,
  );
  const old = terms("failure-domain.beta.kubernetes.io/zone");
  assert.deepEqual(change({ hostPath, nodeAffinity: old }, { nodeAffinity: terms("topology.kubernetes.io/zone") }), []);
});

test("the time of the last change of phase is kept", () => {
  const earlier = "2026-01-01T00:00:00Z";
  const { object: made } = create({ hostPath });
  const old: PersistentVolume = { ...made, status: { phase: "Pending", lastPhaseTransitionTime: earlier } };
  const status = (fields: object) =>
    tryUpdate(persistentVolumeKind, old, {
      change: (volume) => Object.assign(volume, { status: fields }),
      subresource: "status",
    }).object.status?.lastPhaseTransitionTime;
  assert.equal(status({ phase: "Pending", message: "m" }), earlier);
  assert.equal(status({ phase: "Available" }), "2026-01-02T03:04:05Z");
  assert.equal(status({ phase: "Available", lastPhaseTransitionTime: "2026-01-01T12:00:00Z" }), "2026-01-01T12:00:00Z");
});

test("what is gone is warned about", () => {
  const { warnings } = create({ rbd: { monitors: ["m"], image: "i" }, persistentVolumeReclaimPolicy: "Recycle" });
  assert.deepEqual(warnings, [
    "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
    "spec.rbd: deprecated in v1.28, non-functional in v1.31+",
  ]);
});

test("the table", () => {
  const { object } = create({ hostPath, storageClassName: "slow", claimRef: { namespace: "n", name: "c" } });
  const { Age: _, ...cells } = tryColumns(persistentVolumeKind, object);
  assert.deepEqual(Object.values(cells), [
    "1Gi",
    "RWO",
    "Retain",
    "Pending",
    "n/c",
    "slow",
    "<unset>",
    "",
    "Filesystem",
  ]);
});
