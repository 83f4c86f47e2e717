import assert from "node:assert/strict";
import { test } from "node:test";
import { type AuditedAttributes, parseAuditPolicy } from "./policy.ts";

const head = "apiVersion: audit.k8s.io/v1\nkind: Policy\n";
const parse = (rules: string) => parseAuditPolicy(head + rules, () => undefined);
const asked = (more: Partial<AuditedAttributes> = {}): AuditedAttributes => ({
  user: { name: "tim", uid: "", groups: ["humans", "developers"], extra: {} },
  verb: "get",
  resourceRequest: true,
  path: "/api/v1/namespaces/default/pods/busybox",
  apiGroup: "",
  apiVersion: "v1",
  resource: "pods",
  subresource: "",
  namespace: "default",
  name: "busybox",
  ...more,
});
const log = asked({ subresource: "log" });
const page = asked({ resourceRequest: false, path: "/logs/kubelet.log", resource: "", namespace: "", name: "" });
const role = asked({ apiGroup: "rbac.authorization.k8s.io", resource: "clusterroles", namespace: "", name: "edit" });

test("audit policy: what a rule matches", async () => {
  const cases: [rule: string, what: AuditedAttributes, matches: boolean][] = [
    ["{}", asked(), true],
    ["{users: [tim]}", asked(), true],
    ["{users: [tom]}", asked(), false],
    ["{users: [tim]}", asked({ user: undefined }), false],
    ["{userGroups: [humans]}", asked(), true],
    ["{userGroups: ['system:serviceaccounts']}", asked(), false],
    ["{verbs: [get]}", asked(), true],
    ["{verbs: [create]}", asked(), false],
    ["{namespaces: [default]}", asked(), true],
    ["{namespaces: ['']}", asked(), false],
    ["{namespaces: ['']}", role, true],
    ["{namespaces: [default]}", page, false],
    ["{resources: [{resources: [pods]}]}", asked(), true],
    ["{resources: [{resources: [pods]}]}", log, false],
    ["{resources: [{resources: [pods/log]}]}", log, true],
    ["{resources: [{resources: ['pods/*']}]}", log, true],
    ["{resources: [{resources: ['pods/*']}]}", asked(), true],
    ["{resources: [{resources: ['*/log']}]}", log, true],
    ["{resources: [{resources: ['*']}]}", log, true],
    ["{resources: [{group: ''}]}", log, true],
    ["{resources: [{group: rbac.authorization.k8s.io, resources: [clusterroles]}]}", role, true],
    ["{resources: [{group: '*', resources: [clusterroles]}]}", role, true],
    ["{resources: [{group: apps, resources: [clusterroles]}]}", role, false],
    ["{resources: [{resources: [pods], resourceNames: [busybox]}]}", asked(), true],
    ["{resources: [{resources: [pods], resourceNames: [other]}]}", asked(), false],
    ["{resources: [{resources: [pods]}]}", page, false],
    ["{nonResourceURLs: ['*']}", page, true],
    ["{nonResourceURLs: ['/logs*']}", page, true],
    ["{nonResourceURLs: ['/logs/kubelet.log']}", page, true],
    ["{nonResourceURLs: ['/logs']}", page, false],
    ["{nonResourceURLs: ['*']}", asked(), false],
  ];
  for (const [rule, what, matches] of cases) {
    const policy = await parse(`rules:\n- ${rule.replace("{", "{level: Request, ")}\n`);
    assert.equal(policy.verdictOn(what).level, matches ? "Request" : "None", `${rule} on ${what.path}`);
  }
});

test("audit policy: the first rule counts; stages are omitted by both; managed fields by the rule, then the policy", async () => {
  const policy = await parse(`
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: Metadata, verbs: [get], omitStages: [Panic], omitManagedFields: false}
- {level: Request}
`);
  const first = policy.verdictOn(asked());
  assert.deepEqual(
    [first.level, [...first.omitStages], first.omitManagedFields],
    ["Metadata", ["RequestReceived", "Panic"], false],
  );
  const second = policy.verdictOn(asked({ verb: "list" }));
  assert.deepEqual(
    [second.level, [...second.omitStages], second.omitManagedFields],
    ["Request", ["RequestReceived"], true],
  );
});

test("audit policy: mistakes are told in upstream's words", async () => {
  const cases: [text: string, message: string | RegExp][] = [
    [`${head}rules: []\n`, "loaded illegal policy with 0 rules"],
    [`${head}rules: [{verbs: [get]}]\n`, "rules[0].level: Required value"],
    [
      `${head}rules: [{level: All}]\n`,
      'rules[0].level: Unsupported value: "All": supported values: "None", "Metadata", "Request", "RequestResponse"',
    ],
    [
      `${head}rules: [{level: None, nonResourceURLs: [logs]}]\n`,
      `rules[0].nonResourceURLs[0]: Invalid value: "logs": non-resource URL rules must begin with a '/' character`,
    ],
    [
      `${head}rules: [{level: None, nonResourceURLs: ['/a*b']}]\n`,
      `rules[0].nonResourceURLs[0]: Invalid value: "/a*b": non-resource URL wildcards '*' must be the final character of the rule`,
    ],
    [
      `${head}rules: [{level: None, nonResourceURLs: [/a], namespaces: [b]}]\n`,
      'rules[0].nonResourceURLs: Invalid value: ["/a"]: rules cannot apply to both regular resources and non-resource URLs',
    ],
    [
      `${head}rules: [{level: None, resources: [{group: a/v1}]}]\n`,
      /^rules\[0\]\.resources\.group: Invalid value: "a\/v1": a lowercase RFC 1123 subdomain/,
    ],
    [
      `${head}rules: [{level: None, resources: [{resourceNames: [a]}]}]\n`,
      'rules[0].resources.resourceNames: Invalid value: ["a"]: using resourceNames requires at least one resource',
    ],
    [
      `${head}omitStages: [Never]\nrules: [{level: None}]\n`,
      'omitStages[0]: Invalid value: "Never": allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic',
    ],
    ["apiVersion: audit.k8s.io/v1beta1\nkind: Policy\n", /^failed decoding: no kind "Policy" is registered/],
    ["kind: Policy\n", /^failed decoding: Object 'apiVersion' is missing in/],
  ];
  for (const [text, message] of cases) {
    await assert.rejects(
      parseAuditPolicy(text, () => undefined),
      { message },
    );
  }
});

test("audit policy: unknown fields are warned about, nothing more", async () => {
  const warnings: string[] = [];
  const policy = await parseAuditPolicy(`${head}rules: [{level: Metadata, color: red}]\n`, (text) =>
    warnings.push(text),
  );
  assert.equal(policy.verdictOn(asked()).level, "Metadata");
  assert.match(
    warnings.join(),
    /falling back to lenient decoding: strict decoding error: unknown field "rules\[0\]\.color"/,
  );
});
