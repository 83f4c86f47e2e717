import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "#machinery";
import type { AdmissionRequest, Lookup, Round } from "../admission/chain.ts";
import { parseRule } from "./bootstrap.ts";
import { escalationCheck } from "./escalation.ts";
import { createRbac, type RbacSource } from "./rbac.ts";
import type { PolicyRule } from "./rules.ts";

const roles: Record<string, PolicyRule[]> = {
  "ns/reader": [parseRule("get list | - | configmaps")],
  "ns/secrets": [parseRule("get list | - | secrets"), parseRule("get | apps | deployments/scale | d")],
  "/binder": [parseRule("bind | rbac.authorization.k8s.io | clusterroles | admin")],
  "/admin": [parseRule("* | * | *")],
};
const bind = (name: string, namespace: string, user: string) => ({
  metadata: { name, namespace },
  subjects: [{ kind: "User", name: user }],
  roleRef: { kind: namespace ? "Role" : "ClusterRole", name },
});
const source: RbacSource = {
  bindingsVersion: () => 1,
  clusterRoleBindings: () => [bind("binder", "", "bob")],
  roleBindings: () => [bind("reader", "ns", "carol")],
  roleRules: (namespace, name) => roles[`${namespace}/${name}`],
};
const rbac = createRbac(source);
const check = escalationCheck({ rbac, source, authorizer: rbac });

const round: Round = { again: false, wanted: false, notes: new Map() };

/** The refusal's words; undefined when it is let through. */
async function refusal(
  resource: string,
  object: object,
  more: { user?: string; old?: object; groups?: string[] } = {},
) {
  const request = {
    operation: more.old ? "UPDATE" : "CREATE",
    resource: { group: "rbac.authorization.k8s.io", resource },
    subresource: "",
    namespace: resource.startsWith("cluster") ? "" : "ns",
    name: "x",
    user: { name: more.user ?? "carol", uid: "", groups: more.groups ?? ["devs"], extra: {} },
    object: { metadata: { name: "x" }, ...object } as KubernetesObject,
    old: more.old && { metadata: { name: "x" }, ...more.old },
  } as unknown as AdmissionRequest; // as much of it as the check reads
  try {
    await check.mutate?.(request, {} as Lookup, round);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

const attempt = 'user "carol" (groups=["devs"]) is attempting to grant RBAC permissions not currently held:\n';

test("escalation: who holds it may give it", async () => {
  assert.equal(await refusal("roles", { rules: [parseRule("get | - | configmaps")] }), undefined);
  assert.equal(await refusal("rolebindings", { roleRef: { kind: "Role", name: "reader" } }), undefined);
  assert.equal(await refusal("roles", { rules: [parseRule("* | * | *")] }, { groups: ["system:masters"] }), undefined);
});

test("escalation: what is missing is named, rules of one resource in one line", async () => {
  assert.equal(
    await refusal("roles", { rules: [parseRule("get list | - | secrets")] }),
    `roles.rbac.authorization.k8s.io "x" is forbidden: ${attempt}{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}`,
  );
  assert.equal(
    await refusal("rolebindings", { roleRef: { kind: "Role", name: "secrets" } }),
    `rolebindings.rbac.authorization.k8s.io "x" is forbidden: ${attempt}{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}\n` +
      '{APIGroups:["apps"], Resources:["deployments/scale"], ResourceNames:["d"], Verbs:["get"]}',
  );
});

test("escalation: a role that isn't there can't be bound; the verb bind needs no rights of the role", async () => {
  const reference = (kind: string, name: string) => ({
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind, name },
  });
  assert.match((await refusal("rolebindings", reference("Role", "none"))) ?? "", /"none" not found/);
  assert.equal(await refusal("clusterrolebindings", reference("ClusterRole", "admin"), { user: "bob" }), undefined);
  assert.match((await refusal("clusterrolebindings", reference("ClusterRole", "admin"))) ?? "", /not currently held/);
});

test("escalation: an aggregation rule needs everything", async () => {
  const role = { aggregationRule: { clusterRoleSelectors: [{ matchLabels: { a: "b" } }] } };
  assert.match((await refusal("clusterroles", role)) ?? "", /must have cluster-admin privileges/);
});

test("escalation: finalizers of a role one doesn't hold may change", async () => {
  const rules = [parseRule("get | - | secrets")];
  const old = { rules, metadata: { name: "x", finalizers: ["a"] } };
  assert.equal(await refusal("roles", { rules }, { old }), undefined);
  assert.notEqual(await refusal("roles", { rules: [...rules, parseRule("get | - | pods")] }, { old }), undefined);
});
