/** Admission webhooks as Kubernetes' conformance suite asks for them (test/e2e/apimachinery/webhook.go), against a real webhook server. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { realClock, silentLogger } from "#base";
import { define, definition, definitions, version } from "../../src/apiserver/custom/testing.ts";
import { createStreaming } from "../../src/apiserver/streaming/handlers.ts";
import type { KubeletConnector } from "../../src/apiserver/streaming/kubelet-connector.ts";
import { startTestServer, type TestServer } from "../../src/apiserver/test-server.ts";
import { type Answer, assertDiscovered, type Hooks, jsonPatch, mergePatch, refusal, startHooks } from "./server.ts";

let api: TestServer;
let hooks: Hooks;
before(async () => {
  hooks = await startHooks();
  // Nobody gets as far as a kubelet here.
  const kubelets = { close: () => undefined } as unknown as KubeletConnector;
  const { handlers } = createStreaming({ kubelets, clock: realClock, log: silentLogger });
  api = await startTestServer({ handlers });
});
after(async () => {
  await api.close();
  await hooks.close();
});

const group = "/apis/admissionregistration.k8s.io/v1";
const rule = (resource: string, operations: string[] = ["CREATE"], apiGroup = "", apiVersion = "v1") => ({
  operations,
  apiGroups: [apiGroup],
  apiVersions: [apiVersion],
  resources: [resource],
});
type Kind = "validating" | "mutating";
const path = (kind: Kind) => `${group}/${kind}webhookconfigurations`;

/** A webhook at a path, for the namespaces with this label. */
const hook = (label: string, at: string, rules: object[], more: object = {}) => ({
  name: `${at.slice(1)}.k8s.io`,
  clientConfig: hooks.client(at),
  rules,
  sideEffects: "None",
  admissionReviewVersions: ["v1", "v1beta1"],
  namespaceSelector: { matchLabels: { [label]: "true" } },
  ...more,
});

/** Registers them for the time of `body`, in a namespace of its own. */
async function withHooks(name: string, kind: Kind, webhooks: object[], body: (core: string) => Promise<void>) {
  await api.call("POST", "/api/v1/namespaces", { metadata: { name, labels: { [name]: "true" } } });
  await api.call("POST", path(kind), { metadata: { name }, webhooks });
  hooks.asked.length = 0;
  try {
    await body(`/api/v1/namespaces/${name}`);
  } finally {
    await api.call("DELETE", `${path(kind)}/${name}`);
  }
}

const deny = (message: string) => ({ allowed: false, status: { message } });
const patch = (operations: object[]) => ({
  allowed: true,
  patchType: "JSONPatch",
  patch: Buffer.from(JSON.stringify(operations)).toString("base64"),
});
const key = "webhook-e2e-test";
const map = (name: string, data: Record<string, string> = {}) => ({ metadata: { name }, data });
const pod = (name: string, labels: object = {}, container = "c") => ({
  metadata: { name, labels },
  spec: { containers: [{ name: container, image: "example.com/pause:1" }] },
});
const account = (core: string) => api.call("POST", `${core}/serviceaccounts`, { metadata: { name: "default" } });
const denied = async (call: Promise<unknown>, message: RegExp) => assert.match((await refusal(call)).message, message);
const never: Answer = () => new Promise(() => undefined);
/** Each stage sees what the one before has put there. */
const stages: Answer = ({ request }) => {
  const data = request.object?.data ?? {};
  const add = (stage: number) => ({ op: "add", path: `/data/mutation-stage-${stage}`, value: "yes" });
  return patch([
    ...(data["mutation-start"] === "yes" ? [add(1)] : []),
    ...(data["mutation-stage-1"] === "yes" ? [add(2)] : []),
  ]);
};

test("conformance: AdmissionWebhook should include webhook resources in discovery documents", () =>
  assertDiscovered(api, "admissionregistration.k8s.io/v1", [
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
  ]));

