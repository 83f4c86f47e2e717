import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigurationError, decodeConfiguration, shape } from "./configuration.ts";

const rule = shape("Rule", { level: "string", users: ["string"], ttl: "duration", on: "bool?" });
const policy = {
  kind: "Policy",
  apiVersions: ["test.k8s.io/v1", "test.k8s.io/v1beta1"],
  shape: shape("Policy", { rules: [rule], first: { optional: rule }, labels: { mapOf: "string" }, count: "int" }),
} as const;

const head = "apiVersion: test.k8s.io/v1\nkind: Policy\n";

test("configuration: what isn't given has Go's zero value", async () => {
  const read = await decodeConfiguration(`${head}rules:\n- level: all\n  ttl: 1m30s\n`, policy);
  assert.deepEqual(read, {
    apiVersion: "test.k8s.io/v1",
    rules: [{ level: "all", users: [], ttl: 90_000, on: undefined }],
    first: undefined,
    labels: {},
    count: 0,
  });
  const json = '{"apiVersion":"test.k8s.io/v1beta1","kind":"Policy","first":{"on":false}}';
  assert.equal((await decodeConfiguration(json, policy)).first?.on, false);
});

test("configuration: mistakes are told in upstream's words", async () => {
  const cases: [text: string, message: string | RegExp][] = [
    [`${head}rule: 1\n`, 'strict decoding error: unknown field "rule"'],
    [`${head}rules:\n- level: a\n  apiVersion: x\n`, 'strict decoding error: unknown field "rules[0].apiVersion"'],
    [
      `${head}count: 1\ncount: 2\n`,
      'strict decoding error: yaml: unmarshal errors:\n  line 4: key "count" already set in map',
    ],
    [
      `${head}rules:\n- level: 5\n`,
      "json: cannot unmarshal number into Go struct field Rule.rules.level of type string",
    ],
    [`${head}rules:\n- ttl: soon\n`, 'time: invalid duration "soon"'],
    ["kind: Policy\n", "Object 'apiVersion' is missing in 'kind: Policy\n'"],
    ["", "Object 'Kind' is missing in ''"],
    ["- a\n", /want an object/],
    ["a: [\n", /^yaml: line \d+: /],
    ["{", "couldn't get version/kind; json parse error: unexpected end of JSON input"],
    ["apiVersion: v9\nkind: Policy\n", /^no kind "Policy" is registered for version "v9", want Policy of test/],
    [
      '{"apiVersion":"test.k8s.io/v1","kind":"Policy","count":1,"count":2}',
      'strict decoding error: duplicate field "count"',
    ],
  ];
  for (const [text, message] of cases)
    await assert.rejects(decodeConfiguration(text, policy), (error) => {
      assert.ok(error instanceof ConfigurationError, `${text}: ${String(error)}`);
      if (typeof message === "string") assert.equal(error.message, message);
      else assert.match(error.message, message);
      return true;
    });
});
