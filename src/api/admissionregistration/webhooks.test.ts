import assert from "node:assert/strict";
import { before, test } from "node:test";
import { loadCel } from "../cel-engine.ts";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { mutatingWebhookConfigurationKind } from "./mutating-webhook-configuration.ts";
import { validatingWebhookConfigurationKind } from "./validating-webhook-configuration.ts";

before(() => loadCel());

const hook = {
  name: "h.example.com",
  clientConfig: { url: "https://example.com/hook" },
  sideEffects: "None",
  admissionReviewVersions: ["v1"],
};
const made = (more: object = {}) => tryCreate(validatingWebhookConfigurationKind, { webhooks: [{ ...hook, ...more }] });
const at = "webhooks[0]";

test("webhooks: what a client leaves out", () => {
  const rules = [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"] }];
  const sent = { webhooks: [{ ...hook, rules, clientConfig: { service: { namespace: "n", name: "s" } } }] };
  const { object, errors } = tryCreate(mutatingWebhookConfigurationKind, sent);
  assert.deepEqual(errors, []);
  const [made] = object.webhooks ?? [];
  assert.deepEqual(made, {
    ...sent.webhooks[0],
    clientConfig: { service: { namespace: "n", name: "s", port: 443 } },
    rules: [{ ...rules[0], scope: "*" }],
    failurePolicy: "Fail",
    matchPolicy: "Equivalent",
    namespaceSelector: {},
    objectSelector: {},
    timeoutSeconds: 10,
    reinvocationPolicy: "Never",
  });
  assert.equal(tryColumns(mutatingWebhookConfigurationKind, object).Webhooks, 1);
  assert.equal(object.metadata.generation, 1);
});

test("webhooks: what is refused", () => {
  const versions = "v1, v1beta1";
  const cases: [object, string[]][] = [
    [{ name: "" }, [`${at}.name: Required value`]],
    [
      { name: "h" },
      [`${at}.name: Invalid value: "h": should be a domain with at least three segments separated by dots`],
    ],
    [{ failurePolicy: "Odd" }, [`${at}.failurePolicy: Unsupported value: "Odd": supported values: "Fail", "Ignore"`]],
    [{ matchPolicy: "Odd" }, [`${at}.matchPolicy: Unsupported value: "Odd": supported values: "Equivalent", "Exact"`]],
    [{ sideEffects: undefined }, [`${at}.sideEffects: Required value: must specify one of None, NoneOnDryRun`]],
    [
      { sideEffects: "Some" },
      [`${at}.sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"`],
    ],
    ...[0, 31].map((timeoutSeconds): [object, string[]] => [
      { timeoutSeconds },
      [`${at}.timeoutSeconds: Invalid value: ${timeoutSeconds}: the timeout value must be between 1 and 30 seconds`],
    ]),
    [
      { admissionReviewVersions: [] },
      [`${at}.admissionReviewVersions: Required value: must specify one of ${versions}`],
    ],
    [
      { admissionReviewVersions: ["v2", "v2"] },
      [
        `${at}.admissionReviewVersions[1]: Invalid value: "v2": duplicate version`,
        `${at}.admissionReviewVersions: Invalid value: ["v2","v2"]: must include at least one of ${versions}`,
      ],
    ],
    [
      { matchConditions: [{}, { name: "a", expression: "true" }, { name: "a", expression: "true" }] },
      [
        `${at}.matchConditions[0].expression: Required value`,
        `${at}.matchConditions[0].name: Required value`,
        `${at}.matchConditions[2].name: Duplicate value: "a"`,
      ],
    ],
  ];
  for (const [more, expected] of cases) assert.deepEqual(made(more).errors, expected);
  const { errors } = tryCreate(validatingWebhookConfigurationKind, { webhooks: [hook, hook] });
  assert.deepEqual(errors, ['webhooks[1].name: Duplicate value: "h.example.com"']);
});

test("webhooks: how they are called", () => {
  const form = "; desired format: https://host[/path]";
  const url = (value: string) => ({ url: value });
  const service = (more: object) => ({ service: { namespace: "n", name: "s", ...more } });
  const path = `${at}.clientConfig`;
  const cases: [object, string[]][] = [
    [{}, [`${path}: Required value: exactly one of url or service is required`]],
    [{ ...url("https://a"), ...service({}) }, [`${path}: Required value: exactly one of url or service is required`]],
    [url("http://a"), [`${path}.url: Invalid value: "http": 'https' is the only allowed URL scheme${form}`]],
    [url("https:///a"), [`${path}.url: Invalid value: "": host must be specified${form}`]],
    [
      url("https://u:p@a/b?c=d#e"),
      [
        `${path}.url: Invalid value: "u:p": user information is not permitted in the URL`,
        `${path}.url: Invalid value: "e": fragments are not permitted in the URL`,
        `${path}.url: Invalid value: "c=d": query parameters are not permitted in the URL`,
      ],
    ],
    [
      url("https://a:b/"),
      [
        `${path}.url: Required value: url must be a valid URL: parse "https://a:b/": invalid port ":b" after host${form}`,
      ],
    ],
    [
      service({ port: 70_000 }),
      [`${path}.service.port: Invalid value: 70000: port is not valid: must be between 1 and 65535, inclusive`],
    ],
    [
      service({ path: "a" }),
      [
        `${path}.service.path: Invalid value: "a": must start with a '/'`,
        `${path}.service.path: Invalid value: "a": segment[0] may not be empty`,
      ],
    ],
    [service({ path: "/a//b" }), [`${path}.service.path: Invalid value: "/a//b": segment[1] may not be empty`]],
  ];
  for (const [clientConfig, expected] of cases) assert.deepEqual(made({ clientConfig }).errors, expected);
});

test("webhooks: what older releases let in may stay", () => {
  const { object } = made();
  const old = {
    ...object,
    webhooks: [{ ...hook, sideEffects: "Some", matchConditions: [{ name: "", expression: "" }] }],
  };
  const renamed = tryUpdate(validatingWebhookConfigurationKind, old, {
    change({ webhooks = [] }) {
      for (const each of webhooks) each.failurePolicy = "Ignore";
    },
  });
  assert.deepEqual([renamed.errors, renamed.object.metadata.generation], [[], 2]);
  const labelled = tryUpdate(validatingWebhookConfigurationKind, object, {
    change({ metadata }) {
      metadata.labels = { a: "b" };
    },
  });
  assert.deepEqual([labelled.errors, labelled.object.metadata.generation], [[], 1]);
});

test("webhooks: a name that will be reserved", () => {
  const { warnings } = tryCreate(validatingWebhookConfigurationKind, { metadata: { name: "a.static.k8s.io" } });
  assert.deepEqual(warnings, [
    'metadata.name: names ending with ".static.k8s.io" will be reserved for static manifest-based configurations when the ManifestBasedAdmissionControlConfig feature gate is enabled',
  ]);
});