test("conformance: AdmissionWebhook should be able to deny pod and configmap creation", async () => {
  hooks.answers.set("/deny-pods", (review) => {
    const { metadata, spec } = review.request.object as ReturnType<typeof pod>;
    const label = (metadata.labels as Record<string, string>)[key];
    if (label === "wait-forever") return never(review);
    const bad = [
      ...(spec.containers[0]?.name === "webhook-disallow" ? ["the pod contains unwanted container name"] : []),
      ...(label === "webhook-disallow" ? ["the pod contains unwanted label"] : []),
    ];
    return bad.length ? deny(bad.join("; ")) : { allowed: true };
  });
  hooks.answers.set("/deny-maps", ({ request }) =>
    request.object?.data?.[key] === "webhook-disallow"
      ? deny("the configmap contains unwanted key and value")
      : { allowed: true },
  );
  const namespaceSelector = {
    matchLabels: { deny: "true" },
    matchExpressions: [{ key: "skip-webhook-admission", operator: "NotIn", values: ["yes"] }],
  };
  const registered = [
    hook("deny", "/deny-pods", [rule("pods")], { timeoutSeconds: 1 }),
    hook("deny", "/deny-maps", [rule("configmaps", ["CREATE", "UPDATE", "DELETE"])], { namespaceSelector }),
  ];
  await withHooks("deny", "validating", registered, async (core) => {
    await account(core);
    const bad = pod("disallowed-pod", { [key]: "webhook-disallow" }, "webhook-disallow");
    await denied(api.call("POST", `${core}/pods`, bad), /unwanted container name; the pod contains unwanted label/);
    const hanging = pod("hanging-pod", { [key]: "wait-forever" });
    await denied(api.call("POST", `${core}/pods`, hanging), /webhook.*deadline/);
    assert.equal((await refusal(api.call("GET", `${core}/pods/hanging-pod`))).code, 404);

    const disallowed = { [key]: "webhook-disallow" };
    const words = /the configmap contains unwanted key and value/;
    await denied(api.call("POST", `${core}/configmaps`, map("disallowed", disallowed)), words);
    await api.call("POST", `${core}/configmaps`, map("allowed", { admit: "this" }));
    const put = map("allowed", { admit: "this", ...disallowed });
    await denied(api.call("PUT", `${core}/configmaps/allowed`, put), words);
    const strategic = { contentType: "application/strategic-merge-patch+json" };
    await denied(api.call("PATCH", `${core}/configmaps/allowed`, { data: disallowed }, strategic), words);
    const labels = { deny: "true", "skip-webhook-admission": "yes" };
    await api.call("POST", "/api/v1/namespaces", { metadata: { name: "exempted", labels } });
    await api.call("POST", "/api/v1/namespaces/exempted/configmaps", map("disallowed", disallowed));
  });
});

test("conformance: AdmissionWebhook should be able to deny attaching pod", async () => {
  hooks.answers.set("/attach", ({ request }) => deny(`attaching to pod '${request.name}' is not allowed`));
  await withHooks(
    "attach",
    "validating",
    [hook("attach", "/attach", [rule("pods/attach", ["CONNECT"])])],
    async (core) => {
      await account(core);
      await api.call("POST", `${core}/pods`, pod("to-be-attached-pod", {}, "container1"));
      const query = { stdin: "true", container: "container1" };
      await denied(
        api.call("POST", `${core}/pods/to-be-attached-pod/attach`, undefined, { query }),
        /attaching to pod 'to-be-attached-pod' is not allowed/,
      );
    },
  );
});

const open = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
/** Served as v1 and v2, stored as v1; gives the path of its objects. */
async function custom(name: string, schema: object = open) {
  const versions = [version("v1", schema), version("v2", schema, { storage: false })];
  await define(api, definition(`${name}s`, name.toUpperCase(), { versions }));
  return {
    rules: (operations: string[]) => [
      { ...rule(`${name}s`, operations, "shop.example.com"), apiVersions: ["v1", "v2"] },
    ],
    objects: (namespace: string, apiVersion = "v1") =>
      `/apis/shop.example.com/${apiVersion}/namespaces/${namespace}/${name}s`,
    object: (value: string, data: object) => ({
      apiVersion: "shop.example.com/v1",
      kind: name.toUpperCase(),
      metadata: { name: value },
      data,
    }),
  };
}

