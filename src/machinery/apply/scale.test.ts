import assert from "node:assert/strict";
import { test } from "node:test";
import type { ManagedFieldsEntry } from "../object.ts";
import { managedFieldsFromScale, managedFieldsToScale } from "./scale.ts";

const paths = { "apps/v1": ["spec", "replicas"], "apps/v0": [] };
const replicas = { "f:spec": { "f:replicas": {} } };

const entry = (manager: string, fieldsV1: unknown, more: ManagedFieldsEntry = {}): ManagedFieldsEntry => ({
  manager,
  operation: "Apply",
  apiVersion: "apps/v1",
  time: "2026-01-01T00:00:00Z",
  fieldsType: "FieldsV1",
  fieldsV1,
  ...more,
});

test("scale: shows who owns the replicas, in its own version", () => {
  const parent = [
    entry("a", { "f:spec": { "f:paused": {}, "f:replicas": {} } }),
    entry("b", { "f:spec": { "f:paused": {} } }),
    entry("c", replicas, { apiVersion: "apps/v9" }),
  ];
  assert.deepEqual(managedFieldsToScale(parent, paths), [entry("a", replicas, { apiVersion: "autoscaling/v1" })]);
  assert.equal(managedFieldsToScale(undefined, paths), undefined);
});

test("scale: who takes the replicas there takes them from the others", () => {
  const parent = [entry("a", { "f:spec": { "f:paused": {}, "f:replicas": {} } }), entry("b", replicas)];
  const scaler = entry("s", replicas, { operation: "Update", apiVersion: "autoscaling/v1", subresource: "scale" });
  assert.deepEqual(managedFieldsFromScale({ parent, scale: [scaler], apiVersion: "apps/v1", paths }), [
    entry("a", { "f:spec": { "f:paused": {} } }),
    {
      manager: "s",
      operation: "Update",
      apiVersion: "apps/v1",
      fieldsType: "FieldsV1",
      fieldsV1: replicas,
      subresource: "scale",
    },
  ]);
});

test("scale: who kept the replicas keeps the entry as it was", () => {
  const parent = [
    entry("a", { "f:spec": { "f:paused": {}, "f:replicas": {} } }),
    entry("u", { "f:spec": { "f:other": {}, "f:replicas": {} } }, { operation: "Update" }),
    entry("old", { "f:x": {} }, { apiVersion: "apps/v0" }),
    entry("unknown version", replicas, { apiVersion: "apps/v9" }),
  ];
  const scale = managedFieldsToScale(parent, paths);
  assert.deepEqual(
    managedFieldsFromScale({ parent, scale, apiVersion: "apps/v1", paths })?.map(({ manager }) => manager),
    ["a", "old", "u"],
  );
});
