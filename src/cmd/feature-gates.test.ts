import assert from "node:assert/strict";
import { test } from "node:test";
import { readFeatureGates } from "./feature-gates.ts";

test("feature gates: what changes something is read, others are warned about, mistakes are told", () => {
  const warnings: string[] = [];
  const read = (...gates: string[]) => readFeatureGates(gates, (text) => warnings.push(text));
  assert.deepEqual(read(), { cbor: false, unsafeDeletion: false });
  assert.deepEqual(read("CBORServingAndStorage=true", "Other=false"), { cbor: true, unsafeDeletion: false });
  assert.deepEqual(warnings, ["--feature-gates: Other has no effect here"]);
  assert.throws(() => read("X"), /missing bool value for X/);
  assert.throws(() => read("X=yes"), /invalid value of X=yes/);
});
