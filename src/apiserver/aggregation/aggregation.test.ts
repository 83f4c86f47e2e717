import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request as httpsRequest } from "node:https";
import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import type { RequestUser } from "#api";
import { createAuthority, issueCertificate } from "../security/certificates.ts";
import { startTestServer, testCertificate, type TestObject, type TestServer } from "../test-server.ts";
import { type ProxyTrust, type SampleServer, startSampleServer } from "./testing.ts";

const apiServices = "/apis/apiregistration.k8s.io/v1/apiservices";
const group = "sample.example.com";
const name = `v1.${group}`;
const things = `/apis/${group}/v1/namespaces/default/things`;

const users: Readonly<Record<string, RequestUser>> = {
  admin: { name: "admin", uid: "1", groups: ["system:masters", "system:authenticated"], extra: {} },
  odd: { name: "jürgen", uid: "", groups: ["a", "b"], extra: { "example.com/x%y": ["1", "2"] } },
};

let api: TestServer;
let port: number;
let sample: SampleServer;
const agent = new Agent({ rejectUnauthorized: false, keepAlive: true });

before(async () => {
  const now = Date.now();
  const authority = await createAuthority("front-proxy-ca", { now, validDays: 1 });
  const usages = ["client"] as const;
  const frontProxy = await issueCertificate(authority, { commonName: "front-proxy-client", usages, validDays: 1, now });
  api = await startTestServer({
    tls: await testCertificate(),
    frontProxy,
    authenticator: { authenticate: ({ headers }) => users[headers.authorization?.slice("Bearer ".length) ?? ""] },
  });
  ({ port } = await api.server.listen({ host: "127.0.0.1", port: 0 }));
  // What extension servers read. The names are the flags' defaults.
  const trust: ProxyTrust = {
    "requestheader-client-ca-file": authority.certificate,
    "requestheader-allowed-names": '["front-proxy-client"]',
    "requestheader-username-headers": '["X-Remote-User"]',
    "requestheader-uid-headers": '["X-Remote-Uid"]',
    "requestheader-group-headers": '["X-Remote-Group"]',
    "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
  };
  const configMaps = "/api/v1/namespaces/kube-system/configmaps";
  const metadata = { name: "extension-apiserver-authentication" };
  await api.call("POST", configMaps, { metadata, data: { ...trust } });
  const { data } = await api.call("GET", `${configMaps}/${metadata.name}`);
  sample = await startSampleServer({ trust: data as unknown as ProxyTrust, serviceName: "sample.default.svc" });
  await serve("sample", sample);
});

after(async () => {
  agent.destroy();
  await api.close();
  await sample.close();
});

/** A Service that leads to this machine, and its API service. */
async function serve(service: string, { authority, port: at }: SampleServer, more: object = {}): Promise<TestObject> {
  // Cluster addresses lead nowhere here; a name goes the same way in the server.
  const spec = { type: "ExternalName", externalName: "localhost" };
  await api.call("POST", "/api/v1/namespaces/default/services", { metadata: { name: service }, spec });
  return api.call("POST", apiServices, {
    metadata: { name },
    spec: {
      group,
      version: "v1",
      groupPriorityMinimum: 500,
      versionPriority: 10,
      service: { namespace: "default", name: service, port: at },
      caBundle: Buffer.from(authority).toString("base64"),
      ...more,
    },
  });
}

interface Condition {
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

const conditionOf = ({ status }: TestObject) =>
  (status.conditions as Condition[] | undefined)?.find((each) => "type" in each && each.type === "Available");

/** Resolves with the condition of this reason, whenever it comes. */
async function becomes(reason: string, why = /./): Promise<Condition | undefined> {
  const stop = new AbortController();
  let found: Condition | undefined;
  const look = (object: TestObject) => {
    const condition = conditionOf(object);
    if (condition?.reason !== reason || !why.test(condition.message) || stop.signal.aborted) return;
    found = condition;
    stop.abort();
  };
  const query = { fieldSelector: `metadata.name=${name}` };
  await api.transport.watch({ method: "GET", path: apiServices, query, signal: stop.signal }, ({ object }) =>
    look(object as TestObject),
  );
  return found;
}

interface Asking {
  readonly method?: string;
  readonly as?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

function ask(
  path: string,
  { method = "GET", as = "admin", headers = {}, body }: Asking = {},
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const all = { authorization: `Bearer ${as}`, ...headers };
    httpsRequest({ host: "127.0.0.1", port, path, method, agent, headers: all }, resolve).on("error", reject).end(body);
  });
}

