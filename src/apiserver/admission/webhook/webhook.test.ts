import assert from "node:assert/strict";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { realClock, silentLogger } from "#base";
import type { KubernetesObject } from "#machinery";
import { createAuthority, issueCertificate } from "../../security/certificates.ts";
import { createStreaming } from "../../streaming/handlers.ts";
import type { KubeletConnector } from "../../streaming/kubelet-connector.ts";
import { startTestServer, type TestServer } from "../../test-server.ts";

interface Review {
  kind: string;
  apiVersion: string;
  request: {
    uid: string;
    operation: string;
    subResource?: string;
    name?: string;
    namespace?: string;
    kind: { group: string; version: string; kind: string };
    resource: { group: string; version: string; resource: string };
    requestResource: { version: string };
    object: KubernetesObject | null;
    oldObject: KubernetesObject | null;
    dryRun: boolean;
    userInfo: { username: string };
  };
}

type Answer = (review: Review) => object | { raw: string; status: number } | undefined;

let api: TestServer;
let server: Server;
let caBundle = "";
let port = 0;
/** By path; what each was asked is kept in `asked`. */
const answers = new Map<string, Answer>();
const asked: { path: string; review: Review; timeout: string | null }[] = [];

before(async () => {
  const now = Date.now();
  const authority = await createAuthority("hooks", { now, validDays: 1 });
  const leaf = await issueCertificate(authority, {
    commonName: "hook",
    usages: ["server"],
    ipAddresses: ["127.0.0.1"],
    dnsNames: ["hook.ns.svc"],
    validDays: 1,
    now,
  });
  caBundle = Buffer.from(authority.certificate).toString("base64");
  server = createServer({ cert: leaf.certificate, key: leaf.key }, async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
    const review = JSON.parse(Buffer.concat(pieces).toString("utf8")) as Review;
    const url = new URL(request.url ?? "", "https://hook");
    asked.push({ path: url.pathname, review, timeout: url.searchParams.get("timeout") });
    const answer = answers.get(url.pathname)?.(review);
    if (!answer) return; // never answers
    if ("raw" in answer) {
      response.writeHead(answer.status, { "content-type": "text/plain" }).end(answer.raw);
      return;
    }
    const { apiVersion, kind, request: about } = review;
    response.end(JSON.stringify({ apiVersion, kind, response: { uid: about.uid, ...answer } }));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  port = (server.address() as AddressInfo).port;
  // Nobody gets as far as a kubelet here.
  const kubelets = { close: () => undefined } as unknown as KubeletConnector;
  const { handlers } = createStreaming({ kubelets, clock: realClock, log: silentLogger });
  api = await startTestServer({ handlers });
});
after(async () => {
  await api.close();
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
});

const group = "/apis/admissionregistration.k8s.io/v1";
const rule = (resource: string, operation = "CREATE", apiGroup = "", version = "v1") => ({
  operations: [operation],
  apiGroups: [apiGroup],
  apiVersions: [version],
  resources: [resource],
});

/** Registers one webhook for the time of `body`, in a namespace of its own. */
async function withHook(
  kind: "mutating" | "validating",
  hooks: object | object[],
  body: (namespace: string) => Promise<void>,
): Promise<void> {
  const name = `t${asked.length}-${kind}-${Math.trunc(performance.now() * 1000)}`;
  await api.call("POST", "/api/v1/namespaces", { metadata: { name, labels: { hooked: name } } });
  const webhooks = [hooks].flat().map((hook) => ({
    name: "hook.example.com",
    clientConfig: { url: `https://127.0.0.1:${port}/hook`, caBundle },
    sideEffects: "None",
    admissionReviewVersions: ["v1"],
    rules: [rule("configmaps")],
    namespaceSelector: { matchLabels: { hooked: name } },
    ...hook,
  }));
  const path = `${group}/${kind}webhookconfigurations`;
  await api.call("POST", path, { metadata: { name }, webhooks });
  asked.length = 0;
  try {
    await body(name);
  } finally {
    await api.call("DELETE", `${path}/${name}`);
    answers.clear();
  }
}

const maps = (namespace: string) => `/api/v1/namespaces/${namespace}/configmaps`;
const make = (namespace: string, name = "c", more: object = {}) =>
  api.call("POST", maps(namespace), { metadata: { name }, data: { a: "1" }, ...more });
const patch = (operations: object[]) => ({
  allowed: true,
  patchType: "JSONPatch",
  patch: Buffer.from(JSON.stringify(operations)).toString("base64"),
});

async function message(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    const { code } = error as { code: number };
    return `${code} ${(error as Error).message}`.replace(new RegExp(`:${port}\\b`, "g"), ":PORT");
  }
  return "";
}

