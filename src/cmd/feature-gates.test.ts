import assert from "node:assert/strict";
import { test } from "node:test";
import { readFeatureGates, readRuntimeConfig } from "./feature-gates.ts";

test("feature gates: what changes something is read, others are warned about, mistakes are told", () => {
  const warnings: string[] = [];
  const read = (...gates: string[]) => readFeatureGates(gates, (text) => warnings.push(text));
  const off = {
    cbor: false,
    unsafeDeletion: false,
    coordinatedElection: false,
    scaleToZero: false,
    storageVersionMigration: false,
  };
  assert.deepEqual(read(), off);
  assert.deepEqual(read("CBORServingAndStorage=true", "Other=false"), { ...off, cbor: true });
  assert.deepEqual(warnings, ["--feature-gates: Other has no effect here"]);
  assert.throws(() => read("X"), /missing bool value for X/);
  assert.throws(() => read("X=yes"), /invalid value of X=yes/);
});

test("runtime config: versions that are known may be turned on and off", () => {
  assert.deepEqual(
    [...readRuntimeConfig(["coordination.k8s.io/v1beta1", "batch/v1=false"])],
    [
      ["coordination.k8s.io/v1beta1", true],
      ["batch/v1", false],
    ],
  );
  assert.throws(() => readRuntimeConfig(["batch/v9=true"]), /unknown api version batch\/v9/);
  assert.throws(() => readRuntimeConfig(["batch/v1=x"]), /invalid value of batch\/v1=x/);
});
