import assert from "node:assert/strict";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { after, afterEach, before, beforeEach, test } from "node:test";
import type { KubernetesObject, WatchEvent } from "#machinery";
import { createAuthority, issueCertificate } from "../security/certificates.ts";
import { startTestServer, type TestObject, type TestServer } from "../test-server.ts";

interface Review {
  kind: string;
  apiVersion: string;
  request: { uid: string; desiredAPIVersion: string; objects: Task[] };
}

/** v1 says `address: "host:port"`, v2 `host` and `port`. */
interface Task extends KubernetesObject {
  metadata: NonNullable<KubernetesObject["metadata"]>;
  spec: { address?: string; host?: string; port?: string };
}

type Behaviour = (review: Review, converted: Task[]) => object | string | Promise<object>;

const honest: Behaviour = ({ kind, apiVersion, request }, convertedObjects) => ({
  kind,
  apiVersion,
  response: { uid: request.uid, result: { status: "Success" }, convertedObjects },
});

let api: TestServer;
let server: Server;
let caBundle = "";
let port = 0;
let behaviour = honest;
let reviews: Review[] = [];

before(async () => {
  const now = Date.now();
  const authority = await createAuthority("hooks", { now, validDays: 1 });
  const leaf = await issueCertificate(authority, {
    commonName: "converter",
    usages: ["server"],
    ipAddresses: ["127.0.0.1"],
    dnsNames: ["converter.default.svc"],
    validDays: 1,
    now,
  });
  caBundle = Buffer.from(authority.certificate).toString("base64");
  server = createServer({ cert: leaf.certificate, key: leaf.key }, async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
    const review = JSON.parse(Buffer.concat(pieces).toString("utf8")) as Review;
    reviews.push(review);
    const { desiredAPIVersion, objects } = review.request;
    const answer = await behaviour(
      review,
      objects.map((object) => convert(structuredClone(object), desiredAPIVersion)),
    );
    response.end(typeof answer === "string" ? answer : JSON.stringify(answer));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  port = (server.address() as AddressInfo).port;
});
after(async () => {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
});
beforeEach(async () => {
  behaviour = honest;
  reviews = [];
  api = await startTestServer();
});
afterEach(() => api.close());

function convert(task: Task, apiVersion: string): Task {
  const { address = "", host = "", port: number = "" } = task.spec;
  const [first = "", second = ""] = address.split(":");
  const spec = apiVersion.endsWith("/v2") ? { host: first, port: second } : { address: `${host}:${number}` };
  return { ...task, apiVersion, spec };
}

const string = { type: "string" };
const schema = (properties: object) => ({
  openAPIV3Schema: {
    type: "object",
    properties: { spec: { type: "object", properties }, status: { type: "object", properties: { ready: string } } },
  },
});
const versions = [
  {
    name: "v1",
    served: true,
    storage: true,
    schema: schema({ address: string }),
    subresources: { status: {} },
    selectableFields: [{ jsonPath: ".spec.address" }],
  },
  {
    name: "v2",
    served: true,
    storage: false,
    schema: schema({ host: string, port: string }),
    subresources: { status: {} },
    selectableFields: [{ jsonPath: ".spec.host" }],
    additionalPrinterColumns: [{ name: "Host", type: "string", jsonPath: ".spec.host" }],
  },
];

const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const path = (version: string) => `/apis/shop.example.com/${version}/namespaces/default/tasks`;

async function define(more: { review?: string; client?: object } = {}): Promise<void> {
  const { review = "v1", client = { url: `https://127.0.0.1:${port}/convert` } } = more;
  await api.call("POST", definitions, {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "tasks.shop.example.com" },
    spec: {
      group: "shop.example.com",
      scope: "Namespaced",
      names: { plural: "tasks", kind: "Task" },
      versions,
      conversion: {
        strategy: "Webhook",
        webhook: { clientConfig: { caBundle, ...client }, conversionReviewVersions: ["v9", review] },
      },
    },
  });
  await api.call("GET", path("v1"));
}

const task = (name: string, version = "v1", spec: object = { address: "localhost:80" }): object => ({
  apiVersion: `shop.example.com/${version}`,
  kind: "Task",
  metadata: { name },
  spec,
});