test("validating webhook: sees the whole request and refuses in its own words", async () => {
  await withHook("validating", {}, async (namespace) => {
    answers.set("/hook", () => ({ allowed: false, status: { message: "not today", code: 422, reason: "Invalid" } }));
    const refused = '422 admission webhook "hook.example.com" denied the request: not today';
    assert.equal(await message(make(namespace)), refused);
    const [{ review, timeout }] = asked as [(typeof asked)[0]];
    assert.equal(timeout, "10s");
    assert.equal(`${review.apiVersion} ${review.kind}`, "admission.k8s.io/v1 AdmissionReview");
    assert.deepEqual(review.request.kind, { group: "", version: "v1", kind: "ConfigMap" });
    assert.equal(review.request.operation, "CREATE");
    assert.equal(review.request.namespace, namespace);
    assert.equal(review.request.userInfo.username, "admin");
    assert.equal(review.request.object?.kind, "ConfigMap");
    assert.equal(review.request.oldObject, null);
    answers.set("/hook", () => ({ allowed: false }));
    const bare = '400 admission webhook "hook.example.com" denied the request without explanation';
    assert.equal(await message(make(namespace)), bare);
    answers.set("/hook", () => ({ allowed: true }));
    await make(namespace);
  });
});

test("validating webhook: deletions and updates come with the old object", async () => {
  const rules = [rule("configmaps", "DELETE"), rule("configmaps", "UPDATE")];
  await withHook("validating", { rules }, async (namespace) => {
    answers.set("/hook", ({ request }) => ({ allowed: request.operation !== "DELETE" }));
    await make(namespace);
    await api.call("PUT", `${maps(namespace)}/c`, { metadata: { name: "c" }, data: { a: "2" } });
    assert.match(await message(api.call("DELETE", `${maps(namespace)}/c`)), /denied the request without explanation/);
    assert.deepEqual(
      asked.map(({ review: { request } }) => [
        request.operation,
        request.name,
        Boolean(request.object),
        Boolean(request.oldObject),
      ]),
      [
        ["UPDATE", "c", true, true],
        ["DELETE", "c", false, true],
      ],
    );
  });
});

for (const [name, hook, answer, want] of [
  [
    "another uid",
    {},
    () => ({ uid: "x", allowed: true }),
    /received invalid webhook response: expected response\.uid="[0-9a-f-]+", got "x"$/,
  ],
  [
    "a patch from one that only validates",
    {},
    () => patch([]),
    /received invalid webhook response: validating webhook may not return response\.patch$/,
  ],
  [
    "an error of its server",
    {},
    () => ({ raw: "broken", status: 500 }),
    /failed to call webhook: an error on the server \("broken"\) has prevented the request from succeeding$/,
  ],
  [
    "no answer in time",
    { timeoutSeconds: 1 },
    () => undefined,
    /failed to call webhook: Post "https:\/\/127\.0\.0\.1:PORT\/hook\?timeout=1s": context deadline exceeded$/,
  ],
  [
    "nobody there",
    { clientConfig: { url: "https://127.0.0.1:1/hook" } },
    () => undefined,
    /Post "https:\/\/127\.0\.0\.1:1\/hook\?timeout=10s": dial tcp 127\.0\.0\.1:1: connect: connection refused$/,
  ],
  [
    "a Service that isn't there",
    { clientConfig: { service: { name: "none", namespace: "ns", path: "/x" } } },
    () => undefined,
    /Post "https:\/\/none\.ns\.svc:443\/x\?timeout=10s": service "none" not found$/,
  ],
] as const)
  test(`webhook call: ${name}, by failure policy`, async () => {
    await withHook("validating", { ...hook, failurePolicy: "Fail" }, async (namespace) => {
      answers.set("/hook", answer);
      const text = await message(make(namespace));
      assert.match(text, /^500 Internal error occurred: failed calling webhook "hook\.example\.com": /);
      assert.match(text, want);
    });
    await withHook("validating", { ...hook, failurePolicy: "Ignore" }, async (namespace) => {
      answers.set("/hook", answer);
      await make(namespace);
    });
  });

