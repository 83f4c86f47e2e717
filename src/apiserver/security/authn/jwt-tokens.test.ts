import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import { realClock, silentLogger } from "#base";
import { loadExpressionCompiler } from "../expressions.ts";
import { jwtOfFlags, type OidcFlags, parseAuthenticationConfiguration } from "./jwt-configuration.ts";
import type { JwtConfiguration } from "./jwt-shape.ts";
import { createJwtTokens, type JwtTokens } from "./jwt-tokens.ts";
import { startTestIssuer, type TestIssuer, testKey } from "./test-issuer.ts";
import type { TokenResult } from "./token-chain.ts";

const audience = "https://kubernetes.default.svc";
let issuer: TestIssuer;
before(async () => {
  issuer = await startTestIssuer();
});
after(() => issuer.close());

const rules = async () => ({ compile: await loadExpressionCompiler(), disallowedIssuers: [audience] });
const flags = (more: Partial<OidcFlags> = {}): OidcFlags => ({
  issuerUrl: issuer.url,
  clientId: "sampan",
  usernameClaim: "sub",
  usernamePrefix: "",
  groupsClaim: "",
  groupsPrefix: "",
  authorities: issuer.authority,
  signingAlgorithms: ["RS256"],
  requiredClaims: [],
  ...more,
});
const ofFlags = async (more: Partial<OidcFlags> = {}) => jwtOfFlags(flags(more), await rules());

