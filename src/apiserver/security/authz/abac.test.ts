import assert from "node:assert/strict";
import { test } from "node:test";
import type { Attributes, Decision } from "../../security.ts";
import { createAbacAuthorizer, parseAbacPolicies } from "./abac.ts";

const versioned = (spec: object) =>
  JSON.stringify({ apiVersion: "abac.authorization.kubernetes.io/v1beta1", kind: "Policy", spec });

function ask(policies: string, who: string, what: string): boolean {
  const [name = "", ...groups] = who.split(",");
  const [verb = "", target = ""] = what.split(" ");
  const path = target.startsWith("/");
  const [group = "", resource = "", namespace = ""] = path ? [] : target.split("|");
  const attributes: Attributes = {
    user: { name, uid: "", groups, extra: {} },
    verb,
    resourceRequest: !path,
    path: path ? target : "",
    apiGroup: group,
    apiVersion: "v1",
    resource,
    subresource: "",
    namespace,
    name: "",
  };
  const decision = createAbacAuthorizer(parseAbacPolicies(policies, "f")).authorize(attributes) as Decision; // in memory
  assert.equal(decision.reason, decision.allowed ? "" : "No policy matched.");
  return decision.allowed;
}

const current = [
  "# comments and blank lines are skipped",
  "",
  versioned({ user: "admin", namespace: "*", resource: "*", apiGroup: "*" }),
  versioned({ user: "reader", namespace: "a", resource: "pods", readonly: true }),
  versioned({ group: "ops", namespace: "*", resource: "deployments", apiGroup: "apps" }),
  versioned({ user: "both", group: "needed", namespace: "*", resource: "*", apiGroup: "*" }),
  versioned({ group: "*", nonResourcePath: "/version", readonly: true }),
  versioned({ user: "paths", nonResourcePath: "/logs/*" }),
  versioned({ namespace: "*", resource: "*", apiGroup: "*" }),
].join("\n");

for (const [who, what, allowed] of [
  ["admin", "delete |secrets|x", true],
  ["admin", "get /healthz", false],
  ["reader", "get |pods|a", true],
  ["reader", "watch |pods|a", true],
  ["reader", "delete |pods|a", false],
  ["reader", "get |pods|b", false],
  ["reader", "get apps|pods|a", false],
  ["x,ops", "update apps|deployments|a", true],
  ["x,ops", "update |deployments|a", false],
  ["both", "get |pods|a", false],
  ["both,needed", "get |pods|a", true],
  ["x,system:authenticated", "get /version", true],
  ["system:anonymous,system:unauthenticated", "get /version", false],
  ["x,system:authenticated", "post /version", false],
  ["paths", "get /logs/a/b", true],
  ["paths", "get /logs", false],
  ["nobody", "get |pods|a", false],
] as const)
  test(`abac: ${who} may ${allowed ? "" : "not "}${what}`, () => assert.equal(ask(current, who, what), allowed));

// Kubernetes 1.0 had no versions: what wasn't said meant everything.
const oldest = [
  '{"user":"alice"}',
  '{"user":"kubelet", "resource": "pods", "readonly": true}',
  '{"user":"bob", "resource": "pods", "readonly": true, "namespace": "projectCaribou"}',
  '{"user":"*", "resource": "events"}',
].join("\n");

for (const [who, what, allowed] of [
  ["alice", "delete apps|deployments|x", true],
  ["alice", "get /anything", true],
  ["kubelet", "list |pods|x", true],
  ["kubelet", "create |pods|x", false],
  ["kubelet", "get /healthz", false],
  ["bob", "get |pods|projectCaribou", true],
  ["bob", "get |pods|other", false],
  ["somebody,system:authenticated", "create |events|x", true],
  ["system:anonymous,system:unauthenticated", "create |events|x", false],
] as const)
  test(`abac of 1.0: ${who} may ${allowed ? "" : "not "}${what}`, () => assert.equal(ask(oldest, who, what), allowed));

test("abac: a line that names nobody is about everybody who is authenticated", () => {
  assert.ok(ask("{}", "x,system:authenticated", "delete |secrets|x"));
  assert.ok(!ask("{}", "x", "delete |secrets|x"));
});

test("abac: rules of a user in a namespace", () => {
  const authorizer = createAbacAuthorizer(parseAbacPolicies(current, "f"));
  const { rules } = authorizer.rulesFor({ name: "reader", uid: "", groups: ["system:authenticated"], extra: {} }, "a");
  assert.deepEqual(rules, [{ verbs: ["get", "list", "watch"], apiGroups: [""], resources: ["pods"] }]);
});

test("abac: mistakes are told with the file and the line", () => {
  for (const [line, why] of [
    ["{", "unexpected end of JSON input"],
    ['{"user":1}', "json: cannot unmarshal number into Go struct field Policy.user of type string"],
    [
      versioned({ readonly: "yes" }),
      "json: cannot unmarshal string into Go struct field Policy.spec.readonly of type bool",
    ],
    ["[]", "json: cannot unmarshal into Go value of type abac.Policy"],
  ])
    assert.throws(() => parseAbacPolicies(`\n${line}\n`, "/etc/abac.jsonl"), {
      message: `error reading policy file /etc/abac.jsonl, line 2: ${line}: ${why}`,
    });
});
