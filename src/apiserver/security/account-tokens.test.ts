import assert from "node:assert/strict";
import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import type { KubernetesObject } from "#machinery";
import { type AccountTokensOptions, createAccountTokens, issueLegacyToken } from "./account-tokens.ts";

const audience = "https://kubernetes.default.svc";
const newKey = () =>
  generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const newCurveKey = () =>
  generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const key = newKey();
const otherKey = newKey();
const publicPem = (pem: string) => createPublicKey(pem).export({ type: "spki", format: "pem" }).toString();
const withUid = (uid: string): KubernetesObject => ({ metadata: { uid } });

function accountTokens(more: Partial<AccountTokensOptions> = {}) {
  const lookUp = () => withUid("u1");
  return createAccountTokens({ key, issuers: [audience], audiences: [audience], now: Date.now, lookUp, ...more });
}

const request = { namespace: "ns", account: { name: "robot", uid: "u1" }, audiences: [audience], lifeSeconds: 600 };
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const payloadOf = (token: string) =>
  JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Record<string, unknown>;
const kidOf = (token: string) =>
  (JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString()) as { kid: string }).kid;

test("account token: authenticates with its account's groups", () => {
  const tokens = accountTokens();
  const { token, id } = tokens.issue(request);
  const found = tokens.authenticate(token);
  assert.ok("user" in found);
  assert.equal(found.user.name, "system:serviceaccount:ns:robot");
  assert.deepEqual(found.user.groups, ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"]);
  assert.deepEqual(found.user.extra["authentication.kubernetes.io/credential-id"], [`JTI=${id}`]);
});

const hour = 3600_000;
for (const [name, why, change] of [
  ["expired", "service account token has expired", { now: () => Date.now() + 700_000 }],
  ["not valid yet", "service account token is not valid yet", { now: () => Date.now() - hour }],
  ["of a deleted account", 'serviceaccounts "robot" not found', { lookUp: () => undefined }],
  ["of an account made again", "service account UID (u2) does not match claim (u1)", { lookUp: () => withUid("u2") }],
  ["of another issuer", "", { issuers: ["https://elsewhere"] }],
  ["signed by another key", "invalid signature, no keys found", { key: otherKey }],
  [
    "for another audience",
    'token audiences ["https://kubernetes.default.svc"] is invalid for the target audiences ["vault"]',
    { audiences: ["vault"] },
  ],
] as const)
  test(`account token: ${name} is refused`, () => {
    assert.deepEqual(accountTokens(change).authenticate(accountTokens().issue(request).token), { why });
  });

test("account token: forged ones are refused, whatever their header says", () => {
  const tokens = accountTokens();
  const { token } = tokens.issue(request);
  const [header = "", payload = "", signature = ""] = token.split(".");
  const forged = encode({ ...payloadOf(token), sub: "system:serviceaccount:kube-system:x" });
  const kid = kidOf(token);
  const hmac = (head: string) => createHmac("sha256", publicPem(key)).update(`${head}.${payload}`).digest("base64url");
  const failed = "go-jose/go-jose: error in cryptographic primitive";
  const head = (fields: object) => encode(fields);
  const cases: [name: string, token: string, why: string][] = [
    ["other claims", `${header}.${forged}.${signature}`, failed],
    ["no algorithm", `${head({ alg: "none", kid })}.${payload}.AA`, failed],
    ["no algorithm, no signature", `${head({ alg: "none" })}.${payload}.`, ""],
    [
      "HMAC with the public key",
      `${head({ alg: "HS256", kid })}.${payload}.${hmac(head({ alg: "HS256", kid }))}`,
      failed,
    ],
    ["another algorithm of the key", `${head({ alg: "RS512", kid })}.${payload}.${signature}`, failed],
    ["an algorithm for other keys", `${head({ alg: "ES256", kid })}.${payload}.${signature}`, failed],
    [
      "a wrong kid",
      `${head({ alg: "RS256", kid: "other" })}.${payload}.${signature}`,
      "invalid signature, no keys found",
    ],
    ["a kid that is no text", `${head({ alg: "RS256", kid: 1 })}.${payload}.${signature}`, ""],
    ["critical extensions", `${head({ alg: "RS256", kid, crit: ["b64"] })}.${payload}.${signature}`, ""],
    ["a signature cut off", `${header}.${payload}.${signature.slice(0, 40)}`, failed],
    ["padding", `${token}==`, ""],
    ["a fourth part", `${token}.x`, ""],
    ["an oversized one", `${header}.${payload}.${"A".repeat(100_000)}`, ""],
    ["claims that are a list", `${header}.${encode([1])}.${signature}`, ""],
    ["JSON form", JSON.stringify({ payload, signatures: [{ protected: header, signature }] }), ""],
    ...["", "a.b", "a.b.c", "....", "\0", "{}"].map((text): [string, string, string] => [`rubbish ${text}`, text, ""]),
  ];
  for (const [name, given, why] of cases) assert.deepEqual(tokens.authenticate(given), { why }, name);
});

test("account token: dies with its pod, its secret and its node; a pod's outlives its node", () => {
  let gone = "";
  let replaced = "";
  const tokens = accountTokens({
    lookUp: (resource) => (resource === gone ? undefined : withUid(resource === replaced ? "new" : "u1")),
  });
  const bound = { name: "x", uid: "u1" };
  const invalidated = { why: "service account token has been invalidated" };
  for (const [kind, resource] of [
    ["pod", "pods"],
    ["secret", "secrets"],
    ["node", "nodes"],
  ] as const) {
    const { token } = tokens.issue({ ...request, [kind]: bound });
    gone = "";
    assert.ok("user" in tokens.authenticate(token), kind);
    gone = resource;
    assert.deepEqual(tokens.authenticate(token), invalidated, kind);
    gone = "";
    replaced = resource;
    const why = `${kind} UID (new) does not match service account ${kind} ref claim (u1)`;
    assert.deepEqual(tokens.authenticate(token), { why });
    replaced = "";
  }
  gone = "nodes";
  const found = tokens.authenticate(tokens.issue({ ...request, pod: bound, node: bound }).token);
  assert.ok("user" in found);
  assert.deepEqual(found.user.extra["authentication.kubernetes.io/pod-name"], ["x"]);
  assert.deepEqual(found.user.extra["authentication.kubernetes.io/node-uid"], ["u1"]);
});

test("account token: an object that is being deleted counts until its grace is over", () => {
  let deletionTimestamp = new Date(Date.now() - 30_000).toISOString();
  const tokens = accountTokens({ lookUp: () => ({ metadata: { uid: "u1", deletionTimestamp } }) });
  const { token } = tokens.issue(request);
  assert.ok("user" in tokens.authenticate(token));
  deletionTimestamp = new Date(Date.now() - 90_000).toISOString();
  assert.deepEqual(tokens.authenticate(token), { why: "service account ns/robot has been deleted" });
});

test("account token: keys and issuers can be several, so that they can be rotated", () => {
  const curve = newCurveKey();
  const before = accountTokens({ key: otherKey, issuers: ["https://old"] }).issue(request).token;
  const tokens = accountTokens({
    key: curve,
    verificationKeys: [publicPem(curve) + publicPem(key), publicPem(otherKey)],
    issuers: [audience, "https://old"],
  });
  assert.ok("user" in tokens.authenticate(before));
  const { token } = tokens.issue(request);
  assert.equal(payloadOf(token).iss, audience);
  assert.ok("user" in tokens.authenticate(token));
  assert.deepEqual(
    tokens.keySet().keys.map(({ kty, alg, use }) => [kty, alg, use]),
    [
      ["EC", "ES256", "sig"],
      ["RSA", "RS256", "sig"],
      ["RSA", "RS256", "sig"],
    ],
  );
  assert.ok(
    tokens.keySet().keys.every((each) => !("d" in each)),
    "nothing private is shown",
  );
  assert.throws(() => accountTokens({ verificationKeys: ["hello"] }), /data does not contain any valid RSA or ECDSA/);
});

test("account token: without audiences, as others issue them, they are for this server", () => {
  const tokens = accountTokens();
  const { token } = tokens.issue({ ...request, audiences: [] });
  assert.deepEqual("user" in tokens.authenticate(token), true);
});

const secretOf = (token: string, labels = {}) => ({
  metadata: { name: "s", namespace: "ns", labels },
  data: { token: Buffer.from(token).toString("base64") },
});

test("legacy token: as good as the Secret that holds it", () => {
  const token = issueLegacyToken(key, { namespace: "ns", name: "s" }, request.account);
  let secret: object | undefined = secretOf(token);
  const used: string[] = [];
  const tokens = accountTokens({
    now: () => Date.UTC(2026, 10, 23),
    lookUp: (resource) => (resource === "secrets" ? (secret as KubernetesObject) : withUid("u1")),
    onLegacyUse: (_, day) => used.push(day),
  });
  const found = tokens.authenticate(token);
  assert.deepEqual(found, {
    user: {
      name: "system:serviceaccount:ns:robot",
      uid: "u1",
      groups: ["system:serviceaccounts", "system:serviceaccounts:ns"],
      extra: {},
    },
    audiences: [audience],
  });
  assert.deepEqual(used, ["2026-11-23"]);
  secret = secretOf(token, { "kubernetes.io/legacy-token-last-used": "2026-11-24" });
  assert.ok("user" in tokens.authenticate(token));
  assert.deepEqual(used, ["2026-11-23"], "noted already");
  secret = secretOf(token, { "kubernetes.io/legacy-token-invalid-since": "2026-01-01" });
  assert.match((tokens.authenticate(token) as { why: string }).why, /^the token in secret ns\/s .* marked invalid/);
  secret = secretOf("another");
  assert.deepEqual(tokens.authenticate(token), { why: "Token does not match server's copy" });
  secret = undefined;
  assert.deepEqual(tokens.authenticate(token), { why: "Token has been invalidated" });
});

test("legacy token: who uses one that was made for an account is warned", () => {
  const token = issueLegacyToken(key, { namespace: "ns", name: "s" }, request.account);
  const account = { metadata: { uid: "u1" }, secrets: [{ name: "s" }] } as KubernetesObject;
  const tokens = accountTokens({
    lookUp: (resource) => (resource === "secrets" ? (secretOf(token) as KubernetesObject) : account),
  });
  const found = tokens.authenticate(token);
  assert.match(("user" in found && found.warnings?.[0]) || "", /^Use tokens from the TokenRequest API/);
});

test("account token: the key may be of a curve, and of no other kind", () => {
  const edwards = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  assert.equal(createPrivateKey(edwards).asymmetricKeyType, "ed25519");
  assert.throws(() => accountTokens({ key: edwards }), /unknown private key type/);
});
