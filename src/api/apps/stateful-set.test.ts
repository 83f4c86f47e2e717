import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { statefulSetKind } from "./stateful-set.ts";

const labels = { app: "db" };
const sent = (spec: object = {}) => ({
  spec: {
    serviceName: "db",
    selector: { matchLabels: labels },
    template: {
      metadata: { labels },
      spec: { containers: [{ name: "c", image: "a", volumeMounts: [{ name: "data", mountPath: "/d" }] }] },
    },
    ...spec,
  },
});
const claim = {
  metadata: { name: "data" },
  spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
};

test("stateful set: what a client leaves out", () => {
  const { object, errors } = tryCreate(statefulSetKind, sent({ volumeClaimTemplates: [claim] }));
  assert.deepEqual(errors, []);
  const { spec } = object;
  assert.equal(spec?.podManagementPolicy, "OrderedReady");
  assert.deepEqual(spec?.updateStrategy, { type: "RollingUpdate", rollingUpdate: { partition: 0 } });
  assert.deepEqual(spec?.persistentVolumeClaimRetentionPolicy, { whenDeleted: "Retain", whenScaled: "Retain" });
  assert.equal(spec?.revisionHistoryLimit, 10);
  assert.deepEqual(spec?.volumeClaimTemplates, [
    {
      kind: "PersistentVolumeClaim",
      apiVersion: "v1",
      metadata: { name: "data" },
      spec: { ...claim.spec, volumeMode: "Filesystem" },
      status: { phase: "Pending" },
    },
  ]);
});

test("stateful set: a chosen strategy gets no rolling update", () => {
  const strategyOf = (updateStrategy: object) =>
    tryCreate(statefulSetKind, sent({ updateStrategy })).object.spec?.updateStrategy;
  assert.deepEqual(strategyOf({ type: "RollingUpdate" }), { type: "RollingUpdate" });
  assert.deepEqual(strategyOf({ type: "OnDelete" }), { type: "OnDelete" });
});

test("stateful set: what is refused", () => {
  const at = "spec.updateStrategy";
  const cases: [object, string[]][] = [
    [
      { podManagementPolicy: "Any" },
      ["spec.podManagementPolicy: Invalid value: \"Any\": must be 'OrderedReady' or 'Parallel'"],
    ],
    [
      { updateStrategy: { type: "OnDelete", rollingUpdate: { partition: 1 } } },
      [
        `${at}.rollingUpdate: Invalid value: {"Partition":1,"MaxUnavailable":null}: only allowed for updateStrategy 'RollingUpdate'`,
      ],
    ],
    [
      { updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: -1, maxUnavailable: 0 } } },
      [
        `${at}.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0`,
        `${at}.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0`,
      ],
    ],
    [
      { persistentVolumeClaimRetentionPolicy: { whenDeleted: "Keep" } },
      [
        'spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: "Keep": supported values: "Retain", "Delete"',
      ],
    ],
    [{ ordinals: { start: -1 } }, ["spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0"]],
  ];
  for (const [spec, errors] of cases) {
    assert.deepEqual(tryCreate(statefulSetKind, sent(spec)).errors, errors, JSON.stringify(spec));
  }
});

test("stateful set: some fields may change", () => {
  const { object: old } = tryCreate(statefulSetKind, sent());
  const change = (spec: object) =>
    tryUpdate(statefulSetKind, old, { change: (object) => void Object.assign(object.spec ?? {}, spec) });
  assert.deepEqual(change({ replicas: 3, minReadySeconds: 2, revisionHistoryLimit: 1 }).errors, []);
  assert.match(
    change({ serviceName: "x" }).errors.join(),
    /^spec: Forbidden: updates to statefulset spec .* forbidden$/,
  );
  const warning =
    "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended";
  assert.deepEqual(change({ revisionHistoryLimit: -1 }).warnings, [warning]);
});

test("stateful set: cells", () => {
  const { object } = tryCreate(statefulSetKind, sent({ replicas: 3 }));
  object.status = { replicas: 3, readyReplicas: 1 };
  assert.equal(tryColumns(statefulSetKind, object).Ready, "1/3");
});