test("conformance: AdmissionWebhook should be able to deny custom resource creation, update and deletion", async () => {
  const { rules, objects, object } = await custom("guard");
  hooks.answers.set("/guard", ({ request }) => {
    const words = "the custom resource";
    if (request.operation === "DELETE")
      return request.oldObject?.data?.[key] === "webhook-nondeletable"
        ? deny(`${words} cannot be deleted because it contains unwanted key and value`)
        : { allowed: true };
    const bad = request.object?.data?.[key] === "webhook-disallow";
    return bad ? deny(`${words} contains unwanted data`) : { allowed: true };
  });
  const all = rules(["CREATE", "UPDATE", "DELETE"]);
  await withHooks("guarded", "validating", [hook("guarded", "/guard", all)], async () => {
    const at = objects("guarded");
    const unwanted = /the custom resource contains unwanted data/;
    await denied(api.call("POST", at, object("one", { [key]: "webhook-disallow" })), unwanted);
    const made = await api.call("POST", at, object("two", { [key]: "webhook-nondeletable" }));
    await denied(api.call("PUT", `${at}/two`, { ...made, data: { [key]: "webhook-disallow" } }), unwanted);
    await denied(api.call("DELETE", `${at}/two`), /cannot be deleted because it contains unwanted key and value/);
    await api.call("PUT", `${at}/two`, { ...made, data: { [key]: "webhook-allow" } });
    await api.call("DELETE", `${at}/two`);
    assert.equal((await refusal(api.call("GET", `${at}/two`))).code, 404);
  });
});

test("conformance: AdmissionWebhook should unconditionally reject operations on fail closed webhook", async () => {
  hooks.answers.set("/closed", () => ({ allowed: true }));
  const { url } = hooks.client("/closed");
  const closed = hook("closed", "/closed", [rule("configmaps")], { clientConfig: { url }, failurePolicy: "Fail" });
  await withHooks("closed", "validating", [closed], async (core) => {
    const { code, message } = await refusal(api.call("POST", `${core}/configmaps`, map("foo")));
    assert.equal(code, 500);
    assert.match(message, /^Internal error occurred: failed calling webhook "closed\.k8s\.io"/);
  });
});

const bothStages = (label: string, rules: object[]) =>
  ["/stage-1", "/stage-2"].map((at) => {
    hooks.answers.set(at, stages);
    return hook(label, at, rules);
  });
const start = { "mutation-start": "yes" };
const one = { ...start, "mutation-stage-1": "yes" };
const both = { ...one, "mutation-stage-2": "yes" };

test("conformance: AdmissionWebhook should mutate configmap", async () => {
  await withHooks("mutate-map", "mutating", bothStages("mutate-map", [rule("configmaps")]), async (core) => {
    const { data } = await api.call("POST", `${core}/configmaps`, map("to-be-mutated", start));
    assert.deepEqual(data, both);
  });
});

test("conformance: AdmissionWebhook should mutate pod and apply defaults after mutation", async () => {
  const name = "webhook-added-init-container";
  const initContainers = [{ image: "example.com/added:1", name, resources: {} }];
  hooks.answers.set("/init", () => patch([{ op: "add", path: "/spec/initContainers", value: initContainers }]));
  await withHooks("mutate-pod", "mutating", [hook("mutate-pod", "/init", [rule("pods")])], async (core) => {
    await account(core);
    const { spec } = await api.call("POST", `${core}/pods`, pod("webhook-to-be-mutated"));
    const [added, ...others] = spec.initContainers as { name: string; terminationMessagePolicy: string }[];
    assert.deepEqual([added?.name, added?.terminationMessagePolicy, others], [name, "File", []]);
  });
});