const json = async (path: string, asking?: Asking) => JSON.parse(await text(await ask(path, asking)));

// conformance: [sig-api-machinery] Aggregator Should be able to support the 1.17 Sample API Server using the current Aggregator [Conformance]
test("aggregation: an extension server becomes available, and its resources are created, listed and removed through this one", async () => {
  assert.equal((await becomes("Passed"))?.message, "all checks passed");
  const created = await json(things, { method: "POST", body: '{"metadata":{"name":"one"}}' });
  assert.equal(created.metadata.resourceVersion, "1");
  const list = await json(things);
  assert.deepEqual([list.kind, list.items.length], ["ThingList", 1]);
  assert.equal((await ask(`${things}/one`, { method: "DELETE" })).statusCode, 200);
  const gone = await ask(`${things}/one`);
  assert.equal(gone.statusCode, 404);
  assert.match(await text(gone), /things.sample.example.com \\"one\\" not found/);
});

test("aggregation: who asks is told in headers, nothing else that could be taken for proof", async () => {
  sample.seen.length = 0;
  const headers = { "x-remote-user": "root", "x-remote-group": "system:masters", "x-remote-extra-scope": "all" };
  const answer = await ask(`${things}?limit=1&labelSelector=a%3Db`, {
    as: "odd",
    headers: { ...headers, "audit-id": "42" },
  });
  assert.equal(answer.statusCode, 200);
  await text(answer);
  const [seen] = sample.seen;
  assert.deepEqual([seen?.user, seen?.uid, seen?.groups], ["jürgen", "", ["a", "b"]]);
  assert.deepEqual(seen?.extra, { "example.com%2fx%25y": "1, 2" });
  assert.equal(seen?.url, `${things}?labelSelector=a%3Db&limit=1`);
  assert.equal(seen?.headers.authorization, undefined);
  assert.equal(seen?.headers["audit-id"], "42");
  assert.match(seen?.headers["x-forwarded-for"] as string, /127.0.0.1/);
  assert.equal(answer.headers["audit-id"], "42");
});

test("aggregation: a watch streams, and ends on the other side when the client goes", async () => {
  const watch = await ask(`${things}?watch=true`);
  assert.equal(watch.statusCode, 200);
  assert.equal(watch.headers["access-control-allow-origin"], undefined);
  await json(things, { method: "POST", body: '{"metadata":{"name":"two"}}' });
  const [event] = await once(watch, "data");
  assert.equal(JSON.parse(String(event)).object.metadata.name, "two");
  watch.destroy();
});

test("aggregation: parts in this process ask and watch the same way", async () => {
  const stop = new AbortController();
  const names: (string | undefined)[] = [];
  const watching = api.transport.watch({ method: "GET", path: things, signal: stop.signal }, ({ object }) => {
    names.push((object as TestObject).metadata.name);
    stop.abort();
  });
  // It is there when the extension server has it.
  while (!sample.seen.some(({ url }) => url.includes("watch=true") && url.includes("things")))
    await new Promise((resolve) => setImmediate(resolve));
  await api.call("POST", things, { metadata: { name: "three" } });
  await watching;
  assert.deepEqual(names, ["three"]);
  assert.equal((await api.call("GET", `${things}/three`)).metadata.name, "three");
  await assert.rejects(api.call("GET", `${things}/none`), { code: 404 });
});

test("aggregation: upgrades go through", async () => {
  const webSocket = new WebSocket(`wss://127.0.0.1:${port}${things}/two/echo`, {
    rejectUnauthorized: false,
    headers: { authorization: "Bearer odd" },
  });
  await once(webSocket, "open");
  webSocket.send("hello");
  const [message] = await once(webSocket, "message");
  assert.equal(String(message), "jürgen: hello");
  webSocket.close();
  await once(webSocket, "close");
  const refused = new WebSocket(`wss://127.0.0.1:${port}${things}/two`, {
    rejectUnauthorized: false,
    headers: { authorization: "Bearer odd" },
  });
  const [error] = await once(refused, "error");
  assert.match(error.message, /403/);
});

test("aggregation: redirects aren't followed nor passed on", async () => {
  const answer = await ask(`${things}/two/away`);
  assert.equal(answer.statusCode, 502);
  assert.equal(answer.headers.location, undefined);
  assert.equal(await text(answer), "the backend attempted to redirect this request, which is not permitted");
});

