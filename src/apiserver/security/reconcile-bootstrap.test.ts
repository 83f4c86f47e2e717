import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClusterRole, ClusterRoleBinding } from "#api";
import { bootstrapObjects, parseRule } from "./bootstrap.ts";
import { autoUpdateAnnotation, reconcileBinding, reconcileRole } from "./reconcile-bootstrap.ts";

const role = (rules: string[], metadata: object = {}): ClusterRole => ({
  metadata: { name: "r", ...metadata },
  rules: rules.map(parseRule),
});
const binding = (names: string[], roleName = "r", metadata: object = {}): ClusterRoleBinding => ({
  metadata: { name: "b", ...metadata },
  roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: roleName },
  subjects: names.map((name) => ({ kind: "User", apiGroup: "rbac.authorization.k8s.io", name })),
});
const off = { annotations: { [autoUpdateAnnotation]: "false" } };

test("bootstrap role: as it was made it is kept", () => {
  for (const each of bootstrapObjects().clusterRoles) assert.deepEqual(reconcileRole(each, each), { type: "keep" });
  for (const each of bootstrapObjects().clusterRoleBindings)
    assert.deepEqual(reconcileBinding(each, each), { type: "keep" });
});

test("bootstrap role: missing rules come in, own ones stay, unless its owner said no", () => {
  const wanted = role(["get list | - | pods"], { labels: { a: "b" } });
  const result = reconcileRole(role(["get | - | pods", "get | - | secrets"], { labels: { a: "mine" } }), wanted);
  assert.deepEqual(result, {
    type: "update",
    object: role(["get | - | pods", "get | - | secrets", "list | - | pods"], { labels: { a: "mine" } }),
  });
  assert.deepEqual(reconcileRole(role(["get | - | pods"], off), wanted), { type: "keep" });
});

test("bootstrap binding: missing subjects come in; another role means a new binding", () => {
  assert.deepEqual(reconcileBinding(binding(["x"]), binding(["a", "x"])), {
    type: "update",
    object: binding(["x", "a"]),
  });
  assert.deepEqual(reconcileBinding(binding(["x"], "other"), binding(["x"])), { type: "recreate" });
  assert.deepEqual(reconcileBinding(binding(["x"], "other", off), binding(["x"])), { type: "keep" });
});