test("webhook call: an authority that nobody knows", async () => {
  const clientConfig = () => ({ url: `https://127.0.0.1:${port}/hook` });
  await withHook("validating", { clientConfig: clientConfig() }, async (namespace) => {
    assert.match(await message(make(namespace)), /x509: certificate signed by unknown authority$/);
  });
});

test("webhook: asked only about what its selectors pick, never about dry runs it can't undo", async () => {
  const objectSelector = { matchExpressions: [{ key: "skip", operator: "DoesNotExist" }] };
  await withHook("validating", { objectSelector, sideEffects: "None" }, async (namespace) => {
    answers.set("/hook", () => ({ allowed: false }));
    await api.call("POST", maps(namespace), { metadata: { name: "s", labels: { skip: "" } } });
    await api.call("POST", maps("default"), { metadata: { name: `o-${namespace}` } });
    await api.call("POST", `/api/v1/namespaces/${namespace}/secrets`, { metadata: { name: "s" } });
    assert.equal(asked.length, 0);
  });
});

test("webhook: with the policy Equivalent it gets the version it knows", async () => {
  const rules = [rule("horizontalpodautoscalers", "CREATE", "autoscaling", "v1")];
  const body = {
    metadata: { name: "h" },
    spec: { scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "d" }, maxReplicas: 3 },
  };
  const create = (namespace: string) =>
    api.call("POST", `/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers`, body);
  await withHook("mutating", { rules }, async (namespace) => {
    answers.set("/hook", () => patch([{ op: "add", path: "/spec/targetCPUUtilizationPercentage", value: 42 }]));
    const made = await create(namespace);
    const [{ review }] = asked as [(typeof asked)[0]];
    assert.equal(review.request.object?.apiVersion, "autoscaling/v1");
    assert.equal(review.request.requestResource.version, "v2");
    assert.match(JSON.stringify(made.spec), /"averageUtilization":42/);
  });
  await withHook("mutating", { rules, matchPolicy: "Exact" }, async (namespace) => {
    await create(namespace);
    assert.equal(asked.length, 0);
  });
});

