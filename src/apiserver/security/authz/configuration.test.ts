import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { ConfigurationError } from "#machinery";
import { loadExpressionCompiler } from "../expressions.ts";
import { type AuthorizationMode, parseAuthorizationConfiguration } from "./configuration.ts";

let directory = "";
let kubeconfig = "";
before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "authz-"));
  kubeconfig = path.join(directory, "kubeconfig");
  writeFileSync(kubeconfig, "");
});
after(() => rm(directory, { recursive: true }));

const parse = async (text: string, required: readonly AuthorizationMode[] = []) =>
  parseAuthorizationConfiguration(text, { compile: await loadExpressionCompiler(), required });

const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n";
const file = (...authorizers: object[]) => `${head}authorizers: ${JSON.stringify(authorizers)}\n`;
const webhook = (more: object = {}) => ({
  type: "Webhook",
  name: "w",
  webhook: {
    timeout: "3s",
    subjectAccessReviewVersion: "v1",
    matchConditionSubjectAccessReviewVersion: "v1",
    failurePolicy: "Deny",
    connectionInfo: { type: "KubeConfigFile", kubeConfigFile: kubeconfig },
    ...more,
  },
});

test("authorization config: authorizers in order, defaults filled in", async () => {
  const conditions = [{ expression: 'request.user != "admin"' }];
  const read = await parse(
    file(
      { type: "Node", name: "node" },
      webhook({ matchConditions: conditions, unauthorizedTTL: "10s", cacheAuthorizedRequests: false }),
      { type: "RBAC", name: "rbac" },
    ),
  );
  assert.deepEqual(
    read.map(({ type }) => type),
    ["Node", "Webhook", "RBAC"],
  );
  const second = read[1];
  assert.ok(second?.type === "Webhook");
  const { conditions: compiled, ...rest } = second.webhook;
  assert.deepEqual(rest, {
    kubeconfigFile: kubeconfig,
    version: "v1",
    timeoutMs: 3000,
    authorizedTtlMs: 0,
    unauthorizedTtlMs: 10_000,
    failurePolicy: "Deny",
  });
  assert.deepEqual(
    compiled.map(({ source }) => source),
    ['request.user != "admin"'],
  );
});

