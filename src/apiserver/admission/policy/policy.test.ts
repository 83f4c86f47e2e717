import assert from "node:assert/strict";
import { after, before, beforeEach, suite, test } from "node:test";
import { realClock } from "#base";
import { type ApiRequest, isStatusError } from "#machinery";
import { createLocalTransport } from "../../local-transport.ts";
import { admin, startTestServer, type TestServer } from "../../test-server.ts";

const root = "/apis/admissionregistration.k8s.io/v1";
const policies = `${root}/validatingadmissionpolicies`;
const bindings = `${root}/validatingadmissionpolicybindings`;
const mutating = `${root}/mutatingadmissionpolicies`;
const mutatingBindings = `${root}/mutatingadmissionpolicybindings`;
const maps = "/api/v1/namespaces/default/configmaps";

const resourceRules = [
  { operations: ["CREATE", "UPDATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["configmaps"] },
];

suite("admission policies", () => {
  let api: TestServer;
  const warnings: string[] = [];

  before(async () => {
    api = await startTestServer({
      authorizer: { authorize: ({ verb, name }) => ({ allowed: verb !== "sail" || name === "boat", reason: "" }) },
    });
  });
  after(() => api.close());
  beforeEach(async () => {
    warnings.length = 0;
    for (const path of [bindings, policies, mutatingBindings, mutating, maps]) await api.call("DELETE", path);
  });

  const policy = async (spec: object, binding: object = {}) => {
    const matchConstraints = { resourceRules };
    await api.call("POST", policies, { metadata: { name: "p" }, spec: { matchConstraints, ...spec } });
    await api.call("POST", bindings, {
      metadata: { name: "b" },
      spec: { policyName: "p", validationActions: ["Deny"], ...binding },
    });
  };
  const mutation = async (mutations: object[], spec: object = {}) => {
    await api.call("POST", mutating, {
      metadata: { name: "m" },
      spec: { matchConstraints: { resourceRules }, reinvocationPolicy: "Never", mutations, ...spec },
    });
    await api.call("POST", mutatingBindings, { metadata: { name: "b" }, spec: { policyName: "m" } });
  };
  const jsonPatch = (expression: string) => ({ patchType: "JSONPatch", jsonPatch: { expression } });
  const configuration = (expression: string) => ({
    patchType: "ApplyConfiguration",
    applyConfiguration: { expression },
  });
  const map = (name: string, more: object = {}) => ({ metadata: { name }, ...more });
  /** Message and reason of a refusal. */
  const refusal = async (call: Promise<unknown>) => {
    const error = await call.then(
      () => assert.fail("it was let in"),
      (thrown: unknown) => thrown,
    );
    if (!isStatusError(error)) throw error;
    const { message = "", reason, code } = error.status;
    return { message, reason, code };
  };

  test("validating policy: denies in upstream's words, with its message and reason", async () => {
    await policy({
      validations: [
        { expression: "object.metadata.name.startsWith('a')", message: " must start with a ", reason: "Forbidden" },
      ],
    });
    await api.call("POST", maps, map("apple"));
    assert.deepEqual(await refusal(api.call("POST", maps, map("pear"))), {
      message: `configmaps "pear" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: must start with a`,
      reason: "Forbidden",
      code: 403,
    });
  });

  test("validating policy: without a message the expression is shown; invalid is the default reason", async () => {
    await policy({ validations: [{ expression: " size(object.data) == 1 " }] });
    const { message, reason, code } = await refusal(api.call("POST", maps, map("a", { data: { a: "", b: "" } })));
    assert.match(message, /denied request: failed expression: size\(object\.data\) == 1$/);
    assert.deepEqual([reason, code], ["Invalid", 422]);
    // A missing field is an error, which the failure policy answers.
    const { message: error } = await refusal(api.call("POST", maps, map("a")));
    assert.match(
      error,
      /denied request: expression ' size\(object\.data\) == 1 ' resulted in error: no such key: data$/,
    );
  });

  test("validating policy: variables, message expressions, old objects, the request and the namespace", async () => {
    await policy({
      variables: [
        { name: "keys", expression: "has(object.data) ? object.data.map(k, k) : []" },
        { name: "many", expression: "size(variables.keys) > 1" },
      ],
      validations: [
        { expression: "!variables.many", messageExpression: "'too many: ' + variables.keys.join(',')" },
        { expression: "request.operation != 'UPDATE' || oldObject.data == object.data", message: "never changes" },
        { expression: "namespaceObject.metadata.name == request.namespace && request.userInfo.username == 'admin'" },
      ],
    });
    const { message } = await refusal(api.call("POST", maps, map("a", { data: { a: "", b: "" } })));
    assert.match(message, /too many: a,b$/);
    await api.call("POST", maps, map("a", { data: { a: "1" } }));
    const update = await refusal(api.call("PUT", `${maps}/a`, map("a", { data: { a: "2" } })));
    assert.match(update.message, /never changes$/);
  });

  test("validating policy: warns instead of denying, and ignores errors where asked to", async () => {
    await policy(
      { failurePolicy: "Ignore", validations: [{ expression: "object.data.a == 'x'" }] },
      { validationActions: ["Warn"] },
    );
    const { pipeline } = api.server;
    const onWarning = (text: string) => void warnings.push(text);
    const transport = createLocalTransport({ pipeline, clock: realClock, user: admin, userAgent: "test", onWarning });
    await transport.request({ method: "POST", path: maps, body: map("a") });
    assert.deepEqual(warnings, []);
    await transport.request({ method: "POST", path: maps, body: map("b", { data: { a: "y" } }) });
    assert.deepEqual(warnings, [
      "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': failed expression: object.data.a == 'x'",
    ]);
  });

  test("validating policy: match conditions, selectors and excluded names leave requests alone", async () => {
    await policy(
      {
        matchConditions: [{ name: "named", expression: "object.metadata.name != 'free'" }],
        matchConstraints: {
          resourceRules,
          excludeResourceRules: [{ ...resourceRules[0], resourceNames: ["excluded"] }],
        },
        validations: [{ expression: "false" }],
      },
      { matchResources: { objectSelector: { matchLabels: { watched: "yes" } } } },
    );
    const watched = (name: string) => ({ metadata: { name, labels: { watched: "yes" } } });
    await api.call("POST", maps, map("unlabelled"));
    await api.call("POST", maps, watched("free"));
    await api.call("POST", maps, watched("excluded"));
    assert.equal((await refusal(api.call("POST", maps, watched("other")))).reason, "Invalid");
  });

  test("validating policy: parameters by name and by selector, and none", async () => {
    const params = "/api/v1/namespaces/kube-system/configmaps";
    for (const [name, max] of [
      ["low", "1"],
      ["high", "3"],
    ])
      await api.call("POST", params, { metadata: { name, labels: { limit: "yes" } }, data: { max } });
    const spec = {
      paramKind: { apiVersion: "v1", kind: "ConfigMap" },
      validations: [
        {
          expression: "size(object.data) <= int(params.data.max)",
          messageExpression: "string(params.metadata.name)",
        },
      ],
    };
    await policy(spec, { paramRef: { namespace: "kube-system", name: "high", parameterNotFoundAction: "Deny" } });
    const two = map("two", { data: { a: "", b: "" } });
    await api.call("POST", maps, two);
    const rebind = (paramRef: object) =>
      api.call("PATCH", `${bindings}/b`, { spec: { paramRef } }, { contentType: "application/merge-patch+json" });
    await rebind({ name: null, selector: { matchLabels: { limit: "yes" } } });
    assert.match((await refusal(api.call("PUT", `${maps}/two`, two))).message, /denied request: low$/);
    await rebind({ name: "missing", selector: null });
    assert.match(
      (await refusal(api.call("PUT", `${maps}/two`, two))).message,
      /denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction$/,
    );
    await rebind({ parameterNotFoundAction: "Allow" });
    await api.call("PUT", `${maps}/two`, two);
  });

  test("validating policy: an unknown kind of parameters is a wrong configuration", async () => {
    await policy(
      { paramKind: { apiVersion: "a.b/v1", kind: "Nope" }, validations: [{ expression: "true" }] },
      { paramRef: { name: "x", parameterNotFoundAction: "Allow" } },
    );
    assert.match(
      (await refusal(api.call("POST", maps, map("a")))).message,
      /ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: failed to find resource referenced by paramKind: 'a\.b\/v1, Kind=Nope'$/,
    );
  });

  test("validating policy: asks the authorizer", async () => {
    await policy({
      validations: [
        {
          expression: "authorizer.group('').resource('boats').name(object.metadata.name).check('sail').allowed()",
          message: "can't sail",
        },
        { expression: "authorizer.requestResource.check('create').allowed()" },
      ],
    });
    await api.call("POST", maps, map("boat"));
    assert.match((await refusal(api.call("POST", maps, map("raft")))).message, /can't sail$/);
  });

  test("validating policy: what all expressions cost together is bounded", async () => {
    const expression = "object.data.all(a, object.data.all(b, object.data.all(c, size(a + b + c) > 0)))";
    await policy({ validations: [{ expression }] });
    const data = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`k${index}`, ""]));
    const { message } = await refusal(api.call("POST", maps, map("a", { data })));
    assert.match(message, /operation cancelled: actual cost limit exceeded$/);
  });

  test("conformance: policies with expressions that don't compile are refused", async () => {
    const made = (spec: object) =>
      refusal(
        api.call("POST", policies, {
          metadata: { name: "bad" },
          spec: { matchConstraints: { resourceRules }, ...spec },
        }),
      );
    const { message, code } = await made({ validations: [{ expression: "object.x ==" }] });
    assert.equal(code, 422);
    assert.match(
      message,
      /spec\.validations\[0\]\.expression: Invalid value: "object\.x ==": compilation failed: ERROR: <input>:1:\d+: Syntax error/,
    );
    assert.match(
      (await made({ validations: [{ expression: "'text'" }] })).message,
      /spec\.validations\[0\]\.expression: Invalid value: "'text'": must evaluate to bool but got string/,
    );
    assert.match(
      (await made({ validations: [{ expression: "params.x" }] })).message,
      /compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' \(in container ''\)/,
    );
  });

  test("webhooks: match conditions are compiled when they are stored, and asked before the webhook is", async () => {
    const hooks = `${root}/validatingwebhookconfigurations`;
    const hook = (expression: string) => ({
      metadata: { name: "h" },
      webhooks: [
        {
          name: "h.example.com",
          clientConfig: { url: "https://127.0.0.1:1/" },
          rules: resourceRules,
          sideEffects: "None",
          admissionReviewVersions: ["v1"],
          matchConditions: [{ name: "named", expression }],
        },
      ],
    });
    assert.match(
      (await refusal(api.call("POST", hooks, hook("[1, 2, 3")))).message,
      /webhooks\[0\]\.matchConditions\[0\]\.expression: .*compilation failed/s,
    );
    await api.call("POST", hooks, hook("object.metadata.name == 'asked'"));
    await api.call("POST", maps, map("left-alone"));
    assert.match(
      (await refusal(api.call("POST", maps, map("asked")))).message,
      /failed calling webhook "h\.example\.com"/,
    );
    await api.call("DELETE", `${hooks}/h`);
    await api.call("POST", hooks, hook("object.data.x == '1'"));
    assert.match(
      (await refusal(api.call("POST", maps, map("missing")))).message,
      /^configmaps "missing" is forbidden: expression 'object\.data\.x == '1'' resulted in error: no such key: data$/,
    );
    await api.call("DELETE", `${hooks}/h`);
  });

  test("mutating policy: JSON patches and configurations change the object", async () => {
    await mutation([
      jsonPatch(
        `[JSONPatch{op: "test", path: "/metadata/name", value: "a"}, JSONPatch{op: "add", path: "/data", value: {"from": "patch"}}]`,
      ),
      configuration(
        `Object{metadata: Object.metadata{labels: {"by": "policy"}}, data: {"second": object.metadata.name}}`,
      ),
    ]);
    const a = await api.call("POST", maps, map("a"));
    assert.deepEqual(a.data, { from: "patch", second: "a" });
    assert.deepEqual(a.metadata.labels, { by: "policy" });
    // The test of the patch fails: it changes nothing, and that is no error.
    const b = await api.call("POST", maps, map("b", { data: { own: "1" } }));
    assert.deepEqual(b.data, { own: "1", second: "b" });
  });

  test("mutating policy: lists are merged by their keys; atomic ones can't be touched", async () => {
    const rules = [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"] }];
    const matchConstraints = { resourceRules: rules };
    const sidecar = `Object{spec: Object.spec{containers: [Object.spec.containers{name: "side", image: "s"}]}}`;
    await mutation([configuration(sidecar)], { matchConstraints });
    await api.call("POST", "/api/v1/namespaces/default/serviceaccounts", map("default"));
    const pods = "/api/v1/namespaces/default/pods";
    const pod = map("p", { spec: { containers: [{ name: "main", image: "m" }] } });
    const made = await api.call("POST", pods, pod, { query: { dryRun: "All" } } as Partial<ApiRequest>);
    const names = (made.spec.containers as { name: string; imagePullPolicy: string }[]).map(
      ({ name, imagePullPolicy }) => `${name} ${imagePullPolicy}`,
    );
    assert.deepEqual(names.sort(), ["main Always", "side Always"]);
    await api.call("PUT", `${mutating}/m`, {
      metadata: { name: "m", resourceVersion: (await api.call("GET", `${mutating}/m`)).metadata.resourceVersion },
      spec: {
        matchConstraints,
        reinvocationPolicy: "Never",
        mutations: [
          configuration(`Object{spec: Object.spec{containers: [Object.spec.containers{name: "main", args: ["x"]}]}}`),
        ],
      },
    });
    assert.match(
      (await refusal(api.call("POST", pods, pod))).message,
      /^policy 'm' with binding 'b' denied request: error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: \.spec\.containers\[0\]\.args$/,
    );
  });

  test("mutating policy: what can't be applied is refused, or ignored", async () => {
    const wrong = configuration(`Object{metadata: Object.spec{}}`);
    await mutation([wrong]);
    const { message, reason } = await refusal(api.call("POST", maps, map("a")));
    assert.match(
      message,
      /^policy 'm' with binding 'b' denied request: type mismatch: unexpected type name "Object\.spec", expected "Object\.metadata"/,
    );
    assert.equal(reason, "Invalid");
    await api.call("DELETE", `${mutating}/m`);
    await api.call("DELETE", `${mutatingBindings}/b`);
    await mutation([wrong], { failurePolicy: "Ignore" });
    await api.call("POST", maps, map("a"));
  });
});
