import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigurationError } from "#machinery";
import { loadExpressionCompiler } from "../expressions.ts";
import { jwtOfFlags, parseAuthenticationConfiguration } from "./jwt-configuration.ts";

const own = "https://kubernetes.default.svc";
const rules = async () => ({ compile: await loadExpressionCompiler(), disallowedIssuers: [own] });
const head = { apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthenticationConfiguration" };
const parse = async (fields: object) =>
  parseAuthenticationConfiguration(JSON.stringify({ ...head, ...fields }), await rules());

const issuer = { url: "https://issuer.example", audiences: ["a"] };
const username = { claim: "sub", prefix: "" };
const jwt = (more: { issuer?: object; claimMappings?: object } & Record<string, unknown> = {}) => ({
  ...more,
  issuer: { ...issuer, ...more.issuer },
  claimMappings: { username, ...more.claimMappings },
});

test("authentication config: YAML of every version, anonymous with conditions", async () => {
  for (const version of ["v1", "v1beta1", "v1alpha1"]) {
    const read = await parseAuthenticationConfiguration(
      `apiVersion: apiserver.config.k8s.io/${version}
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: https://issuer.example
    audiences: [a, b]
    audienceMatchPolicy: MatchAny
  claimMappings:
    username:
      claim: sub
      prefix: "x:"
anonymous:
  enabled: true
  conditions:
  - path: /livez
  - path: /readyz
`,
      await rules(),
    );
    assert.deepEqual([...(read.anonymous?.paths ?? [])], ["/livez", "/readyz"]);
    assert.deepEqual(read.jwt[0]?.username, { claim: "sub", prefix: "x:" });
    assert.deepEqual(read.jwt[0]?.signingAlgorithms.length, 9);
  }
  assert.deepEqual(await parse({}), { jwt: [], anonymous: undefined }, "issuers may come later");
});

const invalid = (text: string) => `invalid authentication configuration: ${text}`;
const at = "jwt[0]";
const expression = (source: string) => ({ claimMappings: { username: { expression: source } } });
const mistakes: [name: string, fields: object, message: string | RegExp][] = [
  ["an unknown field", { jwt: [{ ...jwt(), extra: 1 }] }, 'strict decoding error: unknown field "jwt[0].extra"'],
  [
    "a wrong type",
    { jwt: [jwt({ issuer: { audiences: "a" } })] },
    "json: cannot unmarshal string into Go struct field Issuer.jwt.issuer.audiences of type []string",
  ],
  ["no url", { jwt: [jwt({ issuer: { url: "" } })] }, invalid(`${at}.issuer.url: Required value`)],
  [
    "plain http",
    { jwt: [jwt({ issuer: { url: "http://x" } })] },
    invalid(`${at}.issuer.url: Invalid value: "http://x": URL scheme must be https`),
  ],
  [
    "what doesn't belong into a url",
    { jwt: [jwt({ issuer: { url: "https://u:p@x/?q=1#f" } })] },
    invalid(
      `[${["a username or password", "a query", "a fragment"].map((what) => `${at}.issuer.url: Invalid value: "https://u:p@x/?q=1#f": URL must not contain ${what}`).join(", ")}]`,
    ),
  ],
  [
    "our own issuer",
    { jwt: [jwt({ issuer: { url: own } })] },
    invalid(`${at}.issuer.url: Invalid value: "${own}": URL must not overlap with disallowed issuers: [${own}]`),
  ],
  ["an issuer twice", { jwt: [jwt(), jwt()] }, invalid('jwt[1].issuer.url: Duplicate value: "https://issuer.example"')],
  [
    "a document at the issuer",
    { jwt: [jwt({ issuer: { discoveryURL: "https://issuer.example/" } })] },
    invalid(
      `${at}.issuer.discoveryURL: Invalid value: "https://issuer.example/": discoveryURL must be different from URL`,
    ),
  ],
  [
    "no audience",
    { jwt: [jwt({ issuer: { audiences: [] } })] },
    invalid(`${at}.issuer.audiences: Required value: at least one ${at}.issuer.audiences is required`),
  ],
  [
    "audiences without saying how",
    { jwt: [jwt({ issuer: { audiences: ["a", "a", ""] } })] },
    invalid(
      `[${at}.issuer.audiences[1]: Duplicate value: "a", ${at}.issuer.audiences[2]: Required value, ${at}.issuer.audienceMatchPolicy: Invalid value: "": audienceMatchPolicy must be MatchAny for multiple audiences]`,
    ),
  ],
  [
    "an authority that is none",
    { jwt: [jwt({ issuer: { certificateAuthority: "hello" } })] },
    invalid(
      `${at}.issuer.certificateAuthority: Invalid value: "<omitted>": data does not contain any valid RSA or ECDSA certificates`,
    ),
  ],
  [
    "an unknown way out",
    { jwt: [jwt({ issuer: { egressSelectorType: "moon" } })] },
    invalid(
      `${at}.issuer.egressSelectorType: Invalid value: "moon": egress selector must be either controlplane or cluster`,
    ),
  ],
  [
    "no user name",
    { jwt: [jwt({ claimMappings: { username: {} } })] },
    invalid(`${at}.claimMappings.username: Required value: claim or expression is required`),
  ],
  [
    "no prefix",
    { jwt: [jwt({ claimMappings: { username: { claim: "sub" }, groups: { claim: "g" } } })] },
    invalid(
      `[${["username", "groups"].map((field) => `${at}.claimMappings.${field}.prefix: Required value: prefix is required when claim is set. It can be set to an empty string to disable prefixing`).join(", ")}]`,
    ),
  ],
  [
    "claim and expression",
    { jwt: [jwt({ claimMappings: { uid: { claim: "a", expression: "claims.b" } } })] },
    invalid(`${at}.claimMappings.uid: Invalid value: "": claim and expression can't both be set`),
  ],
  [
    "an expression that is none",
    { jwt: [jwt(expression("claims."))] },
    /^invalid authentication configuration: jwt\[0\]\.claimMappings\.username\.expression: Invalid value: "claims\.": compilation failed: ERROR: <input>:1:\d+: Syntax error/,
  ],
  [
    "an address nobody looked at",
    { jwt: [jwt(expression("claims.email"))] },
    /claims\.email_verified must be used in claimMappings\.username\.expression or claimMappings\.extra/,
  ],
  [
    "keys of extra",
    {
      jwt: [
        jwt({
          claimMappings: {
            extra: [
              { key: "plain", valueExpression: "'x'" },
              { key: "Acme.io/x", valueExpression: "'x'" },
              { key: "a.k8s.io/x", valueExpression: "'x'" },
              { key: "acme.io/y", valueExpression: "" },
            ],
          },
        }),
      ],
    },
    /extra\[0\]\.key: Invalid value: "plain": must be a domain-prefixed path \(such as "acme\.io\/foo"\), .*extra\[1\]\.key: Invalid value: "Acme\.io\/x": must be lowercase, .*extra\[2\]\.key: Invalid value: "a\.k8s\.io\/x": k8s\.io, kubernetes\.io and their subdomains are reserved for Kubernetes use, .*extra\[3\]\.valueExpression: Required value/,
  ],
  [
    "rules",
    {
      jwt: [
        jwt({
          claimValidationRules: [
            {},
            { claim: "a", expression: "true" },
            { claim: "a", message: "m" },
            { claim: "a" },
            { expression: "claims.x == 1", requiredValue: "v" },
            { expression: "1" },
          ],
          userValidationRules: [{ expression: "" }, { expression: "user.nothing" }],
        }),
      ],
    },
    /claimValidationRules\[0\]: Required value: claim or expression is required, .*\[1\]: Invalid value: "a": claim and expression can't both be set, .*\[2\]\.message: Invalid value: "m": may not be specified when claim is set, .*\[3\]\.claim: Duplicate value: "a", .*\[4\]\.requiredValue: Invalid value: "v": may not be specified when expression is set, .*\[5\]\.expression: Invalid value: "1": must evaluate to bool, .*userValidationRules\[0\]\.expression: Required value, .*userValidationRules\[1\]\.expression: Invalid value: "user\.nothing": compilation failed: ERROR: <input>:1:5: undefined field 'nothing'/,
  ],
  [
    "conditions of what is off",
    { anonymous: { enabled: false, conditions: [{ path: "/x" }] } },
    /^invalid authentication configuration: anonymous\.conditions: Invalid value: .*: enabled should be set to true when conditions are defined$/,
  ],
  [
    "too many",
    { jwt: Array.from({ length: 65 }, () => jwt()) },
    invalid("jwt: Too many: 65: must have at most 64 items"),
  ],
];
for (const [name, fields, message] of mistakes)
  test(`authentication config: ${name} is refused`, async () => {
    await assert.rejects(parse(fields), (error) => {
      assert.ok(error instanceof ConfigurationError, String(error));
      if (typeof message === "string") assert.equal(error.message, message);
      else assert.match(error.message, message);
      return true;
    });
  });

test("authentication config: nothing at all is refused", async () => {
  await assert.rejects(parseAuthenticationConfiguration("", await rules()), /^ConfigurationError: empty config data$/);
});

test("authentication config: an address is fine when somebody looks whether it is verified", async () => {
  for (const more of [
    expression("claims.email_verified ? claims.email : ''"),
    {
      ...expression("claims.email"),
      claimValidationRules: [{ expression: "claims.?email_verified.orValue(true) == true" }],
    },
  ])
    assert.equal((await parse({ jwt: [jwt(more)] })).jwt.length, 1);
});

test("oidc flags: mistakes are told", async () => {
  const flags = {
    issuerUrl: "https://issuer.example",
    clientId: "a",
    usernameClaim: "sub",
    usernamePrefix: "",
    groupsClaim: "",
    groupsPrefix: "",
    authorities: "",
    signingAlgorithms: ["RS256"],
    requiredClaims: [],
  };
  const given = await rules();
  assert.throws(() => jwtOfFlags({ ...flags, signingAlgorithms: ["HS256"] }, given), {
    message: 'oidc: unsupported signing alg: "HS256"',
  });
  assert.throws(
    () => jwtOfFlags({ ...flags, requiredClaims: ["x"] }, given),
    /malformed pair, expect string=string: x/,
  );
  assert.throws(() => jwtOfFlags({ ...flags, issuerUrl: "http://x" }, given), /URL scheme must be https/);
});