async function ofFile(mappings: object, more: object = {}): Promise<readonly JwtConfiguration[]> {
  const jwt = [
    {
      issuer: { url: issuer.url, audiences: ["sampan"], certificateAuthority: issuer.authority },
      claimMappings: mappings,
      ...more,
    },
  ];
  const head = { apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthenticationConfiguration" };
  return (await parseAuthenticationConfiguration(JSON.stringify({ ...head, jwt }), await rules())).jwt;
}

/** Asks with tokens that were made of these claims. */
async function withTokens<T>(
  configured: readonly JwtConfiguration[],
  use: (tokens: JwtTokens) => Promise<T>,
): Promise<T> {
  const tokens = createJwtTokens(configured, { clock: realClock, log: silentLogger, audiences: [audience] });
  try {
    assert.equal(await tokens.health(1), "");
    return await use(tokens);
  } finally {
    tokens.close();
  }
}
const ask = async (configured: readonly JwtConfiguration[], token: string): Promise<TokenResult> =>
  withTokens(configured, async (tokens) => tokens.authenticate(token, [audience]));
const userOf = async (configured: readonly JwtConfiguration[], claims: object) => {
  const found = await ask(configured, issuer.token(claims));
  return "user" in found ? found.user : found.why;
};

test("oidc: the user is the claim behind the issuer's name; other claims and prefixes as the flags say", async () => {
  assert.deepEqual(await userOf(await ofFlags(), { jti: "7" }), {
    name: `${issuer.url}#jane`,
    uid: "",
    groups: [],
    extra: { "authentication.kubernetes.io/credential-id": ["JTI=7"] },
  });
  const named = async (more: Partial<OidcFlags>, claims: object) => {
    const user = await userOf(await ofFlags(more), claims);
    return typeof user === "string" ? user : [user.name, ...user.groups];
  };
  assert.deepEqual(await named({ usernamePrefix: "-" }, {}), ["jane"]);
  assert.deepEqual(await named({ usernamePrefix: "oidc:" }, {}), ["oidc:jane"]);
  assert.deepEqual(await named({ usernameClaim: "email" }, { email: "j@x" }), ["j@x"]);
  assert.deepEqual(await named({ usernameClaim: "email" }, { email: "j@x", email_verified: true }), ["j@x"]);
  assert.equal(
    await named({ usernameClaim: "email" }, { email: "j@x", email_verified: false }),
    "oidc: email not verified",
  );
  assert.equal(await named({ usernameClaim: "name" }, {}), 'oidc: parse username claims "name": claim not present');
  assert.equal(
    await named({ usernameClaim: "constructor" }, {}),
    'oidc: parse username claims "constructor": claim not present',
  );
  const grouped = { usernamePrefix: "-", groupsClaim: "groups", groupsPrefix: "o:" };
  assert.deepEqual(await named(grouped, { groups: ["a", "b"] }), ["jane", "o:a", "o:b"]);
  assert.deepEqual(await named(grouped, { groups: "a" }), ["jane", "o:a"]);
  assert.match(
    String(await named(grouped, { groups: [1] })),
    /^oidc: parse groups claim "groups": json: cannot unmarshal/,
  );
  const required = { usernamePrefix: "-", requiredClaims: ["hd=example.com", "a=b=c"] };
  assert.deepEqual(await named(required, { hd: "example.com", a: "b=c" }), ["jane"]);
  assert.equal(await named(required, { a: "b=c" }), "oidc: required claim hd not present in ID token");
  assert.equal(
    await named(required, { hd: "other", a: "b=c" }),
    "oidc: required claim hd value does not match. Got = other, want = example.com",
  );
});

test("oidc: tokens of others, for others, of other times and forged ones are refused", async () => {
  const [configuration] = await ofFlags();
  assert.ok(configuration);
  const [key] = issuer.keys;
  assert.ok(key);
  const stranger = testKey("one");
  const good = issuer.token({});
  const [header = "", payload = "", signature = ""] = good.split(".");
  const seconds = Math.floor(Date.now() / 1000);
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const pem = key.publicKey.export({ type: "spki", format: "pem" });
  const hmacHead = encode({ alg: "HS256", kid: "one" });
  const hmac = createHmac("sha256", pem).update(`${hmacHead}.${payload}`).digest("base64url");
  const unsigned = "oidc: verify token: failed to verify signature: failed to verify id token signature";
  const algorithm = (alg: string) =>
    `oidc: verify token: oidc: id token signed with unsupported algorithm, expected ["RS256"] got "${alg}"`;
  const cases: [name: string, token: string, why: string | RegExp][] = [
    ["of another issuer", issuer.token({ iss: "https://elsewhere" }), ""],
    [
      "for another audience",
      issuer.token({ aud: ["x", "y"] }),
      'oidc: verify token: oidc: expected audience "sampan" got ["x" "y"]',
    ],
    ["expired", issuer.token({ exp: seconds - 1 }), /^oidc: verify token: oidc: token is expired \(Token Expiry: 20/],
    ["without an end", issuer.token({ exp: undefined }), /^oidc: verify token: oidc: token is expired/],
    ["with an odd end", issuer.token({ exp: -1e300 }), /^oidc: verify token: oidc: token is expired/],
    [
      "not valid yet",
      issuer.token({ nbf: seconds + 3600 }),
      /^oidc: verify token: oidc: current time .* before the nbf/,
    ],
    ["signed by a stranger", issuer.token({}, stranger), unsigned],
    ["signed by a stranger with another name", issuer.token({}, testKey("two")), unsigned],
    ["unsigned", `${encode({ alg: "none" })}.${payload}.AA`, algorithm("none")],
    ["signed with the public key as a secret", `${hmacHead}.${payload}.${hmac}`, algorithm("HS256")],
    ["of an algorithm that isn't allowed", issuer.token({}, key, { alg: "PS256" }), algorithm("PS256")],
    [
      "with other claims",
      `${header}.${encode({ iss: issuer.url, sub: "root", aud: "sampan", exp: 1e11 })}.${signature}`,
      unsigned,
    ],
    ["oversized", `${header}.${payload}.${"A".repeat(70_000)}`, ""],
    ["rubbish", "a.b.c", ""],
  ];
  await withTokens([configuration], async (tokens) => {
    for (const [name, token, why] of cases) {
      const found = await tokens.authenticate(token, [audience]);
      assert.ok("why" in found, name);
      if (typeof why === "string") assert.equal(found.why, why, name);
      else assert.match(found.why, why, name);
    }
    assert.ok("user" in (await tokens.authenticate(good, [audience])));
    assert.deepEqual(await tokens.authenticate(good, ["vault"]), { why: "" }, "such users are for this server");
  });
});

test("oidc: keys are read once, again for a new one, and a flood of forged tokens doesn't ask for them each time", async () => {
  const configured = await ofFlags();
  issuer.asked.length = 0;
  await withTokens(configured, async (tokens) => {
    const first = issuer.token({});
    await Promise.all([
      tokens.authenticate(first, [audience]),
      tokens.authenticate(issuer.token({ sub: "x" }), [audience]),
    ]);
    await tokens.authenticate(issuer.token({ sub: "y" }), [audience]);
    assert.deepEqual(issuer.asked, ["/.well-known/openid-configuration", "/jwks"]);
    const stranger = testKey("three");
    for (let i = 0; i < 20; i++) await tokens.authenticate(issuer.token({ sub: `s${i}` }, stranger), [audience]);
    assert.equal(issuer.asked.filter((path) => path === "/jwks").length, 1, "within a second they are not read again");
  });
  const before = issuer.keys;
  await withTokens(configured, async (tokens) => {
    issuer.keys = [testKey("new"), ...before];
    assert.ok("user" in (await tokens.authenticate(issuer.token({}), [audience])), "rotated before they were read");
  });
  issuer.keys = before;
});

test("oidc: every algorithm of a file is checked with keys of its kind only", async () => {
  const configured = await ofFile({ username: { claim: "sub", prefix: "" } });
  const [rsa] = issuer.keys;
  assert.ok(rsa);
  const curves = [testKey("p256", "P-256"), testKey("p384", "P-384"), testKey("p521", "P-521")];
  issuer.keys = [rsa, ...curves];
  for (const alg of ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
    assert.ok("user" in (await ask(configured, issuer.token({}, rsa, { alg }))), alg);
  for (const [index, alg] of ["ES256", "ES384", "ES512"].entries()) {
    const token = issuer.token({}, curves[index]);
    assert.equal(
      (JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString()) as { alg: string }).alg,
      alg,
    );
    assert.ok("user" in (await ask(configured, token)), alg);
  }
  assert.ok("why" in (await ask(configured, issuer.token({}, rsa, { alg: "RS256", kid: "p256" }))));
  issuer.keys = [rsa];
});

test("authentication config: claims by expressions, rules with their messages", async () => {
  const configured = await ofFile(
    {
      username: { expression: 'claims.sub + ":" + claims.acme__dot__io.team' },
      groups: { expression: 'claims.roles.split(",")' },
      uid: { expression: "claims.?uid.orValue('none')" },
      extra: [{ key: "acme.io/client", valueExpression: "claims.azp" }],
    },
    {
      claimValidationRules: [
        { expression: "claims.exp - claims.iat <= 86400", message: "too long a life" },
        { claim: "hd", requiredValue: "example.com" },
      ],
      userValidationRules: [
        { expression: "!user.username.startsWith('system:')", message: "username cannot use reserved system: prefix" },
        { expression: "user.groups.all(group, !group.startsWith('system:'))", message: "reserved groups" },
      ],
    },
  );
  const claims = { "acme.io": { team: "a" }, roles: "x,y", azp: ["c1", ""], hd: "example.com" };
  assert.deepEqual(await userOf(configured, claims), {
    name: "jane:a",
    uid: "none",
    groups: ["x", "y"],
    extra: { "acme.io/client": ["c1"] },
  });
  const iat = Math.floor(Date.now() / 1000);
  for (const [change, why] of [
    [
      { sub: "system", "acme.io": { team: "x" } },
      "oidc: error evaluating user info validation rule: validation expression '!user.username.startsWith('system:')' failed: username cannot use reserved system: prefix",
    ],
    [{ roles: "system:masters" }, /failed: reserved groups$/],
    [
      { exp: iat + 1e6, iat },
      "oidc: error evaluating claim validation expression: validation expression 'claims.exp - claims.iat <= 86400' failed: too long a life",
    ],
    [{ hd: "x" }, /required claim hd value does not match/],
    [{ "acme.io": 1 }, /^oidc: error evaluating username claim expression: expression '.*' resulted in error: /],
    [
      { azp: { a: 1 } },
      /^oidc: error evaluating extra claim expression: claims\.azp: expression must return a string or a list of strings$/,
    ],
  ] as const) {
    const user = await userOf(configured, { ...claims, ...change });
    if (typeof why === "string") assert.equal(user, why);
    else assert.match(String(user), why);
  }
});

test("authentication config: an issuer may be found elsewhere, and there may be several", async () => {
  const discoveryURL = `${issuer.url}/elsewhere/document`;
  const other = {
    url: "https://issuer.example",
    discoveryURL,
    audiences: ["sampan"],
    certificateAuthority: issuer.authority,
  };
  issuer.answers.set("/elsewhere/document", JSON.stringify({ issuer: other.url, jwks_uri: `${issuer.url}/jwks` }));
  const configured = [
    ...(await ofFile({ username: { claim: "sub", prefix: "a:" } })),
    ...(await ofFile({ username: { claim: "sub", prefix: "b:" } }, { issuer: other })),
  ];
  await withTokens(configured, async (tokens) => {
    const name = async (claims: object) => {
      const found = await tokens.authenticate(issuer.token(claims), [audience]);
      return "user" in found ? found.user.name : found.why;
    };
    assert.equal(await name({}), "a:jane");
    assert.equal(await name({ iss: other.url }), "b:jane");
  });
  issuer.answers.clear();
});

test("oidc: groups that don't fit into a token are read where it says", async () => {
  const configured = await ofFlags({ usernamePrefix: "-", groupsClaim: "groups" });
  const distributed = {
    _claim_names: { groups: "src" },
    _claim_sources: { src: { endpoint: `${issuer.url}/groups`, access_token: "t" } },
  };
  issuer.answers.set("/groups", issuer.token({ groups: ["far", "away"] }));
  const user = await userOf(configured, distributed);
  assert.ok(typeof user !== "string", String(user));
  assert.deepEqual(user.groups, ["far", "away"]);
  issuer.answers.set("/groups", issuer.token({ groups: ["x"] }, testKey("one")));
  assert.match(
    String(await userOf(configured, distributed)),
    /^oidc: could not expand distributed claims: verify distributed claim token: failed to verify signature/,
  );
  issuer.answers.set("/groups", "nonsense");
  assert.match(
    String(await userOf(configured, distributed)),
    /getting untrusted issuer from endpoint .* malformed token$/,
  );
  assert.equal(
    await userOf(configured, { _claim_names: { groups: "src" } }),
    "oidc: could not expand distributed claims: oidc: no claim sources",
  );
  issuer.answers.clear();
});

for (const [name, path, answer, problem] of [
  [
    "lies about its name",
    "/.well-known/openid-configuration",
    '{"issuer":"https://x"}',
    /issuer did not match the issuer returned by provider, expected "https:\/\/127.* got "https:\/\/x"/,
  ],
  ["answers no JSON", "/.well-known/openid-configuration", "<html>", /failed to decode provider discovery object/],
  ["names no keys", "/.well-known/openid-configuration", "issuer only", /provider did not return JWKS URL/],
  [
    "sends without end",
    "/.well-known/openid-configuration",
    "x".repeat(2_000_000),
    /the answer is larger than 1048576 bytes/,
  ],
] as const)
  test(`oidc: an issuer that ${name} isn't used, and its tokens are refused at once`, async () => {
    issuer.answers.set(path, answer === "issuer only" ? JSON.stringify({ issuer: issuer.url }) : answer);
    const tokens = createJwtTokens(await ofFlags(), { clock: realClock, log: silentLogger, audiences: [audience] });
    try {
      assert.match(await tokens.health(1), problem);
      assert.deepEqual(await tokens.authenticate(issuer.token({}), [audience]), {
        why: "oidc: authenticator not initialized",
      });
    } finally {
      tokens.close();
      issuer.answers.clear();
    }
  });

test("oidc: an issuer that hangs holds up nobody but who shows its tokens, and ends with the server", async () => {
  issuer.answers.set("/jwks", "hang");
  const hanging = await ofFlags();
  const tokens = createJwtTokens(hanging, { clock: realClock, log: silentLogger, audiences: [audience] });
  assert.equal(await tokens.health(1), "");
  const waiting = tokens.authenticate(issuer.token({}), [audience]);
  assert.ok(waiting instanceof Promise);
  assert.deepEqual(tokens.authenticate("static", [audience]), { why: "" }, "others are answered at once");
  tokens.close();
  const found = await waiting;
  assert.match(
    "why" in found ? found.why : "",
    /^oidc: verify token: failed to verify signature: fetching keys oidc: get keys failed/,
  );
  issuer.answers.clear();
});

test("oidc: a set of keys made to be slow or odd does no harm", async () => {
  const [key] = issuer.keys;
  assert.ok(key);
  const jwk = { ...key.publicKey.export({ format: "jwk" }), kid: key.kid };
  issuer.answers.set(
    "/jwks",
    JSON.stringify({
      keys: [null, 1, {}, { kty: "oct", k: "AAAA" }, { kty: "RSA", n: "!", e: "" }, { kty: "X" }, jwk],
    }),
  );
  assert.ok("user" in (await ask(await ofFlags(), issuer.token({}))));
  issuer.answers.set("/jwks", "[]");
  const found = await ask(await ofFlags(), issuer.token({}));
  assert.match("why" in found ? found.why : "", /failed to decode keys/);
  issuer.answers.clear();
});