const fails = (call: Promise<unknown>, code: number, message: RegExp | string) =>
  assert.rejects(call, (error: Error & { code: number }) => {
    if (typeof message === "string") assert.equal(error.message, message);
    else assert.match(error.message, message);
    assert.equal(error.code, code);
    return true;
  });

/** As it stands in the store. */
async function stored(name: string): Promise<Task> {
  const { items } = await api.store.range({ start: `/registry/shop.example.com/tasks/default/${name}` });
  return JSON.parse(Buffer.from(items[0]?.value ?? "").toString("utf8"));
}

// conformance: CustomResourceConversionWebhook should be able to convert from CR v1 to CR v2
test("conversion: an object is read, changed and deleted in a version that isn't stored", async () => {
  await define();
  await api.call("POST", path("v1"), task("one"));
  assert.equal(reviews.length, 0, "nothing to convert");
  const read = await api.call("GET", `${path("v2")}/one`);
  assert.deepEqual([read.apiVersion, read.spec], ["shop.example.com/v2", { host: "localhost", port: "80" }]);
  assert.equal(reviews[0]?.request.desiredAPIVersion, "shop.example.com/v2");
  assert.equal(reviews[0]?.apiVersion, "apiextensions.k8s.io/v1");

  const merge = { contentType: "application/merge-patch+json" };
  const patched = await api.call("PATCH", `${path("v2")}/one`, { spec: { port: "81" } }, merge);
  assert.deepEqual(patched.spec, { host: "localhost", port: "81" });
  assert.deepEqual((await stored("one")).spec, { address: "localhost:81" });
  assert.equal((await stored("one")).apiVersion, "shop.example.com/v1");

  await api.call("PUT", `${path("v2")}/one`, { ...patched, spec: { host: "elsewhere", port: "82" } });
  const status = await api.call("PATCH", `${path("v2")}/one/status`, { status: { ready: "yes" } }, merge);
  assert.deepEqual(status.status, { ready: "yes" });
  const seen = await api.call("GET", `${path("v1")}/one`);
  assert.deepEqual([seen.spec, seen.status], [{ address: "elsewhere:82" }, { ready: "yes" }]);

  await api.call("POST", path("v2"), task("two", "v2", { host: "b", port: "2" }));
  assert.deepEqual((await stored("two")).spec, { address: "b:2" });
  await api.call("DELETE", `${path("v2")}/two`);
  await api.call("DELETE", path("v2"));
  assert.equal((await api.call("GET", path("v1"))).items.length, 0);
});

// conformance: CustomResourceConversionWebhook should be able to convert a non homogeneous list of CRs
test("conversion: what is stored in several versions is listed in each, together", async () => {
  await define();
  await api.call("POST", path("v1"), task("one"));
  const merge = { contentType: "application/merge-patch+json" };
  const turned = versions.map((version) => ({ ...version, storage: version.name === "v2" }));
  await api.call("PATCH", `${definitions}/tasks.shop.example.com`, { spec: { versions: turned } }, merge);
  await api.call("POST", path("v2"), task("two", "v2", { host: "b", port: "2" }));
  assert.deepEqual(
    [(await stored("one")).apiVersion, (await stored("two")).apiVersion],
    ["shop.example.com/v1", "shop.example.com/v2"],
  );
  const v1 = await api.call("GET", path("v1"));
  assert.deepEqual(
    v1.items.map(({ spec }) => spec),
    [{ address: "localhost:80" }, { address: "b:2" }],
  );
  const v2 = await api.call("GET", path("v2"));
  assert.deepEqual(
    v2.items.map(({ spec }) => spec),
    [
      { host: "localhost", port: "80" },
      { host: "b", port: "2" },
    ],
  );
  // A write that changes nothing stores it anew.
  await api.call("PUT", `${path("v1")}/one`, v1.items[0]);
  assert.equal((await stored("one")).apiVersion, "shop.example.com/v2");
});

