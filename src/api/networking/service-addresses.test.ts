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
  const { errors } = tryUpdate(serviceCidrKind, old, {
    change: (range) => void Object.assign(range, { spec: { cidrs: [] } }),
  });
  assert.match(errors.join(), /^spec\.cidrs: Invalid value: .*: field is immutable$/);
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
