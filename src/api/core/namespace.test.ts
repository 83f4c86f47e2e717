import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import type { Namespace } from "../types.d.ts";
import { namespaceKind } from "./namespace.ts";

const made = (fields: object = {}): Namespace =>
  tryCreate(namespaceKind, { metadata: { name: "a" }, ...fields }).object;

test("a namespace is labelled with its name and waits for its contents to go", () => {
  const { metadata, spec, status } = made({
    spec: { finalizers: ["example.com/x"] },
    status: { phase: "Terminating" },
  });
  assert.deepEqual(metadata.labels, { "kubernetes.io/metadata.name": "a" });
  assert.deepEqual([spec?.finalizers, status], [["example.com/x", "kubernetes"], { phase: "Active" }]);
});

test("its label can't be taken away", () => {
  const { object } = tryUpdate(namespaceKind, made(), {
    change: ({ metadata }) => Object.assign(metadata, { labels: { "kubernetes.io/metadata.name": "x", a: "b" } }),
  });
  assert.deepEqual(object.metadata.labels, { "kubernetes.io/metadata.name": "a", a: "b" });
});

test("finalizers change only through their own path, the phase only with the deletion", () => {
  const change = (namespace: Namespace) =>
    Object.assign(namespace, { spec: { finalizers: [] }, status: { phase: "Terminating" } });
  const old = made();
  assert.deepEqual(tryUpdate(namespaceKind, old, { change }).object, old);
  const finalized = tryUpdate(namespaceKind, old, { change, subresource: "finalize" }).object;
  assert.deepEqual([finalized.spec, finalized.status], [{ finalizers: [] }, { phase: "Active" }]);
  assert.deepEqual(tryUpdate(namespaceKind, old, { change, subresource: "status" }).errors, [
    "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty",
  ]);
  const ending: Namespace = { ...old, metadata: { ...old.metadata, deletionTimestamp: "2026-01-02T03:04:05Z" } };
  assert.deepEqual(tryUpdate(namespaceKind, ending, { change, subresource: "status" }).errors, []);
});

test("finalizers are Kubernetes' own or have a domain", () => {
  assert.deepEqual(tryCreate(namespaceKind, { metadata: { name: "a" }, spec: { finalizers: ["odd"] } }).errors, [
    'spec.finalizers: Invalid value: "odd": name is neither a standard finalizer name nor is it fully qualified',
  ]);
  assert.match(namespaceKind.validateName?.("a.b", false).join() ?? "", /dots/);
});

test("the table", () => {
  assert.equal(tryColumns(namespaceKind, made()).Status, "Active");
});