test("conversion: lists are converted in few questions, and once", async () => {
  await define();
  for (let i = 100; i < 250; i++) await api.call("POST", path("v1"), task(`t${i}`, "v1", { address: `h${i}:1` }));
  reviews = [];
  const page = await api.call("GET", path("v2"), undefined, { query: { limit: 10 } });
  assert.equal(page.items.length, 10);
  assert.deepEqual(
    reviews.map(({ request }) => request.objects.length),
    [100, 50],
  );
  const rest = await api.call("GET", path("v2"), undefined, {
    query: { limit: 200, continue: page.metadata.continue ?? "" },
  });
  assert.equal(rest.items.length, 140);
  const selected = await api.call("GET", path("v2"), undefined, { query: { fieldSelector: "spec.host=h111" } });
  assert.deepEqual(
    selected.items.map(({ metadata }) => metadata.name),
    ["t111"],
  );
  assert.equal(reviews.length, 2);
  await fails(
    api.call("GET", path("v2"), undefined, { query: { fieldSelector: "spec.address=h111:1" } }),
    400,
    /field label not supported: spec.address/,
  );
});

test("conversion: a watch sees every change, in order, in its own version", async () => {
  await define();
  await api.call("POST", path("v1"), task("one"));
  const { resourceVersion = "" } = (await api.call("GET", path("v1"))).metadata;
  const events: WatchEvent[] = [];
  const stop = new AbortController();
  let wake = (): void => undefined;
  const watching = api.transport.watch(
    { method: "GET", path: path("v2"), query: { fieldSelector: "spec.host=a", resourceVersion }, signal: stop.signal },
    (event) => {
      events.push(event);
      wake();
    },
  );
  const merge = { contentType: "application/merge-patch+json" };
  await api.call("PATCH", `${path("v1")}/one`, { spec: { address: "a:1" } }, merge);
  await api.call("PATCH", `${path("v1")}/one`, { spec: { address: "a:2" } }, merge);
  await api.call("PATCH", `${path("v1")}/one`, { spec: { address: "b:3" } }, merge);
  while (events.length < 3) await new Promise<void>((resolve) => (wake = resolve));
  stop.abort();
  await watching;
  assert.deepEqual(
    events.map(({ type, object }) => [type, (object as Task).apiVersion, (object as Task).spec.port]),
    [
      ["ADDED", "shop.example.com/v2", "1"],
      ["MODIFIED", "shop.example.com/v2", "2"],
      // What went out of sight shows how it last looked.
      ["DELETED", "shop.example.com/v2", "2"],
    ],
  );
  // And again from where it was.
  const [first] = events;
  const replayed: WatchEvent[] = [];
  const again = new AbortController();
  const resumed = api.transport.watch(
    {
      method: "GET",
      path: path("v2"),
      query: { resourceVersion: (first!.object as Task).metadata.resourceVersion ?? "" }, // there are three
      signal: again.signal,
    },
    (event) => {
      replayed.push(event);
      wake();
    },
  );
  while (replayed.length < 2) await new Promise<void>((resolve) => (wake = resolve));
  again.abort();
  await resumed;
  assert.deepEqual(
    replayed.map(({ object }) => (object as Task).spec.port),
    ["2", "3"],
  );
});

test("conversion: owners of fields are found in each version", async () => {
  await define();
  const apply = (version: string, manager: string, spec: object, force = false) =>
    api.call("PATCH", `${path(version)}/one`, task("one", version, spec), {
      contentType: "application/apply-patch+yaml",
      query: { fieldManager: manager, force },
    });
  await apply("v2", "first", { host: "a", port: "1" });
  // In the words of the version it was written in.
  await fails(
    apply("v1", "second", { address: "a:2" }),
    409,
    'Apply failed with 1 conflict: conflict with "first": .spec.port',
  );
  const taken = await apply("v1", "second", { address: "a:2" }, true);
  assert.deepEqual(taken.spec, { address: "a:2" });
  const owners = taken.metadata.managedFields?.map(({ manager, apiVersion, fieldsV1 }) => [
    manager,
    apiVersion,
    fieldsV1,
  ]);
  assert.deepEqual(owners, [
    ["first", "shop.example.com/v2", { "f:spec": { "f:host": {} } }],
    ["second", "shop.example.com/v1", { "f:spec": { "f:address": {} } }],
  ]);
  const put = await api.call("GET", `${path("v2")}/one`);
  const updated = await api.call(
    "PUT",
    `${path("v2")}/one`,
    { ...put, spec: { host: "z", port: "9" } },
    { query: { fieldManager: "third" } },
  );
  assert.deepEqual(updated.metadata.managedFields?.find(({ manager }) => manager === "third")?.fieldsV1, {
    "f:spec": { "f:host": {}, "f:port": {} },
  });
});

