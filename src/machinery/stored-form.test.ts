import assert from "node:assert/strict";
import { test } from "node:test";
import { listOf, objectOf, string, type, workload } from "./sample-types.ts";
import { forgetEmpty, omitEmpty } from "./stored-form.ts";

test("stored form: what is printed when empty is null, also in lists", () => {
  const rule = type("Rule", { verbs: [listOf(string), { zero: "printed" }] });
  const role = type("Role", { rules: [listOf(objectOf(rule)), { zero: "printed" }] });
  const stored = (object: object) => {
    forgetEmpty(object, role);
    return object;
  };
  assert.deepEqual(stored({ rules: [] }), { rules: null });
  assert.deepEqual(stored({ rules: [{ verbs: [] }, { verbs: ["get"] }] }), {
    rules: [{ verbs: null }, { verbs: ["get"] }],
  });
  assert.deepEqual(stored({}), {});
});

test("stored form: empty lists and maps that aren't printed go, the others stay as they were sent", () => {
  const object = {
    metadata: { labels: {}, finalizers: [] },
    spec: { containers: [{ name: "a", args: [], env: [{ name: "x" }] }], nodeSelector: { a: "" }, extra: { kept: [] } },
    data: {},
  };
  const printed = { metadata: {}, spec: { ...object.spec, containers: [{ name: "a", env: [{ name: "x" }] }] } };
  omitEmpty(object, workload);
  assert.deepEqual(object, printed);
  const none = { spec: { containers: [] } };
  omitEmpty(none, workload);
  assert.deepEqual(none, { spec: { containers: [] } });
});
