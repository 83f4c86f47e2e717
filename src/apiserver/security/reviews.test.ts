import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import type { ResourceAttributes, ServiceAccount } from "#api";
import { realClock } from "#base";
import { statusError } from "#machinery";
import type { Attributes } from "../security.ts";
import { createAccountTokens } from "./account-tokens.ts";
import { createTokenChain, forServer } from "./authn/token-chain.ts";
import { createAuthorizers } from "./authz/authorizers.ts";
import { parseRule } from "./bootstrap.ts";
import { createRbac } from "./rbac.ts";
import { createReviews } from "./reviews.ts";
import { requestToken } from "./token-request.ts";

const key = generateKeyPairSync("rsa", { modulusLength: 2048 })
  .privateKey.export({ type: "pkcs8", format: "pem" })
  .toString();
const audience = "https://kubernetes.default.svc";
const accountTokens = createAccountTokens({
  key,
  issuers: [audience],
  audiences: [audience],
  now: Date.now,
  lookUp: (resource) => ({ metadata: { uid: resource === "pods" ? "p1" : "u1" } }),
});
const alice = { name: "alice", uid: "2", groups: [], extra: {} };
const rbac = createRbac({
  bindingsVersion: () => 1,
  clusterRoleBindings: () => [],
  roleBindings: () => [
    {
      metadata: { name: "b3", namespace: "rb1" },
      subjects: [{ kind: "User", name: "alice" }],
      roleRef: { kind: "Role", name: "reader" },
    },
  ],
  roleRules: () => [parseRule("get | - | configmaps"), parseRule("list | - | configmaps")],
});
const staticTokens = new Map([["alice", alice]]);
const reviews = createReviews({
  tokens: createTokenChain(
    [
      forServer((token) => staticTokens.get(token), [audience]),
      (token, wanted) => accountTokens.authenticate(token, wanted),
    ],
    [audience],
  ),
  authorizer: createAuthorizers([{ type: "RBAC" }], {
    rbac,
    nodes: { authorize: () => undefined },
    abac: [],
    clock: realClock,
  }),
});
const context = { user: alice, namespace: "" };

test("token review: a good token and rubbish", async () => {
  const review = reviews["authentication.k8s.io/tokenreviews"];
  const good = await review({ metadata: {}, spec: { token: "alice" } }, context);
  assert.deepEqual(good.status, {
    authenticated: true,
    user: { username: "alice", uid: "2", groups: ["system:authenticated"] },
    audiences: [audience],
  });
  const bad = await review({ metadata: {}, spec: { token: "no" } }, context);
  assert.deepEqual(bad.status, { user: {}, error: "invalid bearer token" });
  await assert.rejects(
    review({ metadata: {}, spec: { token: "" } }, context),
    /token is required for TokenReview in authentication/,
  );
});

test("access review: allowed with the binding as reason, refused without", async () => {
  const review = reviews["authorization.k8s.io/subjectaccessreviews"];
  const ask = (verb: string) =>
    review(
      { metadata: {}, spec: { user: "alice", resourceAttributes: { namespace: "rb1", verb, resource: "configmaps" } } },
      context,
    );
  const reason = 'RBAC: allowed by RoleBinding "b3/rb1" of Role "reader" to User "alice"';
  assert.deepEqual((await ask("get")).status, { allowed: true, reason });
  assert.deepEqual((await ask("delete")).status, { allowed: false });
});

test("access review: needs a subject and one of two kinds of attributes", async () => {
  const review = reviews["authorization.k8s.io/subjectaccessreviews"];
  await assert.rejects(
    review({ metadata: {}, spec: { resourceAttributes: { verb: "get" } } }, context),
    /spec\.user: Invalid value: "": at least one of user or group must be specified/,
  );
  await assert.rejects(
    review({ metadata: {}, spec: { user: "x" } }, context),
    /exactly one of nonResourceAttributes or/,
  );
});