test("conversion: what is applied no more goes, in whichever version others wrote", async () => {
  await define();
  const apply = (version: string, manager: string, object: object) =>
    api.call("PATCH", `${path(version)}/one`, object, {
      contentType: "application/apply-patch+yaml",
      query: { fieldManager: manager },
    });
  const named = (metadata: object) => ({ apiVersion: "shop.example.com/v1", kind: "Task", metadata });
  await apply("v2", "first", task("one", "v2", { host: "a", port: "1" }));
  const labelled = await apply("v1", "second", named({ name: "one", labels: { x: "y" } }));
  assert.deepEqual([labelled.metadata.labels, labelled.spec], [{ x: "y" }, { address: "a:1" }]);
  const left = await apply("v1", "second", named({ name: "one" }));
  assert.deepEqual([left.metadata.labels, left.spec], [undefined, { address: "a:1" }]);
});

test("conversion: only metadata's labels and annotations may change", async () => {
  await define();
  await api.call("POST", path("v1"), task("one"));
  behaviour = (review, converted) =>
    honest(
      review,
      converted.map((object) => ({
        ...object,
        metadata: {
          ...object.metadata,
          labels: { mark: "1" },
          annotations: { note: "x" },
          generation: 99,
          finalizers: ["a.b/c"],
        },
      })),
    );
  const { metadata } = await api.call("GET", `${path("v2")}/one`);
  assert.deepEqual(
    [metadata.labels, metadata.annotations, metadata.generation, metadata.finalizers],
    [{ mark: "1" }, { note: "x" }, 1, undefined],
  );
  const marked = await api.call("GET", path("v2"), undefined, { query: { labelSelector: "mark=1" } });
  assert.equal(marked.items.length, 1);
  assert.equal((await api.call("GET", path("v1"), undefined, { query: { labelSelector: "mark=1" } })).items.length, 0);
});

const prefix = "conversion webhook for shop.example.com/v1, Kind=Task ";
const lies: [string, Behaviour, RegExp | string][] = [
  [
    "no JSON",
    () => "<html>",
    /failed: couldn't get version\/kind; json parse error: json: cannot unmarshal string into /,
  ],
  ["nothing", () => "", "failed: 0-length response with status code: 200 and content type: application/json"],
  [
    "another kind of answer",
    (review, all) => ({ ...(honest(review, all) as object), kind: "Pod" }),
    "failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got apiextensions.k8s.io/v1, Kind=Pod",
  ],
  ["no response", ({ kind, apiVersion }) => ({ kind, apiVersion }), "failed: no response provided"],
  [
    "another question",
    ({ kind, apiVersion }) => ({ kind, apiVersion, response: { uid: "7" } }),
    /^failed: expected response.uid="[-0-9a-f]{36}", got "7"$/,
  ],
  [
    "no result",
    ({ kind, apiVersion, request: { uid } }) => ({ kind, apiVersion, response: { uid } }),
    "failed: response.result.status was '', not 'Success'",
  ],
  [
    "a refusal",
    ({ kind, apiVersion, request: { uid } }) => ({
      kind,
      apiVersion,
      response: { uid, result: { status: "Failure", message: "not today" } },
    }),
    "failed: not today",
  ],
  ["too few", (review) => honest(review, []), "returned 0 objects, expected 1"],
  [
    "the wrong version",
    (review, all) =>
      honest(
        review,
        all.map((each) => ({ ...each, apiVersion: "shop.example.com/v3" })),
      ),
    "returned invalid object at index 0: invalid groupVersion (expected shop.example.com/v2, received shop.example.com/v3)",
  ],
  [
    "the wrong kind",
    (review, all) =>
      honest(
        review,
        all.map((each) => ({ ...each, kind: "Chore" })),
      ),
    "returned invalid object at index 0: invalid kind (expected Task, received Chore)",
  ],
  [
    "another name",
    (review, all) =>
      honest(
        review,
        all.map((each) => ({ ...each, metadata: { ...each.metadata, name: "x" } })),
      ),
    "returned invalid object: must have the same name: one != x",
  ],
  [
    "another uid",
    (review, all) =>
      honest(
        review,
        all.map(({ metadata: { uid: _, ...metadata }, ...each }) => ({ ...each, metadata })),
      ),
    /^returned invalid object: must have the same UID: [-0-9a-f]{36} != $/,
  ],
  [
    "no metadata",
    (review, all) =>
      honest(
        review,
        all.map(({ metadata: _, ...each }) => each as Task),
      ),
    "returned invalid object: must have the same name: one != ",
  ],
  [
    "labels that aren't text",
    (review, all) =>
      honest(
        review,
        all.map((each) => ({ ...each, metadata: { ...each.metadata, labels: { a: 1 } as never } })),
      ),
    "returned invalid metadata: metadata.labels[a] must be a string, but is int64 in converted object",
  ],
  [
    "bad labels",
    (review, all) =>
      honest(
        review,
        all.map((each) => ({ ...each, metadata: { ...each.metadata, labels: { "a b": "1" } } })),
      ),
    /^returned invalid metadata: metadata.labels: Invalid value: "a b": /,
  ],
];
for (const [what, lie, message] of lies)
  test(`conversion: a webhook that answers ${what} is refused, its kind goes on in the stored version`, async () => {
    await define();
    await api.call("POST", path("v1"), task("one"));
    behaviour = lie;
    const expected =
      typeof message === "string" ? prefix + message : new RegExp(`^${prefix}${message.source.replace(/^\^/, "")}`);
    await fails(api.call("GET", `${path("v2")}/one`), 500, expected);
    const listed =
      typeof message === "string"
        ? `storage is (re)initializing: failed to list shop.example.com/v2, Kind=Task: ${prefix}${message}`
        : /^storage is \(re\)initializing: /;
    await fails(api.call("GET", path("v2")), 429, listed);
    assert.equal((await api.call("GET", path("v1"))).items.length, 1);
    behaviour = honest;
    assert.equal((await api.call("GET", path("v2"))).items.length, 1);
  });

