/**
 * Nonsense from strangers and in files, by chance (SEED=N repeats a run): whatever comes in, a token is only good when it says what was
 * signed, a file is only taken when it is right, and what is wrong is said in words, never by a fault of the program.
 */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import type { RequestUser } from "#api";
import { cloneJson, ConfigurationError } from "#machinery";
import { createAccountTokens, issueLegacyToken } from "./account-tokens.ts";
import { parseAuthenticationConfiguration } from "./authn/jwt-configuration.ts";
import { parseJwt } from "./authn/jwt.ts";
import { parseAbacPolicies } from "./authz/abac.ts";
import { parseAuthorizationConfiguration } from "./authz/configuration.ts";
import { loadExpressionCompiler } from "./expressions.ts";
import { parseTokenFile } from "./static-tokens.ts";

const seed = Number(process.env.SEED ?? Date.now() % 1e6);
const rounds = Number(process.env.ROUNDS ?? 1500);
/** Numerical Recipes' generator: enough for choosing. */
let state = seed;
const random = (below: number): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};
const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T; // never empty

/** A text with bytes changed, cut, doubled, or something put in. */
function mangle(text: string, alphabet: string): string {
  let now = text;
  for (let i = random(4); i >= 0; i--) {
    const at = random(now.length + 1);
    const end = at + random(12);
    now = pick([
      () => now.slice(0, at) + pick([...alphabet]) + now.slice(at + 1),
      () => now.slice(0, at) + now.slice(end),
      () => now.slice(0, end) + now.slice(at),
      () => now.slice(0, at) + pick([...alphabet]).repeat(random(40)) + now.slice(at),
      () => now.slice(0, at),
    ])();
  }
  return now;
}

const wrongValues: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1e300,
  2 ** 53,
  "",
  " ",
  "x",
  "\u0000",
  "\ud800",
  "https://x",
  "a/b",
  "*",
  "1s",
  [],
  [null],
  [[]],
  {},
  { "": {} },
  { __proto__: null, constructor: 1 },
  "x".repeat(5000),
  "true",
  "claims.",
  "claims.x == ",
  "(".repeat(300),
  ["a", "a"],
  [{}],
  "RBAC",
  "Webhook",
];

/** A copy with fields replaced, taken away, added or doubled, anywhere. */
function disturb(object: unknown): unknown {
  const copy = cloneJson(object) as unknown;
  for (let i = random(3); i >= 0; i--) {
    let place = copy as Record<string, unknown>;
    for (;;) {
      const keys = Object.keys(place);
      const key = keys.length > 0 && random(8) > 0 ? pick(keys) : pick(["extra", "__proto__", "name", "0"]);
      const inner = Object.hasOwn(place, key) ? place[key] : undefined;
      if (typeof inner === "object" && inner !== null && random(4) > 0) {
        place = inner as Record<string, unknown>;
        continue;
      }
      if (random(5) === 0) Reflect.deleteProperty(place, key);
      else
        Object.defineProperty(place, key, {
          value: cloneJson(pick(wrongValues)),
          enumerable: true,
          writable: true,
          configurable: true,
        });
      break;
    }
  }
  return copy;
}

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\u0000ü";
const key = generateKeyPairSync("ec", { namedCurve: "P-256" });
const foreign = generateKeyPairSync("rsa", { modulusLength: 2048 });
const pem = (of: { privateKey: import("node:crypto").KeyObject }) =>
  of.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const secrets = new Map<string, string>();
const tokens = createAccountTokens({
  key: pem(key),
  issuers: ["https://a"],
  audiences: ["api"],
  now: Date.now,
  lookUp: (resource, namespace, name) =>
    resource === "secrets"
      ? {
          metadata: { name, namespace, uid: "s" },
          data: { token: Buffer.from(secrets.get(name) ?? "").toString("base64") },
        }
      : { metadata: { name, namespace, uid: "u" } },
});
const request = { namespace: "ns", account: { name: "robot", uid: "u" }, audiences: ["api"], lifeSeconds: 600 };

test(`tokens: none but those that were issued name anybody (SEED=${seed})`, () => {
  const bound = tokens.issue(request).token;
  const legacy = issueLegacyToken(pem(key), { namespace: "ns", name: "s" }, { name: "robot", uid: "u" });
  secrets.set("s", legacy);
  const other = createAccountTokens({
    key: pem(foreign),
    issuers: ["https://a"],
    audiences: ["api"],
    now: Date.now,
    lookUp: () => undefined,
  });
  const stranger = other.issue(request).token;
  const payload = (token: string) => token.split(".").slice(0, 2).join(".");
  for (let round = 0; round < rounds; round++) {
    const from = pick([bound, legacy, stranger]);
    const parts = from.split(".");
    const given = pick([
      () => mangle(from, base64url),
      () => [...parts.slice(0, 2), mangle(parts[2] ?? "", base64url)].join("."),
      () => {
        const at = random(2);
        const changed = disturb(JSON.parse(Buffer.from(parts[at] ?? "", "base64url").toString()));
        return parts
          .map((part, i) => (i === at ? Buffer.from(JSON.stringify(changed)).toString("base64url") : part))
          .join(".");
      },
      () => [pick(["eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzI1NiJ9"]), parts[1], pick(["", parts[2]])].join("."),
    ])();
    parseJwt(given);
    const found = tokens.authenticate(given);
    const good = payload(given) === payload(bound) || given === legacy;
    if ("user" in found) {
      assert.ok(good, given);
      assert.equal(found.user.name, "system:serviceaccount:ns:robot");
    } else assert.equal(typeof found.why, "string");
  }
  for (const token of [bound, legacy]) assert.ok("user" in tokens.authenticate(token), "after all of this");
});

