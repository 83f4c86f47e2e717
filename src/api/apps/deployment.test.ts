import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { deploymentKind } from "./deployment.ts";

const labels = { app: "web" };
const template = { metadata: { labels }, spec: { containers: [{ name: "c", image: "demo/a:1" }] } };
const deployment = (spec: object = {}) => ({ spec: { selector: { matchLabels: labels }, template, ...spec } });
const made = () => tryCreate(deploymentKind, deployment()).object;

test("deployment: what a client leaves out", () => {
  const { object, errors, warnings } = tryCreate(deploymentKind, deployment());
  assert.deepEqual([errors, warnings], [[], []]);
  const { template: pods, selector: _selector, ...rest } = object.spec ?? {};
  assert.deepEqual(rest, {
    replicas: 1,
    strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: "25%", maxSurge: "25%" } },
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
  });
  assert.equal(pods?.spec?.restartPolicy, "Always");
  assert.deepEqual(object.status, {});
  assert.equal(object.metadata.generation, 1);
});

test("deployment: what is refused", () => {
  const mismatch = (labels: string) =>
    `spec.template.metadata.labels: Invalid value: ${labels}: \`selector\` does not match template \`labels\``;
  const rolling = (rollingUpdate: object) => ({ strategy: { type: "RollingUpdate", rollingUpdate } });
  const at = "spec.strategy.rollingUpdate";
  const percent =
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
  const cases: [object, string[]][] = [
    [{ selector: undefined }, ["spec.selector: Required value", mismatch('{"app":"web"}')]],
    [{ selector: {} }, ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"]],
    [{ selector: { matchLabels: { app: "x" } } }, [mismatch('{"app":"web"}')]],
    [{ replicas: -1 }, ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]],
    [
      { minReadySeconds: 5, progressDeadlineSeconds: 5 },
      ["spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"],
    ],
    [
      { strategy: { type: "Recreate", rollingUpdate: {} } },
      [`${at}: Forbidden: may not be specified when strategy \`type\` is 'Recreate'`],
    ],
    [
      { strategy: { type: "Odd" } },
      [
        'spec.strategy: Unsupported value: {"Type":"Odd","RollingUpdate":null}: supported values: "Recreate", "RollingUpdate"',
      ],
    ],
    [
      rolling({ maxUnavailable: "0%", maxSurge: 0 }),
      [`${at}.maxUnavailable: Invalid value: "0%": may not be 0 when \`maxSurge\` is 0`],
    ],
    [
      rolling({ maxUnavailable: "101%", maxSurge: "x" }),
      [
        `${at}.maxSurge: Invalid value: "x": ${percent}`,
        `${at}.maxUnavailable: Invalid value: "101%": must not be greater than 100%`,
      ],
    ],
    [
      { template: { ...template, spec: { ...template.spec, restartPolicy: "Never", activeDeadlineSeconds: 5 } } },
      [
        'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
        "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported",
      ],
    ],
  ];
  for (const [spec, errors] of cases) {
    assert.deepEqual(tryCreate(deploymentKind, deployment(spec)).errors, errors, JSON.stringify(spec));
  }
});

test("deployment: the generation counts changes of spec and annotations", () => {
  const old = made();
  const generation = (change: Parameters<typeof tryUpdate<typeof old>>[2]["change"]) =>
    tryUpdate(deploymentKind, old, { change }).object.metadata.generation;
  assert.equal(
    generation(({ spec }) => Object.assign(spec ?? {}, { paused: true })),
    2,
  );
  assert.equal(
    generation(({ metadata }) => Object.assign(metadata, { annotations: { a: "b" } })),
    2,
  );
  assert.equal(
    generation(({ metadata }) => Object.assign(metadata, { labels: { a: "b" } })),
    1,
  );
  assert.equal(
    generation((object) => Object.assign(object, { status: { replicas: 5 } })),
    1,
  );
});

test("deployment: its selector stays", () => {
  const { errors } = tryUpdate(deploymentKind, made(), {
    change({ spec }) {
      Object.assign(spec ?? {}, { selector: { matchExpressions: [{ key: "app", operator: "Exists" }] } });
    },
  });
  assert.equal(errors.length, 1);
  assert.match(errors.join(), /^spec\.selector: Invalid value: .*: field is immutable$/);
});

test("deployment: status", () => {
  const old = made();
  const status = { replicas: 1, updatedReplicas: 2, readyReplicas: 1, availableReplicas: 2, collisionCount: -1 };
  const { errors, object } = tryUpdate(deploymentKind, old, {
    subresource: "status",
    change(object) {
      object.status = status;
      object.metadata.labels = { a: "b" };
      object.spec = undefined as never; // what a client might send
    },
  });
  assert.deepEqual(object.spec, old.spec);
  assert.equal(object.metadata.labels, undefined);
  assert.deepEqual(errors, [
    "status.collisionCount: Invalid value: -1: must be greater than or equal to 0",
    "status.updatedReplicas: Invalid value: 2: cannot be greater than status.replicas",
    "status.availableReplicas: Invalid value: 2: cannot be greater than status.replicas",
    "status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas",
  ]);
});

test("deployment: cells and scale", () => {
  const object = made();
  object.status = { replicas: 3, readyReplicas: 2, updatedReplicas: 1, availableReplicas: 1 };
  object.metadata.creationTimestamp = "2026-01-02T03:03:05Z";
  assert.deepEqual(tryColumns(deploymentKind, object), {
    Ready: "2/1",
    "Up-to-date": 1,
    Available: 1,
    Age: "60s",
    Containers: "c",
    Images: "demo/a:1",
    Selector: "app=web",
  });
  assert.equal(deploymentKind.scale?.selectorOf(object), "app=web");
  assert.equal(deploymentKind.scale?.statusReplicasOf(object), 3);
});

test("deployment: names that pods can't have are worth a warning", () => {
  const { warnings } = tryCreate(deploymentKind, { metadata: { name: "a.b", namespace: "n" }, ...deployment() });
  assert.match(warnings.join(), /^metadata\.name: this is used in Pod names and hostnames, .*: \[.*\]$/);
});
