import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import type { PersistentVolumeClaim, PersistentVolumeClaimSpec } from "../types.d.ts";
import { persistentVolumeClaimKind } from "./persistent-volume-claim.ts";

const base = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "2Gi" } } };
const create = (spec: object, metadata: object = { name: "c", namespace: "n" }) =>
  tryCreate(persistentVolumeClaimKind, { metadata, spec: { ...base, ...spec } });
const bound = (spec: object, status: object = {}): PersistentVolumeClaim => {
  const { object } = create(spec);
  return { ...object, status: { phase: "Bound", capacity: { storage: "1Gi" }, ...status } };
};
const change = (
  old: PersistentVolumeClaim,
  fields: object,
  removed: readonly (keyof PersistentVolumeClaimSpec)[] = [],
) =>
  tryUpdate(persistentVolumeClaimKind, old, {
    change(claim) {
      claim.spec = { ...claim.spec, ...fields };
      for (const field of removed) delete claim.spec[field];
    },
  }).errors.map((error) => error.split("\n", 1)[0]);
const size = (storage: string) => ({ resources: { requests: { storage } } });
const frozen =
  "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";

test("a claim: what a client leaves out", () => {
  const { spec, status } = create({}).object;
  assert.deepEqual([spec, status], [{ ...base, volumeMode: "Filesystem" }, { phase: "Pending" }]);
});

test("both fields for the source of the content agree", () => {
  const sources = (spec: object) => {
    const { dataSource, dataSourceRef } = create(spec).object.spec ?? {};
    return [dataSource?.kind, dataSourceRef?.kind];
  };
  const snapshot = { apiGroup: "snapshot.storage.k8s.io", kind: "VolumeSnapshot", name: "s" };
  const other = { apiGroup: "example.com", kind: "Own", name: "o" };
  assert.deepEqual(sources({ dataSource: snapshot }), ["VolumeSnapshot", "VolumeSnapshot"]);
  assert.deepEqual(
    sources({ dataSource: { kind: "PersistentVolumeClaim", name: "p" } }),
    Array(2).fill("PersistentVolumeClaim"),
  );
  assert.deepEqual(sources({ dataSource: other }), [undefined, undefined]);
  assert.deepEqual(sources({ dataSourceRef: other }), ["Own", "Own"]);
  assert.deepEqual(sources({ dataSourceRef: { ...other, namespace: "m" } }), [undefined, undefined]);
});

test("claims: what is refused", () => {
  const cases: [object, string[]][] = [
    [{ accessModes: [] }, ["spec.accessModes: Required value: at least 1 access mode is required"]],
    [{ resources: {} }, ["spec.resources[storage]: Required value"]],
    [size("0"), ['spec.resources[storage]: Invalid value: "0": must be greater than zero']],
    [{ volumeMode: "Odd" }, ['spec.volumeMode: Unsupported value: "Odd": supported values: "Block", "Filesystem"']],
    [
      { dataSourceRef: { kind: "", name: "" } },
      ["dataSource", "dataSourceRef"].flatMap((field) => [
        `spec.${field}.name: Required value`,
        `spec.${field}.kind: Required value`,
        `spec.${field}: Invalid value: "": must be 'PersistentVolumeClaim' when referencing the default apiGroup`,
      ]),
    ],
  ];
  for (const [spec, errors] of cases) assert.deepEqual(create(spec).errors, errors, JSON.stringify(spec));
});

test("a claim that isn't bound is for good, but for its volume and its class", () => {
  const { object: old } = create({});
  assert.deepEqual(change(old, size("3Gi")), [frozen]);
  assert.deepEqual(change(old, { volumeAttributesClassName: "gold" }), [frozen]);
  assert.deepEqual(change(old, { volumeName: "v" }), []);
  assert.deepEqual(change(old, { storageClassName: "slow" }), []);
  const { object: withClass } = create({ storageClassName: "" });
  assert.deepEqual(change(withClass, { storageClassName: "slow" }), [frozen]);
  assert.deepEqual(change(withClass, {}, ["storageClassName"]), [frozen]);
  const { object: withVolume } = create({ volumeName: "v" });
  assert.deepEqual(change(withVolume, { volumeName: "w" }), [frozen]);
});

test("a bound claim grows, and shrinks to more than it has", () => {
  const old = bound({ volumeName: "v" });
  assert.deepEqual(change(old, size("3Gi")), []);
  assert.deepEqual(change(old, size("1500Mi")), []);
  assert.deepEqual(change(old, size("1Gi")), [
    "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity",
  ]);
});

test("attributes that are in effect are only exchanged", () => {
  const old = bound(
    { volumeName: "v", volumeAttributesClassName: "gold" },
    { currentVolumeAttributesClassName: "gold" },
  );
  const refused = (what: string) => [
    `spec.volumeAttributesClassName: Forbidden: update to ${what} is forbidden when status.currentVolumeAttributesClassName is not nil`,
  ];
  assert.deepEqual(change(old, { volumeAttributesClassName: "silver" }), []);
  assert.deepEqual(change(old, { volumeAttributesClassName: "" }), refused("empty string"));
  assert.deepEqual(change(old, {}, ["volumeAttributesClassName"]), refused("nil"));
  const waiting = bound({ volumeName: "v", volumeAttributesClassName: "gold" });
  assert.deepEqual(change(waiting, {}, ["volumeAttributesClassName"]), []);
});

test("statuses that can't be", () => {
  const status = (fields: object) =>
    tryUpdate(persistentVolumeClaimKind, bound({}), {
      change: (claim) => Object.assign(claim, { status: { ...claim.status, ...fields } }),
      subresource: "status",
    }).errors;
  assert.deepEqual(status({ capacity: { storage: "-1" } }), [
    "status.capacity[storage]: Invalid value: -1: must be a valid resource quantity",
  ]);
  assert.deepEqual(status({ allocatedResources: { cpu: "1", "example.com/a": "-1" } }), [
    'status.allocatedResources: Unsupported value: "cpu": supported values: "storage"',
    "status.allocatedResources[example.com/a]: Invalid value: -1: must be a valid resource quantity",
  ]);
  const states = [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
  ];
  const supported = states.sort().map((state) => `"${state}"`);
  assert.deepEqual(status({ allocatedResourceStatuses: { storage: "Odd" } }), [
    `status.allocatedResourceStatuses: Unsupported value: "storage": supported values: ${supported.join(", ")}`,
  ]);
});

test("what is odd is warned about", () => {
  const annotations = { "volume.beta.kubernetes.io/storage-class": "old" };
  assert.deepEqual(create(size("1500m"), { name: "c", namespace: "n", annotations }).warnings, [
    'metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "storageClassName" attribute instead',
    'spec.resources.requests[storage]: fractional byte value "1500m" is invalid, must be an integer',
  ]);
});

test("the table", () => {
  const cells = (claim: PersistentVolumeClaim) =>
    Object.values(tryColumns(persistentVolumeClaimKind, claim)).toSpliced(6, 1);
  assert.deepEqual(cells(create({}).object), ["Pending", "", "", "", "", "<unset>", "Filesystem"]);
  const old = bound({ volumeName: "v", storageClassName: "slow" }, { accessModes: ["ReadWriteMany", "ReadWriteOnce"] });
  assert.deepEqual(cells(old), ["Bound", "v", "1Gi", "RWO,RWX", "slow", "<unset>", "Filesystem"]);
  const ending = { ...old, metadata: { ...old.metadata, deletionTimestamp: "2026-01-02T03:04:05Z" } };
  assert.equal(cells(ending)[0], "Terminating");
});