test("mutating webhook: its patch is applied, then defaults and everything behind it see the result", async () => {
  const rules = [rule("pods")];
  await withHook("mutating", { rules }, async (namespace) => {
    const containers = [{ name: "side", image: "side:1" }];
    answers.set("/hook", () => patch([{ op: "add", path: "/spec/containers/-", value: containers[0] }]));
    await api.call("POST", `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name: "default" } });
    const pod = await api.call("POST", `/api/v1/namespaces/${namespace}/pods`, {
      metadata: { name: "p" },
      spec: { containers: [{ name: "main", image: "main:1" }] },
    });
    const [, side] = pod.spec.containers as { imagePullPolicy: string; volumeMounts: { mountPath: string }[] }[];
    assert.equal(side?.imagePullPolicy, "IfNotPresent");
    // The service account plugin ran again.
    assert.deepEqual(
      side?.volumeMounts.map(({ mountPath }) => mountPath),
      ["/var/run/secrets/kubernetes.io/serviceaccount"],
    );
  });
});

test("mutating webhooks: one after the other; those that want it are asked again after a change behind them", async () => {
  const hook = (name: string, more: object = {}) => ({
    name: `${name}.example.com`,
    clientConfig: { url: `https://127.0.0.1:${port}/${name}`, caBundle },
    ...more,
  });
  const hooks = [hook("first", { reinvocationPolicy: "IfNeeded" }), hook("second"), hook("third")];
  await withHook("mutating", hooks, async (namespace) => {
    answers.set("/first", () => ({ allowed: true }));
    answers.set("/second", () => patch([{ op: "add", path: "/data/b", value: "2" }]));
    answers.set("/third", ({ request }) =>
      patch([{ op: "add", path: "/data/c", value: JSON.stringify((request.object as { data?: object }).data) }]),
    );
    const made = await make(namespace);
    assert.deepEqual(made.data, { a: "1", b: "2", c: '{"a":"1","b":"2"}' });
    assert.deepEqual(
      asked.map(({ path }) => path),
      ["/first", "/second", "/third", "/first"],
    );
  });
});

test("mutating webhook: a patch that doesn't fit is an internal error whatever the policy", async () => {
  await withHook("mutating", { failurePolicy: "Ignore" }, async (namespace) => {
    answers.set("/hook", () => patch([{ op: "remove", path: "/data/none" }]));
    assert.match(await message(make(namespace)), /^500 Internal error occurred: /);
    answers.set("/hook", () => patch([{ op: "replace", path: "/data", value: "text" }]));
    assert.match(await message(make(namespace)), /^500 Internal error occurred: /);
  });
});

test("webhook: match conditions are asked first, those that can't be evaluated refuse; old reviews", async () => {
  const condition = (expression: string) => ({ matchConditions: [{ name: "c", expression }] });
  await withHook("validating", condition("object.nope == 1"), async (namespace) => {
    assert.match(await message(make(namespace)), /^403 .*resulted in error: no such key: nope/);
    assert.equal(asked.length, 0);
  });
  await withHook("validating", condition("request.operation == 'DELETE'"), async (namespace) => {
    await make(namespace);
    assert.equal(asked.length, 0);
  });
  await withHook("validating", { admissionReviewVersions: ["v1beta1"] }, async (namespace) => {
    answers.set("/hook", () => ({ allowed: true, uid: "any" }));
    await make(namespace);
    assert.equal(asked[0]?.review.apiVersion, "admission.k8s.io/v1beta1");
  });
});

test("webhook: configurations of webhooks are never sent", async () => {
  const rules = [rule("*", "*", "*", "*")];
  const selector = { namespaceSelector: {} };
  await withHook("validating", { rules, ...selector }, async (namespace) => {
    answers.set("/hook", () => ({ allowed: false }));
    await api.call("GET", `${group}/validatingwebhookconfigurations/${namespace}`);
    const path = `${group}/validatingwebhookconfigurations/${namespace}`;
    await api.call(
      "PATCH",
      path,
      { metadata: { labels: { a: "b" } } },
      { contentType: "application/merge-patch+json" },
    );
    assert.equal(asked.length, 0);
    assert.match(await message(make("default", "never")), /denied/);
  });
});

test("webhook: connections come with their options", async () => {
  await withHook("validating", { rules: [rule("pods/attach", "CONNECT")] }, async (namespace) => {
    answers.set("/hook", () => ({ allowed: false }));
    const path = `/api/v1/namespaces/${namespace}/pods/p/attach`;
    assert.match(
      await message(api.call("POST", path, undefined, { query: { stdin: "true", container: "c" } })),
      /denied the request without explanation/,
    );
    const [{ review }] = asked as [(typeof asked)[0]];
    assert.deepEqual(review.request.kind, { group: "", version: "v1", kind: "PodAttachOptions" });
    assert.equal(
      `${review.request.operation} ${review.request.subResource} ${review.request.name}`,
      "CONNECT attach p",
    );
    assert.deepEqual(review.request.object, {
      kind: "PodAttachOptions",
      apiVersion: "v1",
      stdin: true,
      container: "c",
    });
  });
});

test("webhook: subresources come as their own bodies, and a Scale's replicas can be changed", async () => {
  const rules = [rule("deployments/scale", "UPDATE", "apps"), rule("pods/binding")];
  await withHook("mutating", { rules }, async (namespace) => {
    const labels = { app: "d" };
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments`;
    const template = { metadata: { labels }, spec: { containers: [{ name: "c", image: "i" }] } };
    await api.call("POST", path, { metadata: { name: "d" }, spec: { selector: { matchLabels: labels }, template } });
    answers.set("/hook", () => patch([{ op: "replace", path: "/spec/replicas", value: 7 }]));
    const merge = { contentType: "application/merge-patch+json" };
    await api.call("PATCH", `${path}/d/scale`, { spec: { replicas: 3 } }, merge);
    assert.equal((await api.call("GET", `${path}/d`)).spec.replicas, 7);
    const [{ review }] = asked as [(typeof asked)[0]];
    assert.deepEqual(review.request.kind, { group: "autoscaling", version: "v1", kind: "Scale" });
    assert.deepEqual((review.request.object as { spec?: object }).spec, { replicas: 3 });
    answers.set("/hook", () => ({ allowed: false }));
    const binding = { metadata: { name: "p" }, target: { kind: "Node", name: "n" } };
    const bind = api.call("POST", `/api/v1/namespaces/${namespace}/pods/p/binding`, binding);
    assert.match(await message(bind), /denied the request without explanation/);
    assert.equal(asked[1]?.review.request.kind.kind, "Binding");
  });
});
