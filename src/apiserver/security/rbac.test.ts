import assert from "node:assert/strict";
import { test } from "node:test";
import type { Attributes } from "../security.ts";
import { bootstrapObjects, parseRule } from "./bootstrap.ts";
import { type Binding, createRbac, type RbacSource } from "./rbac.ts";
import { type PolicyRule, ruleAllows, uncoveredRules } from "./rules.ts";

const attributes = (more: Partial<Attributes>): Attributes => ({
  user: { name: "alice", uid: "", groups: ["devs", "system:authenticated"], extra: {} },
  verb: "get",
  resourceRequest: true,
  path: "",
  apiGroup: "",
  apiVersion: "v1",
  resource: "pods",
  subresource: "",
  namespace: "ns",
  name: "",
  ...more,
});

for (const [rule, request, allowed] of [
  ["get | - | pods", {}, true],
  ["list | - | pods", {}, false],
  ["get | apps | pods", {}, false],
  ["* | * | *", { subresource: "log" }, true],
  ["get | - | pods", { subresource: "log" }, false],
  ["get | - | pods/log", { subresource: "log" }, true],
  ["get | - | */log", { subresource: "log" }, true],
  ["get | - | pods | a", { name: "a" }, true],
  ["get | - | pods | a", { name: "b" }, false],
  ["get | | /logs/*", { resourceRequest: false, path: "/logs/x" }, true],
  ["get | | /logs/*", { resourceRequest: false, path: "/log" }, false],
  ["get | | /healthz", { resourceRequest: false, path: "/healthz" }, true],
] as const)
  test(`rule ${rule}: ${allowed ? "allows" : "refuses"} ${JSON.stringify(request)}`, () => {
    assert.equal(ruleAllows(parseRule(rule), attributes(request)), allowed);
  });

function source(bindings: Binding[], roles: Record<string, PolicyRule[]>): RbacSource & { version: number } {
  return {
    version: 1,
    bindingsVersion() {
      return this.version;
    },
    clusterRoleBindings: () => bindings.filter(({ metadata }) => !metadata.namespace),
    roleBindings: () => bindings.filter(({ metadata }) => metadata.namespace),
    roleRules: (namespace, name) => roles[`${namespace}/${name}`],
  };
}

const binding = (
  namespace: string,
  role: string,
  subject: { kind: string; name: string; namespace?: string },
): Binding => ({
  metadata: { name: "b", ...(namespace ? { namespace } : {}) },
  subjects: [subject],
  roleRef: { kind: role.startsWith("/") ? "ClusterRole" : "Role", name: role.split("/")[1] ?? "" },
});

test("rbac: a role binding counts in its namespace only, a cluster role binding everywhere", () => {
  const rules = [parseRule("get | - | pods")];
  const inNamespace = createRbac(source([binding("ns", "/r", { kind: "User", name: "alice" })], { "/r": rules }));
  const decision = inNamespace.authorize(attributes({}));
  assert.deepEqual(decision, {
    allowed: true,
    reason: 'RBAC: allowed by RoleBinding "b/ns" of ClusterRole "r" to User "alice"',
  });
  assert.deepEqual(inNamespace.authorize(attributes({ namespace: "other" })), { allowed: false, reason: "" });
  const everywhere = createRbac(source([binding("", "/r", { kind: "Group", name: "devs" })], { "/r": rules }));
  assert.deepEqual(everywhere.authorize(attributes({ namespace: "other" })), {
    allowed: true,
    reason: 'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to Group "devs"',
  });
});

test("rbac: a missing role is the reason of the refusal", () => {
  const rbac = createRbac(source([binding("ns", "ns/none", { kind: "User", name: "alice" })], {}));
  assert.deepEqual(rbac.authorize(attributes({})), {
    allowed: false,
    reason: 'RBAC: role.rbac.authorization.k8s.io "none" not found',
  });
});

test("rbac: service accounts are found by account, and masters need no role", () => {
  const rbac = createRbac(
    source([binding("ns", "ns/r", { kind: "ServiceAccount", name: "robot", namespace: "x" })], {
      "ns/r": [parseRule("get | - | pods")],
    }),
  );
  const robot = { name: "system:serviceaccount:x:robot", uid: "", groups: [], extra: {} };
  assert.match(String(Object.values(rbac.authorize(attributes({ user: robot })))[1]), /to ServiceAccount "robot\/x"$/);
  const master = { name: "root", uid: "", groups: ["system:masters"], extra: {} };
  assert.deepEqual(rbac.authorize(attributes({ user: master, verb: "anything" })), { allowed: true, reason: "" });
});

test("rbac: a changed binding counts from the next version on", () => {
  const bindings: Binding[] = [];
  const changing = source(bindings, { "/r": [parseRule("get | - | pods")] });
  const rbac = createRbac(changing);
  assert.deepEqual(rbac.authorize(attributes({})), { allowed: false, reason: "" });
  bindings.push(binding("", "/r", { kind: "User", name: "alice" }));
  changing.version++;
  assert.equal(Object.values(rbac.authorize(attributes({})))[0], true);
});

test("escalation: what isn't owned is named, rule by rule", () => {
  const owned = [parseRule("get list | - | configmaps"), parseRule("* | apps | *")];
  assert.deepEqual(
    uncoveredRules(owned, [parseRule("get | - | configmaps | a"), parseRule("delete | apps | deployments/scale")]),
    [],
  );
  assert.deepEqual(uncoveredRules(owned, [parseRule("get delete | - | configmaps")]), [
    parseRule("delete | - | configmaps"),
  ]);
});

test("bootstrap: aggregated roles gather by label, every binding's role is there", () => {
  const objects = bootstrapObjects();
  const admin = objects.clusterRoles.find(({ metadata }) => metadata.name === "admin");
  assert.equal(admin?.rules, undefined);
  const [selector] = admin?.aggregationRule?.clusterRoleSelectors ?? [];
  const gathered = objects.clusterRoles.filter(({ metadata }) =>
    Object.keys(selector?.matchLabels ?? {}).every((label) => metadata.labels?.[label] === "true"),
  );
  assert.deepEqual(
    gathered.map(({ metadata }) => metadata.name),
    ["edit", "system:aggregate-to-admin"],
  );
  assert.ok(
    objects.clusterRoleBindings.every(({ roleRef }) =>
      objects.clusterRoles.some(({ metadata }) => metadata.name === roleRef.name),
    ),
  );
});