test("aggregation: the group is listed, after those of higher priority, and discovered with its resources", async () => {
  const { groups } = await json("/apis");
  assert.deepEqual(groups[0].name, "apiregistration.k8s.io");
  const version = { groupVersion: `${group}/v1`, version: "v1" };
  assert.deepEqual(groups.at(-1), { name: group, versions: [version], preferredVersion: version });
  assert.deepEqual((await json(`/apis/${group}`)).preferredVersion, version);
  assert.equal((await json(`/apis/${group}/v1`)).resources[0].name, "things");
  const { paths } = await json("/");
  assert.ok(paths.includes(`/apis/${group}`) && paths.includes(`/apis/${group}/v1`));
});

const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/** What the aggregated document says of the group. */
async function discovered(freshness?: string) {
  for (;;) {
    const { items } = await json("/apis", { headers: { accept } });
    const found = items.find(({ metadata }: TestObject) => metadata.name === group)?.versions[0];
    if (freshness === undefined || found?.freshness === freshness) return found;
  }
}

test("aggregation: the aggregated document has what the extension server says of itself", async () => {
  const [thing] = (await discovered("Current")).resources;
  assert.equal(thing.resource, "things");
  // Old clients can't do without.
  assert.deepEqual(thing.subresources[0].responseKind, { group: "", version: "", kind: "" });
  const { headers } = await ask("/apis", { headers: { accept } });
  assert.equal(headers["cache-control"], "public");
  const again = await ask("/apis", { headers: { accept, "if-none-match": headers.etag ?? "" } });
  assert.equal(again.statusCode, 304);
});

/** What is fetched from extension servers comes a moment after they are available. */
async function published(path: string): Promise<string> {
  for (;;) {
    const { paths } = await json("/openapi/v3");
    if (paths[path]) return paths[path].serverRelativeURL;
  }
}

test("aggregation: OpenAPI of both servers is one document, and version 3 comes from who serves it", async () => {
  assert.equal(await published(`apis/${group}/v1`), `/openapi/v3/apis/${group}/v1?hash=1`);
  const { paths, definitions } = await json("/openapi/v2");
  assert.ok(paths[`/apis/${group}/v1/namespaces/{namespace}/things`]);
  assert.ok(paths["/api/v1/namespaces/{namespace}/pods"]);
  const thing = definitions["com.example.sample.v1.Thing"];
  const metadata = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
  assert.deepEqual(thing.properties.metadata, { $ref: `#/definitions/${metadata}_v2` });
  assert.equal(definitions[`${metadata}_v2`].description, "of another release");
  assert.ok(definitions[metadata].properties.name);
  assert.equal(definitions["only.for.Version"], undefined);
  sample.seen.length = 0;
  const document = await json(`/openapi/v3/apis/${group}/v1?hash=1`, { as: "odd" });
  assert.ok(document.components.schemas["com.example.sample.v1.Thing"]);
  assert.equal(sample.seen[0]?.user, "jürgen");
});