/** What the authorizer is asked, and what is told. */
async function askWith(resourceAttributes: ResourceAttributes) {
  let asked: Attributes | undefined;
  const authorize = (attributes: Attributes) => {
    asked = attributes;
    return { allowed: true, reason: "" };
  };
  const authorizer = { authorize, rulesFor: () => ({ rules: [], incomplete: false }) };
  const tokens = createTokenChain([], [audience]);
  const review = createReviews({ tokens, authorizer })["authorization.k8s.io/selfsubjectaccessreviews"];
  const { status } = await review({ metadata: {}, spec: { resourceAttributes } }, context);
  return { asked, status };
}

test("access review: selectors narrow the question; what can't be said so makes it wider, and that is told", async () => {
  const requirements = [
    { key: "spec.nodeName", operator: "In", values: ["n1"] },
    { key: "x", operator: "NotIn", values: ["y"] },
  ];
  const some = await askWith({ verb: "list", resource: "pods", fieldSelector: { requirements } });
  assert.deepEqual(some.asked?.fieldSelector, [
    { field: "spec.nodeName", operator: "=", value: "n1" },
    { field: "x", operator: "!=", value: "y" },
  ]);
  assert.deepEqual(some.status, { allowed: true });
  const raw = await askWith({
    fieldSelector: { rawSelector: "spec.nodeName=n1" },
    labelSelector: { rawSelector: "a in (b),!c" },
  });
  assert.deepEqual(raw.asked?.fieldSelector, [{ field: "spec.nodeName", operator: "=", value: "n1" }]);
  assert.deepEqual(
    raw.asked?.labelSelector?.map(({ key: label, operator }) => `${label} ${operator}`),
    ["a in", "c !"],
  );
  const partly = await askWith({
    fieldSelector: { requirements: [...requirements, { key: "x", operator: "In", values: ["a", "b"] }] },
    labelSelector: { rawSelector: "a in (" },
  });
  assert.equal(partly.asked?.fieldSelector?.length, 2);
  assert.equal(partly.asked?.labelSelector, undefined);
  assert.equal(
    partly.status?.evaluationError,
    "spec.resourceAttributes.fieldSelector partially ignored due to parse error; spec.resourceAttributes.labelSelector ignored due to parse error",
  );
});

for (const [what, selectors, message] of [
  [
    "both ways at once",
    { fieldSelector: { rawSelector: "a=b", requirements: [{ key: "a", operator: "Exists" }] } },
    /fieldSelector\.rawSelector: Invalid value: "a=b": may not specified at the same time as requirements/,
  ],
  [
    "neither way",
    { labelSelector: {} },
    /when spec\.resourceAttributes\.labelSelector is specified, requirements or raw/,
  ],
  [
    "no values",
    { fieldSelector: { requirements: [{ key: "a", operator: "In" }] } },
    /requirements\[0\]\.values: Required value: must be specified when `operator` is 'In' or 'NotIn'/,
  ],
  [
    "values of what exists",
    { labelSelector: { requirements: [{ key: "a", operator: "Exists", values: ["b"] }] } },
    /requirements\[0\]\.values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'/,
  ],
] as const)
  test(`access review: a selector with ${what} is refused`, async () => {
    await assert.rejects(askWith({ verb: "list", resource: "pods", ...(selectors as object) }), message);
  });

test("rules review: every rule as it stands", async () => {
  const answer = await reviews["authorization.k8s.io/selfsubjectrulesreviews"](
    { metadata: {}, spec: { namespace: "rb1" } },
    context,
  );
  assert.deepEqual(answer.status?.resourceRules, [
    { verbs: ["get"], apiGroups: [""], resources: ["configmaps"] },
    { verbs: ["list"], apiGroups: [""], resources: ["configmaps"] },
  ]);
});

const account: ServiceAccount = { metadata: { name: "robot", namespace: "ns", uid: "u1" } };
const robotOn = (nodeName?: string) => ({ spec: { serviceAccountName: "robot", nodeName } });
const pods = {
  right: robotOn(),
  placed: robotOn("node1"),
  orphaned: robotOn("gone"),
  wrong: { spec: { serviceAccountName: "other" } },
};
const tokenContext = {
  user: alice,
  account,
  get: async (resource: string, _namespace: string, name: string) => {
    if (resource === "nodes" && name === "node1") return { metadata: { uid: "n1" } };
    if (!(name in pods)) throw statusError.notFound({ group: "", resource: "pods" }, name);
    return { metadata: { uid: "p1" }, ...pods[name as keyof typeof pods] };
  },
};
const bound = (name: string) => ({ apiVersion: "v1", kind: "Pod", name });

