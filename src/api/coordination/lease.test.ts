import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { leaseKind } from "./lease.ts";
import { leaseCandidateKind } from "./lease-candidate.ts";
import { compareVersions, readVersion } from "./semantic-version.ts";

test("lease: numbers", () => {
  assert.deepEqual(tryCreate(leaseKind, {}).errors, []);
  assert.deepEqual(tryCreate(leaseKind, { spec: { leaseDurationSeconds: 0, leaseTransitions: -1 } }).errors, [
    "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
    "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
  ]);
  const { object } = tryCreate(leaseKind, { spec: { holderIdentity: "me", renewTime: "2026-01-02T03:04:05.000000Z" } });
  assert.equal(tryColumns(leaseKind, object).Holder, "me");
});

test("lease: coordinated election is off, but what is stored stays", () => {
  const { object: old } = tryCreate(leaseKind, { spec: { strategy: "OldestEmulationVersion", preferredHolder: "a" } });
  assert.deepEqual(old.spec, {});
  old.spec = { strategy: "acme.io/own" };
  const change = (spec: object) =>
    tryUpdate(leaseKind, old, { change: (lease) => void Object.assign(lease, { spec }) });
  assert.deepEqual(change({ strategy: "Odd" }).errors, [
    'spec.strategy: Unsupported value: "Odd": supported values: "OldestEmulationVersion"',
  ]);
  assert.deepEqual(change({ preferredHolder: "b" }).errors, [
    "spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined",
  ]);
});

test("lease candidate: versions", () => {
  const strategy = "OldestEmulationVersion";
  const errorsOf = (spec: object) =>
    tryCreate(leaseCandidateKind, { spec: { leaseName: "l", strategy, ...spec } }).errors;
  assert.deepEqual(errorsOf({ binaryVersion: "1.36.0", emulationVersion: "1.35.0" }), []);
  assert.deepEqual(errorsOf({ binaryVersion: "1.34.0", emulationVersion: "1.35.0" }), [
    'spec.binaryVersion: Invalid value: "1.34.0": must be greater than or equal to `emulationVersion`',
  ]);
  assert.deepEqual(errorsOf({ binaryVersion: "v1", strategy: "acme.io/own" }), [
    'spec.binaryVersion: Invalid value: "v1": must be a valid semantic version',
  ]);
  assert.deepEqual(errorsOf({ leaseName: "", strategy: "" }), [
    "spec.leaseName: Required value",
    "spec.strategy: Required value",
  ]);
});

test("semantic versions: their order", () => {
  const ordered = [
    "0.9.0",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0",
    "1.10.0",
  ];
  for (const [i, text] of ordered.entries()) {
    const version = readVersion(text);
    const next = readVersion(ordered[i + 1] ?? "2.0.0+build");
    assert.ok(version && next && compareVersions(version, next) < 0, text);
  }
  for (const text of ["", "1.0", "01.0.0", "1.0.0-01", "v1.0.0"]) assert.equal(readVersion(text), undefined, text);
});