test("conversion: while a webhook hangs, others are served", async () => {
  await define();
  await api.call("POST", path("v1"), task("one"));
  await api.call("GET", path("v2"));
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  behaviour = async (review, converted) => {
    await held;
    return honest(review, converted) as object;
  };
  const merge = { contentType: "application/merge-patch+json" };
  await api.call("PATCH", `${path("v1")}/one`, { spec: { address: "a:1" } }, merge);
  let listed: TestObject | undefined;
  const listing = api.call("GET", path("v2")).then((answer) => (listed = answer));
  for (let i = 0; i < 20; i++) await api.call("PATCH", `${path("v1")}/one`, { spec: { address: `a:${i}` } }, merge);
  assert.equal((await api.call("GET", path("v1"))).items.length, 1);
  assert.equal((await api.call("GET", "/api/v1/namespaces")).items.length > 0, true);
  // What was there before is still to be had.
  const older = await api.call("GET", path("v2"), undefined, { query: { resourceVersion: "0" } });
  assert.equal(older.items.length, 1);
  assert.equal(listed, undefined);
  release();
  await listing;
  assert.equal((await api.call("GET", path("v2"))).items[0]?.spec.port, "19");
});

test("conversion: the old review is spoken too, and services are called by name", async () => {
  await api.call("POST", "/api/v1/namespaces/default/services", {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "converter" },
    spec: { type: "ExternalName", externalName: "localhost" },
  });
  await define({
    review: "v1beta1",
    client: { service: { namespace: "default", name: "converter", port, path: "/c" } },
  });
  await api.call("POST", path("v1"), task("one"));
  // Who answers wasn't looked at then.
  behaviour = (review, converted) => ({
    response: { ...(honest(review, converted) as { response: object }).response, uid: "other" },
  });
  assert.deepEqual((await api.call("GET", `${path("v2")}/one`)).spec, { host: "localhost", port: "80" });
  assert.equal(reviews[0]?.apiVersion, "apiextensions.k8s.io/v1beta1");
});

test("conversion: a webhook that isn't there is told of as upstream does", async () => {
  await define({ client: { url: "https://127.0.0.1:1/convert" } });
  await api.call("POST", path("v1"), task("one"));
  const why = `${prefix}failed: Post "https://127.0.0.1:1/convert?timeout=30s": dial tcp 127.0.0.1:1: connect: connection refused`;
  await fails(api.call("GET", `${path("v2")}/one`), 500, why);
  await fails(
    api.call("POST", path("v2"), task("two", "v2", { host: "b" })),
    500,
    /^conversion webhook for shop.example.com\/v2, Kind=Task failed: Post /,
  );
});