test(`tokens: a megabyte of anything is refused at once (SEED=${seed})`, () => {
  for (const text of ["a", ".", "a.", "..", "eyJhbGciOiJSUzI1NiJ9.", "[", '{"a":'])
    for (const encode of [(given: string) => given, (given: string) => Buffer.from(given).toString("base64url")])
      assert.ok(!("user" in tokens.authenticate(encode(text.repeat(1_000_000 / text.length)))));
});

test(`policies by file: a mangled file is read or refused by line, and reads as it says (SEED=${seed})`, () => {
  const lines = [
    { user: "alice", resource: "pods", readonly: true, namespace: "ns" },
    { kind: "X" },
    {
      apiVersion: "abac.authorization.kubernetes.io/v1beta1",
      kind: "Policy",
      spec: { user: "*", nonResourcePath: "/logs/*", readonly: true },
    },
    {
      apiVersion: "abac.authorization.kubernetes.io/v1beta1",
      kind: "Policy",
      spec: { group: "g", apiGroup: "*", resource: "*", namespace: "*" },
    },
  ];
  const alphabet = '{}[]":,#\\ \n\t\u0000aü1e.-';
  for (let round = 0; round < rounds; round++) {
    const chosen = Array.from({ length: 1 + random(3) }, () =>
      JSON.stringify(random(2) ? disturb(pick(lines)) : pick(lines)),
    );
    const text = random(2) ? mangle(chosen.join("\n"), alphabet) : chosen.join(pick(["\n", "\r\n", "\n\n# x\n"]));
    const found = attempt(
      () => parseAbacPolicies(text, "policy.jsonl"),
      /^error reading policy file policy\.jsonl, line \d+: /,
      text,
    );
    for (const { user, group } of found ?? []) assert.ok(typeof user === "string" && typeof group === "string", text);
  }
});

test(`static tokens: a mangled file is read or refused by line (SEED=${seed})`, () => {
  for (let round = 0; round < rounds; round++) {
    const text = mangle('tok,admin,1,"a,b"\n# x\nt,u,2\n', '",\n\r #ü\u0000a');
    const users: Iterable<RequestUser> = attempt(() => parseTokenFile(text), /line \d+|quote/, text)?.values() ?? [];
    for (const { name, groups } of users) assert.ok(typeof name === "string" && Array.isArray(groups));
  }
});

test(`configurations: a disturbed file is read or refused by field (SEED=${seed})`, async () => {
  const compile = await loadExpressionCompiler();
  const authentication = {
    apiVersion: "apiserver.config.k8s.io/v1",
    kind: "AuthenticationConfiguration",
    anonymous: { enabled: true, conditions: [{ path: "/livez" }] },
    jwt: [
      {
        issuer: {
          url: "https://example.com",
          audiences: ["a", "b"],
          audienceMatchPolicy: "MatchAny",
          discoveryURL: "https://discovery.example.com/.well-known/openid-configuration",
        },
        claimValidationRules: [
          { expression: "claims.hd == 'x'", message: "m" },
          { claim: "c", requiredValue: "v" },
        ],
        claimMappings: {
          username: { expression: "claims.sub" },
          groups: { claim: "groups", prefix: "g:" },
          uid: { claim: "uid" },
          extra: [{ key: "example.com/t", valueExpression: "claims.t" }],
        },
        userValidationRules: [{ expression: "!user.username.startsWith('system:')", message: "m" }],
      },
    ],
  };
  const authorization = {
    apiVersion: "apiserver.config.k8s.io/v1",
    kind: "AuthorizationConfiguration",
    authorizers: [
      {
        type: "Webhook",
        name: "hook",
        webhook: {
          authorizedTTL: "5m",
          unauthorizedTTL: "30s",
          timeout: "3s",
          subjectAccessReviewVersion: "v1",
          matchConditionSubjectAccessReviewVersion: "v1",
          failurePolicy: "Deny",
          connectionInfo: { type: "KubeConfigFile", kubeConfigFile: import.meta.filename },
          matchConditions: [{ expression: "has(request.resourceAttributes)" }],
        },
      },
      { type: "Node", name: "node" },
      { type: "RBAC", name: "rbac" },
    ],
  };
  await parseAuthenticationConfiguration(JSON.stringify(authentication), { compile, disallowedIssuers: [] });
  await parseAuthorizationConfiguration(JSON.stringify(authorization), { compile });
  for (let round = 0; round < rounds / 3; round++) {
    const of = random(2);
    const whole = of ? authentication : authorization;
    const text = random(3)
      ? JSON.stringify(disturb(whole))
      : mangle(JSON.stringify(whole, null, 1), '{}[]":,#&*!|>%@-? \n\tü');
    try {
      await (of
        ? parseAuthenticationConfiguration(text, { compile, disallowedIssuers: [] })
        : parseAuthorizationConfiguration(text, { compile }));
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw new Error(`${text.slice(0, 2000)}`, { cause: error });
    }
  }
});

/** What was read; undefined when it was refused in such words. */
function attempt<T>(read: () => T, words: RegExp, text: string): T | undefined {
  try {
    return read();
  } catch (error) {
    assert.match((error as Error).message, words, text);
    assert.ok(!(error instanceof TypeError || error instanceof RangeError), `${text}: ${(error as Error).stack}`);
    return undefined;
  }
}
