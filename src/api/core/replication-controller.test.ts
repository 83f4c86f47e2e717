import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { replicationControllerKind } from "./replication-controller.ts";

const labels = { app: "a" };
const template = { metadata: { labels }, spec: { containers: [{ name: "c", image: "demo/a:1" }] } };
const create = (spec: object, metadata: object = { name: "rc" }) =>
  tryCreate(replicationControllerKind, { metadata, spec });

test("selector, labels and number follow from the template", () => {
  const { object } = create({ template });
  assert.deepEqual([object.metadata.labels, object.spec?.selector, object.spec?.replicas], [labels, labels, 1]);
  assert.deepEqual([object.status, object.metadata.generation], [{ replicas: 0 }, 1]);
});

test("replication controllers: what is refused", () => {
  const at = "spec.template";
  const cases: [object, string[]][] = [
    [{}, ["spec.selector: Required value", `${at}: Required value`]],
    [
      { selector: { a: "b" }, template },
      [`${at}.metadata.labels: Invalid value: {"app":"a"}: \`selector\` does not match template \`labels\``],
    ],
    [
      { template, replicas: -1, minReadySeconds: -1 },
      [
        "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
      ],
    ],
    [
      { template: { ...template, spec: { ...template.spec, restartPolicy: "Never", activeDeadlineSeconds: 1 } } },
      [
        `${at}.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"`,
        `${at}.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicationController is not Supported`,
      ],
    ],
  ];
  for (const [spec, errors] of cases) assert.deepEqual(create(spec).errors, errors, JSON.stringify(spec));
});

test("a status counts pods", () => {
  const { object: old } = create({ template });
  const { errors } = tryUpdate(replicationControllerKind, old, {
    change: (controller) =>
      Object.assign(controller, { status: { replicas: 1, readyReplicas: 2, availableReplicas: 3 } }),
    subresource: "status",
  });
  assert.deepEqual(errors, [
    "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
    "status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas",
    "status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas",
  ]);
});

test("it can be scaled, and its generation counts that", () => {
  const { object: old } = create({ template });
  const { scale } = replicationControllerKind;
  assert.equal(scale?.selectorOf(old), "app=a");
  const { object } = tryUpdate(replicationControllerKind, old, {
    change: (controller) => scale?.setReplicas(controller, 3),
  });
  assert.deepEqual([scale?.replicasOf(object), object.metadata.generation], [3, 2]);
});

test("its name becomes a hostname", () => {
  assert.match(
    create({ template }, { name: "a.b" }).warnings.join(),
    /^metadata\.name: this is used in Pod names and hostnames/,
  );
});

test("the table", () => {
  const { Age: _, ...cells } = tryColumns(replicationControllerKind, create({ template }).object);
  assert.deepEqual(Object.values(cells), [1, 0, 0, "c", "demo/a:1", "app=a"]);
});