test("conformance: AdmissionWebhook should not be able to mutate or prevent deletion of webhook configuration objects", async () => {
  hooks.answers.set("/always-deny", () => deny("never"));
  hooks.answers.set("/add-label", () => patch([{ op: "add", path: "/metadata/labels", value: { added: "yes" } }]));
  const resources = ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"];
  const configurations = (operation: string) => [
    { ...rule("", [operation], "admissionregistration.k8s.io", "*"), resources },
    rule("configmaps", [operation]),
  ];
  const validating = [hook("self", "/always-deny", configurations("DELETE"))];
  const mutating = [hook("self-too", "/add-label", configurations("CREATE"))];
  await withHooks("self", "validating", validating, (core) =>
    withHooks("self-too", "mutating", mutating, async (too) => {
      for (const kind of ["validating", "mutating"] as const) {
        const webhooks = [hook("self", "/none", [rule("invalid")], { failurePolicy: "Ignore" })];
        const made = await api.call("POST", path(kind), { metadata: { name: "dummy" }, webhooks });
        assert.equal(made.metadata.labels, undefined);
        await api.call("DELETE", `${path(kind)}/dummy`);
        assert.equal((await refusal(api.call("GET", `${path(kind)}/dummy`))).code, 404);
      }
      assert.deepEqual(hooks.asked, []);
      // They do their work on everything else.
      await api.call("POST", `${core}/configmaps`, map("kept"));
      await denied(api.call("DELETE", `${core}/configmaps/kept`), /never/);
      assert.deepEqual((await api.call("POST", `${too}/configmaps`, map("m"))).metadata.labels, { added: "yes" });
    }),
  );
});

test("conformance: AdmissionWebhook should mutate custom resource", async () => {
  const { rules, objects, object } = await custom("plain");
  await withHooks("plain", "mutating", bothStages("plain", rules(["CREATE", "UPDATE"])), async () => {
    const made = await api.call("POST", objects("plain"), object("one", start));
    assert.deepEqual(made.data, both);
  });
});

test("conformance: AdmissionWebhook should deny crd creation", async () => {
  hooks.answers.set("/crd", ({ request }) =>
    request.object?.metadata?.labels?.[key] === "webhook-disallow"
      ? deny("the crd contains unwanted label")
      : { allowed: true },
  );
  const rules = [rule("customresourcedefinitions", ["CREATE"], "apiextensions.k8s.io", "*")];
  const objectSelector = { matchLabels: { "deny-crd": "true" } };
  const guard = hook("deny-crd", "/crd", rules, { objectSelector, namespaceSelector: {} });
  await withHooks("deny-crd", "validating", [guard], async () => {
    const refused = definition("denieds", "Denied", { versions: [version("v1", open)] });
    const labels = { "deny-crd": "true", [key]: "webhook-disallow" };
    const made = api.call("POST", definitions, { ...refused, metadata: { ...refused.metadata, labels } });
    await denied(made, /the crd contains unwanted label/);
    assert.equal((await refusal(api.call("GET", `${definitions}/${refused.metadata.name}`))).code, 404);
  });
});

test("conformance: AdmissionWebhook should mutate custom resource with different stored version", async () => {
  const { rules, objects, object } = await custom("moved");
  await withHooks("moved", "mutating", bothStages("moved", rules(["CREATE", "UPDATE"])), async () => {
    await api.call("POST", objects("moved"), object("one", start));
    const versions = [version("v1", open, { storage: false }), version("v2", open)];
    await api.call("PATCH", `${definitions}/moveds.shop.example.com`, { spec: { versions } }, mergePatch);
    const dummy = [{ op: "add", path: "/dummy", value: "test" }];
    const patched = await api.call("PATCH", `${objects("moved", "v2")}/one`, dummy, jsonPatch);
    assert.deepEqual([patched.data, (patched as { dummy?: string }).dummy], [both, "test"]);
    assert.equal(patched.apiVersion, "shop.example.com/v2");
  });
});

test("conformance: AdmissionWebhook should mutate custom resource with pruning", async () => {
  const string = { type: "string" };
  const data = { type: "object", properties: { "mutation-start": string, "mutation-stage-1": string } };
  const { rules, objects, object } = await custom("pruned", { type: "object", properties: { data } });
  await withHooks("pruned", "mutating", bothStages("pruned", rules(["CREATE", "UPDATE"])), async () => {
    const made = await api.call("POST", objects("pruned"), object("one", start));
    assert.deepEqual(made.data, one);
    assert.equal(hooks.asked.length, 2);
  });
});