const none = "authorizers: Required value: at least one authorization mode must be defined";
const mistakes: [name: string, text: () => string, message: string | RegExp][] = [
  ["nothing", () => "", none],
  ["no authorizers", () => head, none],
  [
    "an unknown field",
    () => file({ type: "RBAC", name: "rbac", role: 1 }),
    'failed to load AuthorizationConfiguration from file: strict decoding error: unknown field "authorizers[0].role"',
  ],
  [
    "another kind",
    () => "apiVersion: v1\nkind: Secret\n",
    /^failed to load AuthorizationConfiguration from file: no kind "Secret" is registered for version "v1"/,
  ],
  ["no type", () => file({ name: "x" }), "authorizers[0].type: Required value"],
  [
    "an unknown type",
    () => file({ type: "Magic", name: "magic" }),
    'authorizers[0].type: Unsupported value: "Magic": supported values: "ABAC", "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook"',
  ],
  [
    "a type twice",
    () => file({ type: "RBAC", name: "rbac" }, { type: "RBAC", name: "rbac2" }),
    'authorizers[1].type: Duplicate value: "RBAC"',
  ],
  ["no name", () => file({ type: "RBAC" }), "authorizers[0].name: Required value"],
  ["a name twice", () => file(webhook(), webhook()), 'authorizers[1].name: Duplicate value: "w"'],
  [
    "a name that is none",
    () => file({ ...webhook(), name: "W!" }),
    /^authorizers\[0\]\.name: Invalid value: "W!": authorizer name is invalid: a lowercase RFC 1123 subdomain/,
  ],
  [
    "a name of its own",
    () => file({ type: "RBAC", name: "roles" }),
    "expected name rbac for authorizer RBAC instead of roles",
  ],
  [
    "a webhook without settings",
    () => file({ type: "Webhook", name: "w" }),
    "authorizers[0].webhook: Required value: required when type=Webhook",
  ],
  [
    "settings without a webhook",
    () => file({ ...webhook(), type: "RBAC", name: "rbac" }),
    'authorizers[0].webhook: Invalid value: "non-null": may only be specified when type=Webhook',
  ],
  ["no timeout", () => file(webhook({ timeout: undefined })), "authorizers[0].timeout: Required value"],
  [
    "a long timeout",
    () => file(webhook({ timeout: "1m" })),
    'authorizers[0].timeout: Invalid value: "1m0s": must be > 0s and <= 30s',
  ],
  [
    "negative lives",
    () => file(webhook({ authorizedTTL: "-1s", unauthorizedTTL: "-2s" })),
    '[authorizers[0].authorizedTTL: Invalid value: "-1s": must be > 0s, authorizers[0].unauthorizedTTL: Invalid value: "-2s": must be > 0s]',
  ],
  [
    "an unknown version",
    () => file(webhook({ subjectAccessReviewVersion: "v2" })),
    'authorizers[0].subjectAccessReviewVersion: Unsupported value: "v2": supported values: "v1", "v1beta1"',
  ],
  [
    "conditions of no version",
    () => file(webhook({ matchConditionSubjectAccessReviewVersion: "", matchConditions: [{ expression: "true" }] })),
    "authorizers[0].matchConditionSubjectAccessReviewVersion: Required value: required if match conditions are specified",
  ],
  [
    "an unknown policy",
    () => file(webhook({ failurePolicy: "Allow" })),
    'authorizers[0].failurePolicy: Unsupported value: "Allow": supported values: "NoOpinion", "Deny"',
  ],
  [
    "a relative kubeconfig",
    () => file(webhook({ connectionInfo: { type: "KubeConfigFile", kubeConfigFile: "x" } })),
    'authorizers[0].connectionInfo.kubeConfigFile: Invalid value: "x": must be an absolute path',
  ],
  [
    "a missing kubeconfig",
    () => file(webhook({ connectionInfo: { type: "KubeConfigFile", kubeConfigFile: "/nowhere/x" } })),
    'authorizers[0].connectionInfo.kubeConfigFile: Invalid value: "/nowhere/x": error loading file: stat /nowhere/x: no such file or directory',
  ],
  [
    "a folder",
    () => file(webhook({ connectionInfo: { type: "KubeConfigFile", kubeConfigFile: directory } })),
    /kubeConfigFile: Invalid value: .*: must be a regular file$/,
  ],
  [
    "an expression that is none",
    () => file(webhook({ matchConditions: [{ expression: "request.nothing" }] })),
    /^authorizers\[0\]\.matchConditions\[0\]\.expression: Invalid value: "request\.nothing": compilation failed: ERROR: <input>:1:8: undefined field 'nothing'/,
  ],
  [
    "an expression of another type",
    () => file(webhook({ matchConditions: [{ expression: "1" }] })),
    'authorizers[0].matchConditions[0].expression: Invalid value: "1": must evaluate to bool but got int',
  ],
  [
    "expressions twice and none",
    () => file(webhook({ matchConditions: [{ expression: "true" }, { expression: "true" }, { expression: " " }] })),
    '[authorizers[0].matchConditions[1].expression: Duplicate value: "true", authorizers[0].matchConditions[2].expression: Required value]',
  ],
  [
    "too many expressions",
    () => file(webhook({ matchConditions: Array.from({ length: 65 }, (_, n) => ({ expression: `${n} > 0` })) })),
    "authorizers[0].matchConditions: Too many: 65: must have at most 64 items",
  ],
];
for (const [name, text, message] of mistakes)
  test(`authorization config: ${name} is refused`, async () => {
    await assert.rejects(parse(text()), (error) => {
      assert.ok(error instanceof ConfigurationError, String(error));
      if (typeof message === "string") assert.equal(error.message, message);
      else assert.match(error.message, message);
      return true;
    });
  });

test("authorization config: what a server has stays when the file changes", async () => {
  await assert.rejects(
    parse(file({ type: "RBAC", name: "rbac" }), ["Node", "RBAC"]),
    /^ConfigurationError: missing required types: \[Node\]$/,
  );
});
