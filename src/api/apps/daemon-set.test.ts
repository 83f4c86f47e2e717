import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { controllerRevisionKind } from "./controller-revision.ts";
import { daemonSetKind } from "./daemon-set.ts";

const labels = { app: "agent" };
const sent = (spec: object = {}, metadata: object = {}) => ({
  metadata: { name: "agent", namespace: "n", ...metadata },
  spec: {
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [{ name: "c", image: "a" }] } },
    ...spec,
  },
});
const key = "deprecated.daemonset.template.generation";

test("daemon set: what a client leaves out", () => {
  const { object, errors } = tryCreate(daemonSetKind, sent());
  assert.deepEqual(errors, []);
  assert.deepEqual(object.spec?.updateStrategy, {
    type: "RollingUpdate",
    rollingUpdate: { maxUnavailable: 1, maxSurge: 0 },
  });
  assert.deepEqual(object.metadata.annotations, { [key]: "1" });
});

test("daemon set: what is refused", () => {
  const rolling = (rollingUpdate: object) => ({ updateStrategy: { type: "RollingUpdate", rollingUpdate } });
  const at = "spec.updateStrategy.rollingUpdate";
  const cases: [object, string[]][] = [
    [
      { selector: undefined },
      ['spec.template.metadata.labels: Invalid value: {"app":"agent"}: `selector` does not match template `labels`'],
    ],
    [{ selector: {} }, ["spec.selector: Invalid value: {}: empty selector is invalid for daemonset"]],
    [
      { updateStrategy: { type: "Odd" } },
      [
        'spec.updateStrategy: Unsupported value: {"Type":"Odd","RollingUpdate":null}: supported values: "RollingUpdate", "OnDelete"',
      ],
    ],
    [
      rolling({ maxUnavailable: 1, maxSurge: 1 }),
      [`${at}.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero`],
    ],
    [
      rolling({ maxUnavailable: 0, maxSurge: "0%" }),
      [`${at}.maxUnavailable: Required value: cannot be 0 when maxSurge is 0`],
    ],
  ];
  for (const [spec, errors] of cases) {
    assert.deepEqual(tryCreate(daemonSetKind, sent(spec)).errors, errors, JSON.stringify(spec));
  }
});

test("daemon set: generations of the object and of the template", () => {
  const { object: old } = tryCreate(daemonSetKind, sent({}, { annotations: { [key]: "5" } }));
  const generations = (change: (object: typeof old) => void, subresource = "") => {
    const { object } = tryUpdate(daemonSetKind, old, { change, subresource });
    return [object.metadata.generation, object.metadata.annotations?.[key]];
  };
  assert.deepEqual(
    generations(({ metadata }) => delete metadata.annotations),
    [1, "5"],
  );
  assert.deepEqual(
    generations(({ spec }) => Object.assign(spec ?? {}, { minReadySeconds: 3 })),
    [2, "5"],
  );
  assert.deepEqual(
    generations(({ spec }) => Object.assign(spec?.template.spec ?? {}, { hostNetwork: true })),
    [2, "6"],
  );
  assert.deepEqual(
    generations(({ metadata }) => Object.assign(metadata, { annotations: { [key]: "9" } }), "status"),
    [1, "5"],
  );
});

test("daemon set: cells", () => {
  const { object } = tryCreate(daemonSetKind, sent());
  object.status = { currentNumberScheduled: 2, numberMisscheduled: 0, desiredNumberScheduled: 3, numberReady: 1 };
  const { Desired, Current, Ready, Available, "Node Selector": nodes } = tryColumns(daemonSetKind, object);
  assert.deepEqual([Desired, Current, Ready, Available, nodes], [3, 2, 1, 0, "<none>"]);
});

test("controller revision: data is there and stays", () => {
  assert.deepEqual(tryCreate(controllerRevisionKind, { revision: -1 }).errors, [
    "data: Required value: data is mandatory",
    "revision: Invalid value: -1: must be greater than or equal to 0",
  ]);
  const owner = { apiVersion: "apps/v1", kind: "DaemonSet", name: "agent", uid: "u", controller: true };
  const metadata = { name: "r", namespace: "n", ownerReferences: [owner] };
  const { object: old } = tryCreate(controllerRevisionKind, { metadata, data: { a: 1 }, revision: 1 });
  assert.equal(tryColumns(controllerRevisionKind, old).Controller, "daemonset.apps/agent");
  const change = (fields: object) =>
    tryUpdate(controllerRevisionKind, old, { change: (object) => void Object.assign(object, fields) }).errors;
  assert.deepEqual(change({ revision: 2 }), []);
  assert.deepEqual(change({ data: { a: 2 } }), ['data: Invalid value: {"a":2}: field is immutable']);
});
