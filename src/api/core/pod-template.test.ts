import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { podTemplateKind } from "./pod-template.ts";

const template = { metadata: { labels: { b: "2", a: "1" } }, spec: { containers: [{ name: "c", image: "demo/a:1" }] } };

test("a template is checked as those of workloads are", () => {
  const { errors } = tryCreate(podTemplateKind, {
    template: {
      metadata: { labels: { a: " " } },
      spec: { containers: [{ name: "" }], ephemeralContainers: [{ name: "e", image: "i" }] },
    },
  });
  assert.deepEqual(
    errors.map((error) => error.replace(/ a valid label .*$/, " …")),
    [
      'template.labels: Invalid value: " ": …',
      "template.spec.containers[0].name: Required value",
      "template.spec.containers[0].image: Required value",
      "template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template",
    ],
  );
});

test("its generation counts changes of the template", () => {
  const { object: old } = tryCreate(podTemplateKind, { template });
  const changed = tryUpdate(podTemplateKind, old, {
    change: (object) => Object.assign(object.template ?? {}, { metadata: {} }),
  });
  const labelled = tryUpdate(podTemplateKind, old, {
    change: ({ metadata }) => Object.assign(metadata, { labels: { a: "b" } }),
  });
  assert.deepEqual(
    [old, changed.object, labelled.object].map(({ metadata }) => metadata.generation),
    [1, 2, 1],
  );
});

test("the table", () => {
  assert.deepEqual(Object.values(tryColumns(podTemplateKind, tryCreate(podTemplateKind, { template }).object)), [
    "c",
    "demo/a:1",
    "a=1,b=2",
  ]);
});
