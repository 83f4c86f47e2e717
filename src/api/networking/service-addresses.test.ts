import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { ipAddressKind } from "./ip-address.ts";
import { serviceCidrKind } from "./service-cidr.ts";

test("service range: one of each family", () => {
  const errorsOf = (...cidrs: string[]) => tryCreate(serviceCidrKind, { spec: { cidrs } }).errors;
  assert.deepEqual(errorsOf("10.0.0.0/24", "2001:db8::/64"), []);
  assert.deepEqual(errorsOf(), ["spec.cidrs: Required value: at least one CIDR required"]);
  assert.match(errorsOf("10.0.0.0/24", "10.1.0.0/24").join(), /may specify no more than one IP for each IP family/);
  const { object: old } = tryCreate(serviceCidrKind, { spec: { cidrs: ["10.0.0.0/24"] } });
  assert.equal(tryColumns(serviceCidrKind, old).CIDRs, "10.0.0.0/24");
  const update = (...cidrs: string[]) =>
    tryUpdate(serviceCidrKind, old, {
      change: (range) => void Object.assign(range, { spec: { cidrs } }),
    }).errors.join();
  assert.match(update(), /^spec\.cidrs: Invalid value: .*: field is immutable$/);
  assert.match(update("10.0.1.0/24"), /^spec\.cidrs\[0\]: Invalid value: "10\.0\.1\.0\/24": field is immutable$/);
  assert.equal(update("10.0.0.0/24", "2001:db8::/64"), "");
  assert.match(update("2001:db8::/64", "10.0.0.0/24"), /^spec\.cidrs\[0\]: Invalid value: .*: field is immutable$/);
  assert.match(update("10.0.0.0/24", "10.1.0.0/24"), /may specify no more than one IP for each IP family/);
  assert.match(
    update("10.0.0.0/24", "2001:db8::1/64"),
    /^spec\.cidrs\[1\]: .*must not have bits set beyond the prefix length/,
  );
});

test("service range: its status is written by its own path alone", () => {
  const status = {
    conditions: [
      { type: "Ready", status: "True", reason: "", message: "x", lastTransitionTime: "2026-01-01T00:00:00Z" },
    ],
  };
  const { object } = tryCreate(serviceCidrKind, { spec: { cidrs: ["10.0.0.0/24"] }, status });
  assert.deepEqual(object.status, {});
  const updated = tryUpdate(serviceCidrKind, object, { change: (range) => void Object.assign(range, { status }) });
  assert.deepEqual(updated.object.status, {});
});

test("address: whose it is", () => {
  assert.deepEqual(ipAddressKind.validateName?.("10.0.0.1", false), []);
  assert.deepEqual(ipAddressKind.validateName?.("010.0.0.1", false), ["must not have leading 0s"]);
  assert.deepEqual(tryCreate(ipAddressKind, { spec: {} }).errors, ["spec.parentRef: Required value"]);
  const parentRef = { resource: "services", namespace: "default", name: "kubernetes" };
  const { object: old, errors } = tryCreate(ipAddressKind, { spec: { parentRef } });
  assert.deepEqual(errors, []);
  assert.equal(tryColumns(ipAddressKind, old).ParentRef, "services/default/kubernetes");
  const rename = (name: string) =>
    tryUpdate(ipAddressKind, old, { change: ({ spec }) => void Object.assign(spec.parentRef, { name }) });
  assert.match(rename("x").errors.join(), /field is immutable$/);
});
