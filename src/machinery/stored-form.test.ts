import assert from "node:assert/strict";
import { test } from "node:test";
import { listOf, objectOf, string, type } from "./sample-types.ts";
import { forgetEmpty } from "./stored-form.ts";

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