test("token request: default audience and life", async () => {
  const answer = await requestToken({ metadata: {} }, tokenContext, accountTokens);
  assert.deepEqual(answer.spec, { audiences: [audience], expirationSeconds: 3600 });
  assert.ok("user" in accountTokens.authenticate(answer.status?.token ?? ""));
});

// conformance: ServiceAccounts should mount an API token into pods
for (const [pod, extra] of [
  ["right", {}],
  ["placed", { "authentication.kubernetes.io/node-name": ["node1"], "authentication.kubernetes.io/node-uid": ["n1"] }],
  ["orphaned", { "authentication.kubernetes.io/node-name": ["gone"] }],
] as const)
  test(`token request: a token for the pod ${pod} tells of its node as far as known`, async () => {
    const spec = { audiences: [], boundObjectRef: bound(pod) };
    const { metadata, status } = await requestToken({ metadata: {}, spec }, tokenContext, accountTokens);
    assert.deepEqual({ ...metadata, creationTimestamp: "" }, { ...account.metadata, creationTimestamp: "" });
    const found = accountTokens.authenticate(status?.token ?? "");
    assert.ok("user" in found);
    const nodeKeys = Object.entries(found.user.extra ?? {}).filter(([key]) => key.includes("/node-"));
    assert.deepEqual(Object.fromEntries(nodeKeys), extra);
  });

test("token request: bound to a Secret or a node, as long as it may be", async () => {
  for (const [kind, claim] of [
    ["Secret", "secret"],
    ["Node", "node"],
  ] as const) {
    const warnings: string[] = [];
    const get = async () => ({ metadata: { uid: "b1" } });
    const spec = { audiences: [], expirationSeconds: 9000, boundObjectRef: { ...bound("thing"), kind } };
    const settings = { lifeSecondsMax: 7200 };
    const answer = await requestToken(
      { metadata: {}, spec },
      { ...tokenContext, get, settings, warnings },
      accountTokens,
    );
    const [, payload = ""] = (answer.status?.token ?? "").split(".");
    const claims = JSON.parse(Buffer.from(payload, "base64url").toString());
    assert.deepEqual(claims["kubernetes.io"][claim], { name: "thing", uid: "b1" });
    assert.equal(claims.exp - claims.iat, 7200);
    assert.deepEqual(warnings, ["requested expiration of 9000 seconds shortened to 7200 seconds"]);
  }
});

test("token request: another account named in the body is refused", async () => {
  for (const [metadata, message] of [
    [{ name: "other" }, /metadata\.name: Invalid value: "other": must match the service account name if specified/],
    [{ namespace: "other" }, /must match the service account namespace if specified/],
    [{ uid: "u2" }, /the UID in the token request \(u2\) does not match the UID of the service account \(u1\)/],
  ] as const)
    await assert.rejects(requestToken({ metadata }, tokenContext, accountTokens), message);
});

for (const [name, spec, message] of [
  ["too short a life", { audiences: [], expirationSeconds: 10 }, /may not specify a duration less than 10 minutes/],
  ["a missing pod", { audiences: [], boundObjectRef: bound("none") }, /pods "none" not found/],
  ["a pod of another account", { audiences: [], boundObjectRef: bound("wrong") }, /different serviceaccount name\./],
  [
    "another uid",
    { audiences: [], boundObjectRef: { ...bound("right"), uid: "x" } },
    /does not match the UID in record/,
  ],
  [
    "a kind of no object",
    { audiences: [], boundObjectRef: { apiVersion: "v1", kind: "toString" } },
    /cannot bind token to object of type \/v1, Kind=toString/,
  ],
  [
    "another kind",
    { audiences: [], boundObjectRef: { apiVersion: "apps/v1", kind: "Deployment" } },
    /of type apps\/v1, Kind=Deployment/,
  ],
] as const)
  test(`token request: ${name} is refused`, async () => {
    await assert.rejects(
      requestToken({ metadata: {}, spec: { ...spec, audiences: [] } }, tokenContext, accountTokens),
      message,
    );
  });
