import assert from "node:assert/strict";
import { test } from "node:test";
import { createBootstrapTokens } from "./bootstrap-tokens.ts";

const now = Date.parse("2026-01-01T00:00:00Z");
const token = "abcdef.0123456789abcdef";

function ask(given: string, more: Record<string, string> = {}, type = "bootstrap.kubernetes.io/token") {
  const texts = {
    "token-id": "abcdef",
    "token-secret": "0123456789abcdef",
    "usage-bootstrap-authentication": "true",
    ...more,
  };
  const data = Object.fromEntries(
    Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
  );
  const tokens = createBootstrapTokens({
    now: () => now,
    secret: (name) => (name === "bootstrap-token-abcdef" ? { metadata: { name }, type, data } : undefined),
  });
  return tokens(given);
}

test("bootstrap token: its bearer is a bootstrapper, in extra groups if the Secret says so", () => {
  assert.deepEqual(ask(token), {
    name: "system:bootstrap:abcdef",
    uid: "",
    groups: ["system:bootstrappers"],
    extra: {},
  });
  assert.deepEqual(ask(token, { "auth-extra-groups": "system:bootstrappers:worker" })?.groups, [
    "system:bootstrappers",
    "system:bootstrappers:worker",
  ]);
});

for (const [name, given, more, type] of [
  ["another secret", "abcdef.0000000000000000", {}],
  ["an unknown id", "zzzzzz.0123456789abcdef", {}],
  ["not of this form", "admin", {}],
  ["expired", token, { expiration: "2025-12-31T00:00:00Z" }],
  ["an expiration that can't be read", token, { expiration: "soon" }],
  ["an expiration without a time of day", token, { expiration: "2090-01-01" }],
  ["not for authentication", token, { "usage-bootstrap-authentication": "false" }],
  ["a group of somebody else", token, { "auth-extra-groups": "system:masters" }],
  ["another id inside", token, { "token-id": "ghijkl" }],
  ["another type of Secret", token, {}, "Opaque"],
] as const)
  test(`bootstrap token: ${name} is nobody`, () => {
    assert.equal(ask(given, more, type), undefined);
  });