test("aggregation: who stops to answer is unavailable, stale, and no longer asked", async () => {
  sample.broken = true;
  // Looked at again at once when anything about it changes.
  const merge = { contentType: "application/merge-patch+json" };
  await api.call("PATCH", `${apiServices}/${name}`, { metadata: { labels: { touched: "yes" } } }, merge);
  const condition = await becomes("FailedDiscoveryCheck");
  const url = `https://localhost:${sample.port}/apis/${group}/v1`;
  assert.equal(condition?.message, `failing or missing response from ${url}: bad status from ${url}: 500`);
  const answer = await ask(things);
  assert.equal(answer.statusCode, 503);
  assert.equal(answer.headers["content-type"], "text/plain; charset=utf-8");
  assert.equal(await text(answer), "service unavailable\n");
  assert.equal((await ask(`/apis/${group}/v1`)).statusCode, 503);
  assert.equal((await ask(`/apis/${group}`)).statusCode, 200);
  assert.deepEqual(await discovered("Stale"), { version: "v1", freshness: "Stale" });
  const metrics = await text(await ask("/metrics"));
  assert.match(metrics, new RegExp(`aggregator_unavailable_apiservice{name="${name}"} 1\n`));
  assert.match(metrics, /aggregator_unavailable_apiservice_total{name="[^"]+",reason="FailedDiscoveryCheck"} 1\n/);
  sample.broken = false;
  assert.equal((await becomes("Passed"))?.status, "True");
  assert.equal((await ask(things)).statusCode, 200);
});

test("aggregation: a certificate for another name, an unknown authority, a bundle that is none", async () => {
  const caBundle = Buffer.from(sample.authority).toString("base64");
  const patch = (spec: object) =>
    api.call("PATCH", `${apiServices}/${name}`, { spec }, { contentType: "application/merge-patch+json" });
  const says = async (why: RegExp) => assert.ok(await becomes("FailedDiscoveryCheck", why));
  const authority = await createAuthority("another", { now: Date.now(), validDays: 1 });
  await patch({ caBundle: Buffer.from(authority.certificate).toString("base64") });
  await says(/Get "https:.*": tls: failed to verify certificate: x509: certificate signed by unknown authority$/);
  const spec = { type: "ExternalName", externalName: "localhost" };
  await api.call("POST", "/api/v1/namespaces/default/services", { metadata: { name: "other" }, spec });
  await patch({ caBundle, service: { name: "other" } });
  await says(/x509: certificate is valid for sample.default.svc, not other.default.svc$/);
  await patch({ caBundle: null, insecureSkipTLSVerify: true });
  assert.ok(await becomes("Passed"));
  await patch({ caBundle: Buffer.from("none").toString("base64"), insecureSkipTLSVerify: null });
  const answer = await ask(things);
  assert.equal(answer.statusCode, 500);
  assert.equal(await text(answer), "unable to load root certificates: unable to parse bytes as PEM block\n");
  await patch({ caBundle, service: { name: "sample" } });
  assert.ok(await becomes("Passed"));
  assert.equal((await ask(things)).statusCode, 200);
});

test("aggregation: without its Service it is unavailable, with it again available", async () => {
  await api.call("DELETE", "/api/v1/namespaces/default/services/sample");
  const condition = await becomes("ServiceNotFound");
  assert.equal(condition?.message, 'service/sample in "default" is not present');
  const spec = { type: "ExternalName", externalName: "localhost" };
  await api.call("POST", "/api/v1/namespaces/default/services", { metadata: { name: "sample" }, spec });
  assert.ok(await becomes("Passed"));
});

test("aggregation: an extension server that can't be reached", async () => {
  const closed = await startSampleServer({ trust: {} as ProxyTrust, serviceName: "sample.default.svc" });
  await closed.close();
  const patch = (servicePort: number) =>
    api.call(
      "PATCH",
      `${apiServices}/${name}`,
      { spec: { service: { port: servicePort } } },
      { contentType: "application/merge-patch+json" },
    );
  await patch(closed.port);
  assert.ok(await becomes("FailedDiscoveryCheck", /connect: connection refused$/));
  await patch(sample.port);
  assert.ok(await becomes("Passed"));
});

test("aggregation: when the API service goes so does its group; a local one shows a group that nobody serves", async () => {
  await api.call("DELETE", `${apiServices}/${name}`);
  assert.equal((await ask(things)).statusCode, 404);
  assert.equal((await ask(`/apis/${group}`)).statusCode, 404);
  assert.equal(await discovered(), undefined);
  const { paths } = await json("/openapi/v2");
  assert.equal(paths[`/apis/${group}/v1/namespaces/{namespace}/things`], undefined);
  const spec = { group, version: "v1", groupPriorityMinimum: 500, versionPriority: 10 };
  const local = await api.call("POST", apiServices, { metadata: { name }, spec });
  assert.equal(conditionOf(local)?.reason, "Local");
  assert.equal((await ask(`/apis/${group}`)).statusCode, 200);
  assert.equal((await ask(things)).statusCode, 404);
  await api.call("DELETE", `${apiServices}/${name}`);
});

test("aggregation: an extension server of old: one list for each version, OpenAPI converted", async () => {
  const { data } = await api.call(
    "GET",
    "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication",
  );
  const serviceName = "old.default.svc";
  const older = await startSampleServer({ trust: data as unknown as ProxyTrust, serviceName, old: true });
  try {
    await serve("old", older);
    await becomes("Passed");
    const [thing] = (await discovered("Current")).resources;
    assert.deepEqual(thing.subresources, [
      { subresource: "echo", responseKind: { group: "", version: "", kind: "" }, verbs: ["get"] },
    ]);
    const url = await published(`apis/${group}/v1`);
    assert.match(url, /^\/openapi\/v3\/apis\/sample.example.com\/v1\?hash=/);
    const document = await json(url);
    const { metadata } = document.components.schemas["com.example.sample.v1.Thing"].properties;
    assert.deepEqual(metadata, { $ref: "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" });
    const operation = document.paths[`/apis/${group}/v1/namespaces/{namespace}/things`].get;
    assert.deepEqual(operation.responses[200].description, "OK");
  } finally {
    await api.call("DELETE", `${apiServices}/${name}`);
    await older.close();
  }
});