test("conformance: AdmissionWebhook should honor timeout", async () => {
  hooks.answers.set("/slow", never);
  const slow = (label: string, more: object) => [hook(label, "/slow", [rule("configmaps")], more)];
  const make = (core: string) => api.call("POST", `${core}/configmaps`, map("slow"));
  await withHooks(
    "slow-ignored",
    "validating",
    slow("slow-ignored", { timeoutSeconds: 1, failurePolicy: "Ignore" }),
    async (core) => {
      await make(core);
    },
  );
  // Those with more time wait for an answer that comes once the first has run out of its own.
  let release = (): void => undefined;
  const late = new Promise<object>((resolve) => (release = () => resolve({ allowed: true })));
  hooks.answers.set("/late", () => late);
  const patient = (label: string, more: object) => [hook(label, "/late", [rule("configmaps")], more)];
  await withHooks("slow-ten", "validating", patient("slow-ten", { timeoutSeconds: 10 }), (ten) =>
    withHooks("slow-default", "validating", patient("slow-default", {}), (unset) =>
      withHooks(
        "slow-one",
        "validating",
        slow("slow-one", { timeoutSeconds: 1, failurePolicy: "Fail" }),
        async (core) => {
          const waiting = [make(ten), make(unset)];
          await denied(make(core), /\/slow\?timeout=1s": context deadline exceeded/);
          release();
          await Promise.all(waiting);
          assert.deepEqual(hooks.asked.toSorted(), ["/late?timeout=10s", "/late?timeout=10s", "/slow?timeout=1s"]);
        },
      ),
    ),
  );
});

const condition = (name: string, expression: string) => ({ name, expression });
const production = condition("expression-1", "object.metadata.namespace == 'production'");
const staging = condition("expression-2", "object.metadata.namespace == 'staging'");
const conditional = (label: string, matchConditions: object[]) =>
  hook(label, "/stage-1", [rule("configmaps")], { matchConditions });

async function keepsConditions(kind: Kind): Promise<void> {
  const name = `conditions-${kind}`;
  const conditions = async () => {
    const read = await api.call("GET", `${path(kind)}/${name}`);
    const { webhooks } = read as unknown as { webhooks: { matchConditions: object[] }[] };
    return { read, webhooks, found: webhooks[0]?.matchConditions };
  };
  await withHooks(name, kind, [conditional(name, [production])], async () => {
    const { read, webhooks, found } = await conditions();
    assert.deepEqual(found, [production]);
    const changed = webhooks.map((each) => ({ ...each, matchConditions: [production, staging] }));
    await api.call("PUT", `${path(kind)}/${name}`, { ...read, webhooks: changed });
    assert.deepEqual((await conditions()).found, [production, staging]);
  });
}

async function refusesConditions(kind: Kind): Promise<void> {
  const webhooks = [conditional("bad", [condition("invalid-expression-1", "... [] bad expression")])];
  const { code, message } = await refusal(api.call("POST", path(kind), { metadata: { name: "bad" }, webhooks }));
  assert.equal(code, 422);
  assert.match(message, /compilation failed/);
}

test("conformance: AdmissionWebhook should be able to create and update validating webhook configurations with match conditions", () =>
  keepsConditions("validating"));
test("conformance: AdmissionWebhook should be able to create and update mutating webhook configurations with match conditions", () =>
  keepsConditions("mutating"));
test("conformance: AdmissionWebhook should reject validating webhook configurations with invalid match conditions", () =>
  refusesConditions("validating"));
test("conformance: AdmissionWebhook should reject mutating webhook configurations with invalid match conditions", () =>
  refusesConditions("mutating"));

test("conformance: AdmissionWebhook should mutate everything except 'skip-me' configmaps", async () => {
  hooks.answers.set("/stage-1", stages);
  const unless = conditional("skip", [condition("skip-me", "object.metadata.name != 'skip-me'")]);
  await withHooks("skip", "mutating", [unless], async (core) => {
    assert.deepEqual((await api.call("POST", `${core}/configmaps`, map("another", start))).data, one);
    assert.deepEqual((await api.call("POST", `${core}/configmaps`, map("skip-me", start))).data, start);
  });
});
