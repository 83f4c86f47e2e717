import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { replicaSetKind } from "./replica-set.ts";

const labels = { app: "web" };
const sent = (spec: object = {}) => ({
  spec: {
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [{ name: "c", image: "a" }] } },
    ...spec,
  },
});

test("replica set: what a client leaves out", () => {
  const { object, errors } = tryCreate(replicaSetKind, sent());
  assert.deepEqual(errors, []);
  assert.equal(object.spec?.replicas, 1);
  assert.deepEqual(object.status, { replicas: 0 });
});

test("replica set: what is refused, twice on an update", () => {
  const negative = "spec.replicas: Invalid value: -2: must be greater than or equal to 0";
  assert.deepEqual(tryCreate(replicaSetKind, sent({ replicas: -2 })).errors, [negative]);
  const { object: old } = tryCreate(replicaSetKind, sent());
  const { errors } = tryUpdate(replicaSetKind, old, {
    change: (object) => replicaSetKind.scale?.setReplicas(object, -2),
  });
  assert.deepEqual(errors, [negative, negative]);
});

test("replica set: status and cells", () => {
  const { object: old } = tryCreate(replicaSetKind, sent({ replicas: 3 }));
  const answer = tryUpdate(replicaSetKind, old, {
    subresource: "status",
    change(object) {
      object.status = { replicas: 2, fullyLabeledReplicas: 3, readyReplicas: 2 };
    },
  });
  const why = "cannot be greater than status.replicas";
  assert.deepEqual(answer.errors, [`status.fullyLabeledReplicas: Invalid value: 3: ${why}`]);
  const { Desired, Current, Ready, Selector } = tryColumns(replicaSetKind, answer.object);
  assert.deepEqual([Desired, Current, Ready, Selector], [3, 2, 2, "app=web"]);
});
