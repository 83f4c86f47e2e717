import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { test } from "node:test";
import { StatusError } from "#machinery";
import type { Authorizer } from "../security.ts";
import { type AccountTokensOptions, createAccountTokens } from "./account-tokens.ts";
import { createAuthenticator, createTokenAuthenticator, parseSubject } from "./authenticate.ts";
import { parseTokenFile } from "./static-tokens.ts";

const audience = "https://kubernetes.default.svc";
const key = generateKeyPairSync("rsa", { modulusLength: 2048 })
  .privateKey.export({ type: "pkcs8", format: "pem" })
  .toString();

function accountTokens(more: Partial<AccountTokensOptions> = {}) {
  const lookUp = () => ({ uid: "u1" });
  return createAccountTokens({ key, issuer: audience, audiences: [audience], now: Date.now, lookUp, ...more });
}

const request = { namespace: "ns", account: { name: "robot", uid: "u1" }, audiences: [audience], lifeSeconds: 600 };
const staticTokens = parseTokenFile('tok,admin,1,"system:masters"\nalice,alice,2\n');
const credentials = (headers: IncomingHttpHeaders) => ({
  headers,
  remoteAddress: "",
  peerCertificate: () => undefined,
});

test("static tokens: user, uid and groups are read; too few columns fail with the line", () => {
  assert.deepEqual(staticTokens.get("tok"), { name: "admin", uid: "1", groups: ["system:masters"], extra: {} });
  assert.deepEqual(parseTokenFile('t,u,1,"a,b"').get("t")?.groups, ["a", "b"]);
  assert.throws(() => parseTokenFile("a,b,1\nx,y"), /line 2: want at least 3 columns .* have 2/);
});

test("account token: authenticates with its account's groups", () => {
  const tokens = accountTokens();
  const found = createTokenAuthenticator({ staticTokens, accountTokens: tokens })(tokens.issue(request).token);
  assert.ok("user" in found);
  assert.equal(found.user.name, "system:serviceaccount:ns:robot");
  assert.deepEqual(found.user.groups, ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"]);
});

for (const [name, why, change] of [
  ["expired", "service account token has expired", { now: () => Date.now() + 700_000 }],
  ["of a deleted account", 'serviceaccounts "robot" not found', { lookUp: () => undefined }],
  ["of an account made again", "service account UID (u2) does not match claim (u1)", { lookUp: () => ({ uid: "u2" }) }],
  ["of another issuer", "", { issuer: "https://elsewhere" }],
  [
    "signed by another key",
    "",
    {
      key: generateKeyPairSync("rsa", { modulusLength: 2048 })
        .privateKey.export({ type: "pkcs8", format: "pem" })
        .toString(),
    },
  ],
] as const)
  test(`account token: ${name} is refused`, () => {
    assert.deepEqual(accountTokens(change).authenticate(accountTokens().issue(request).token), { why });
  });

test("account token: tampered claims and rubbish are refused", () => {
  const tokens = accountTokens();
  const [header, payload = "", signature] = tokens.issue(request).token.split(".");
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as Record<string, unknown>;
  const forged = Buffer.from(JSON.stringify({ ...claims, sub: "system:serviceaccount:kube-system:x" })).toString(
    "base64url",
  );
  for (const token of [`${header}.${forged}.${signature}`, "", "a.b", "a.b.c", "....", `${header}.${payload}.`])
    assert.deepEqual(tokens.authenticate(token), { why: "" }, token);
});

test("account token: dies with its pod", () => {
  let pod: { uid: string } | undefined = { uid: "p1" };
  const tokens = accountTokens({ lookUp: (resource) => (resource === "pods" ? pod : { uid: "u1" }) });
  const { token } = tokens.issue({ ...request, pod: { name: "p", uid: "p1" } });
  const found = tokens.authenticate(token);
  assert.deepEqual("user" in found && found.user.extra["authentication.kubernetes.io/pod-name"], ["p"]);
  pod = undefined;
  assert.deepEqual(tokens.authenticate(token), { why: "service account token has been invalidated" });
});

const only = (resource: string, name: string): Authorizer => ({
  authorize: (asked) => ({ allowed: asked.resource === resource && asked.name === name, reason: "" }),
});
const authenticator = (authorizer: Authorizer, anonymous = true) =>
  createAuthenticator({ staticTokens, accountTokens: accountTokens(), authorizer, anonymous });

test("authenticate: no credentials are anonymous, wrong ones are refused", async () => {
  const found = await authenticator(only("", "")).authenticate(credentials({}));
  assert.deepEqual(found, { name: "system:anonymous", uid: "", groups: ["system:unauthenticated"], extra: {} });
  assert.equal(
    await authenticator(only("", "")).authenticate(credentials({ authorization: "Bearer wrong" })),
    undefined,
  );
  assert.equal(await authenticator(only("", ""), false).authenticate(credentials({})), undefined);
});

test("impersonate: allowed, with the groups asked for and the implied one", async () => {
  const headers = { authorization: "Bearer alice", "impersonate-user": "carol" };
  assert.deepEqual(await authenticator(only("users", "carol")).authenticate(credentials(headers)), {
    name: "carol",
    uid: "",
    groups: ["system:authenticated"],
    extra: {},
  });
});

test("impersonate: refused in upstream's words", async () => {
  const headers = { authorization: "Bearer alice", "impersonate-user": "system:serviceaccount:rb1:robot" };
  await assert.rejects(
    async () => authenticator(only("users", "carol")).authenticate(credentials(headers)),
    (error) => {
      assert.ok(error instanceof StatusError);
      assert.equal(
        error.message,
        'serviceaccounts "robot" is forbidden: User "alice" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "rb1"',
      );
      return true;
    },
  );
});

test("certificate subject: CN and every O", () => {
  assert.deepEqual(parseSubject("O=system:masters\nO=a\\,b\nCN=kubernetes-admin"), {
    name: "kubernetes-admin",
    groups: ["system:masters", "a,b"],
  });
});
