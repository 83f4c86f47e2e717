import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { facts, kinds } from "#api";
import { realClock, silentLogger } from "#base";
import { createLocalTransport } from "../local-transport.ts";
import { allowAll } from "../security.ts";
import { createApiServer } from "../server.ts";
import { admin, startTestServer, type TestServer } from "../test-server.ts";
import { define, definition, definitions, established, fails, until } from "./testing.ts";

let api: TestServer;

beforeEach(async () => {
  api = await startTestServer();
});
afterEach(() => api.close());

const widgets = "/apis/shop.example.com/v1/namespaces/default/widgets";

const string = { type: "string" };
const specSchema = {
  type: "object",
  required: ["size"],
  properties: {
    size: { type: "string", enum: ["small", "large"] },
    code: { type: "string", pattern: "^[a-z]+$" },
    count: { type: "integer", default: 1, maximum: 10 },
    ports: {
      type: "array",
      items: { type: "object", required: ["port"], properties: { port: { type: "integer" }, name: string } },
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["port"],
    },
  },
};
const version = (name: string, storage: boolean, spec: object = specSchema) => ({
  name,
  served: true,
  storage,
  schema: {
    openAPIV3Schema: {
      type: "object",
      properties: { spec, status: { type: "object", properties: { phase: string } } },
    },
  },
  subresources: { status: {} },
});

const widgetDefinition = (plural = "widgets", kind = "Widget", versions = [version("v1", true)]) =>
  definition(plural, kind, { versions });

const widget = (name: string, spec: object = {}) => ({
  apiVersion: "shop.example.com/v1",
  kind: "Widget",
  metadata: { name },
  spec: { size: "small", ...spec },
});

test("custom resources: an object is defaulted, pruned and held to its schema", async () => {
  await define(api, widgetDefinition());
  const made = await api.call("POST", widgets, { ...widget("one", { extra: 1 }), status: { phase: "Done" } });
  assert.deepEqual(made.spec, { size: "small", count: 1 });
  assert.equal(made.status, undefined);
  assert.equal(made.metadata.generation, 1);
  await fails(api.call("POST", widgets, widget("two", { size: "huge" })), 422, /supported values: "small", "large"/);
  await fails(
    api.call("POST", widgets, widget("two", { code: "A" })),
    422,
    /spec.code in body should match '\^\[a-z\]\+\$'/,
  );
  await fails(
    api.call("POST", widgets, widget("two", { extra: 1 }), { query: { fieldValidation: "Strict" } }),
    400,
    /unknown field "spec.extra"/,
  );
  const status = await api.call("PUT", `${widgets}/one/status`, {
    ...made,
    spec: { size: "large" },
    status: { phase: "Ready" },
  });
  assert.deepEqual([status.spec, status.status], [{ size: "small", count: 1 }, { phase: "Ready" }]);
  assert.equal(status.metadata.generation, 1);
});

test("custom resources: what an update leaves alone isn't held against it", async () => {
  await define(
    api,
    widgetDefinition("widgets", "Widget", [
      version("v1", true),
      version("v1beta1", false, { type: "object", properties: { size: string, count: { type: "integer" } } }),
    ]),
  );
  const old = "/apis/shop.example.com/v1beta1/namespaces/default/widgets";
  await api.call("POST", old, { ...widget("old", { count: 99 }), apiVersion: "shop.example.com/v1beta1" });
  const merge = { contentType: "application/merge-patch+json" };
  const patched = await api.call("PATCH", `${widgets}/old`, { metadata: { labels: { a: "b" } } }, merge);
  assert.deepEqual(patched.metadata.labels, { a: "b" });
  await fails(
    api.call("PATCH", `${widgets}/old`, { spec: { count: 98 } }, merge),
    422,
    /should be less than or equal to 10/,
  );
});

test("custom resources: items of a map list have owners of their own", async () => {
  await define(api, widgetDefinition());
  const apply = (manager: string, ports: object[]) =>
    api.call("PATCH", `${widgets}/applied`, widget("applied", { ports }), {
      query: { fieldManager: manager },
      contentType: "application/apply-patch+yaml",
    });
  await apply("a", [{ port: 80, name: "x" }]);
  const both = await apply("b", [{ port: 90 }]);
  assert.deepEqual(both.spec.ports, [{ port: 80, name: "x" }, { port: 90 }]);
  await fails(apply("b", [{ port: 80, name: "y" }]), 409, /conflict with "a": \.spec\.ports\[port=80\]\.name/);
});

test("custom resources: a name that is taken isn't accepted until it is free", async () => {
  await define(api, widgetDefinition());
  await api.call("POST", definitions, widgetDefinition("gizmos"));
  await until(
    api,
    "gizmos.shop.example.com",
    (conditions) => conditions?.some(({ reason }) => reason === "ListKindConflict") === true,
  );
  await fails(api.call("GET", "/apis/shop.example.com/v1/gizmos"), 404, /could not find/);
  await api.call("DELETE", `${definitions}/widgets.shop.example.com`);
  await until(api, "gizmos.shop.example.com", established);
});

test("custom resources: with the definition its objects go, and finalizers are waited for", async () => {
  await define(api, widgetDefinition());
  const made = await api.call("POST", widgets, widget("free"));
  const held = widget("held");
  await api.call("POST", widgets, { ...held, metadata: { ...held.metadata, finalizers: ["example.com/wait"] } });
  await api.call("DELETE", `${definitions}/widgets.shop.example.com`);
  await until(
    api,
    "widgets.shop.example.com",
    (conditions) => conditions?.some(({ reason }) => reason === "InstanceDeletionInProgress") === true,
  );
  // Said before it is done.
  const stop = new AbortController();
  const query = { resourceVersion: made.metadata.resourceVersion, watch: true };
  await api.transport.watch({ method: "GET", path: widgets, query, signal: stop.signal }, ({ type }) => {
    if (type === "DELETED") stop.abort();
  });
  const left = await api.call("GET", widgets);
  assert.deepEqual(
    left.items.map(({ metadata }) => metadata.name),
    ["held"],
  );
  await fails(
    api.call("POST", widgets, widget("late")),
    403,
    /^widgets.shop.example.com "late" is forbidden: create not allowed while custom resource definition is terminating$/,
  );
  const [object] = left.items;
  assert.ok(object);
  await api.call("PUT", `${widgets}/held`, { ...object, metadata: { ...object.metadata, finalizers: [] } });
  await until(api, "widgets.shop.example.com", (conditions) => conditions === undefined);
  await fails(api.call("GET", widgets), 404, /could not find/);
});

test("custom resources: are there again when the server starts, under today's schema", async () => {
  await define(api, widgetDefinition());
  await api.call("POST", widgets, widget("one"));
  const second = createApiServer(
    { tls: { key: "", cert: "" }, serviceCidr: "10.96.0.0/16" },
    {
      store: api.store,
      clock: realClock,
      log: silentLogger,
      facts,
      kinds,
      authorizer: allowAll,
      authenticator: { authenticate: () => admin },
    },
  );
  await second.prepare();
  const transport = createLocalTransport({
    pipeline: second.pipeline,
    clock: realClock,
    user: admin,
    userAgent: "test",
  });
  const found = (await transport.request({ method: "GET", path: `${widgets}/one` })) as { spec: object };
  assert.deepEqual(found.spec, { size: "small", count: 1 });
  transport.close();
  await second.close();
});

test("custom resources: a default that comes later shows on reading what is stored", async () => {
  await define(api, widgetDefinition());
  await api.call("POST", widgets, widget("one"));
  const path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/colour";
  const patch = [{ op: "add", path, value: { type: "string", default: "red" } }];
  await api.call("PATCH", `${definitions}/widgets.shop.example.com`, patch, {
    contentType: "application/json-patch+json",
  });
  // The cache begins anew with the definition, which ends this watch.
  const query = { resourceVersion: "0", watch: true };
  const stop = new AbortController();
  await api.transport.watch({ method: "GET", path: widgets, query, signal: stop.signal }, ({ object }) => {
    if ((object as { spec?: { colour?: string } }).spec?.colour === "red") stop.abort();
  });
  assert.equal((await api.call("GET", `${widgets}/one`)).spec.colour, "red");
});

test("custom resources: what has no kind or another version is refused, sent and patched", async () => {
  await define(api, widgetDefinition());
  const { kind, apiVersion, ...bare } = widget("one");
  await fails(
    api.call("POST", widgets, { apiVersion, ...bare }),
    400,
    /must be of type Widget\): Object 'Kind' is missing in '\{.*\}' \(\{"apiVersion":"shop.example.co \.\.\.\)$/,
  );
  await fails(api.call("POST", widgets, { kind, ...bare }), 400, /^the API version in the data \(\) does not match/);
  await api.call("POST", widgets, widget("one"));
  const merge = { contentType: "application/merge-patch+json" };
  const patch = (body: unknown) => api.call("PATCH", `${widgets}/one`, body, merge);
  await fails(patch({ kind: null }), 422, /^ "" is invalid: patch: .*: Object 'Kind' is missing in '\{"apiVersion"/);
  await fails(patch({ kind: 5 }), 422, /cannot unmarshal number into Go struct field \.kind of type string$/);
  await fails(patch({ apiVersion: "a/b/c" }), 422, /: unexpected GroupVersion string: a\/b\/c$/);
  await fails(patch({ apiVersion: null }), 500, /Object 'apiVersion' is missing/);
  await fails(patch({ apiVersion: "v1" }), 422, /^Widget "one" is invalid: apiVersion: Invalid value: "v1": must be/);
});

test("custom resources: methods and places that upstream's handler has words of its own for", async () => {
  await define(api, widgetDefinition());
  await api.call("POST", widgets, widget("one"));
  await fails(api.call("PUT", widgets, widget("one")), 400, /^name must be provided$/);
  await fails(api.call("PATCH", `${widgets}/one`, {}, { contentType: "text/plain" }), 415, /application\/apply-patch/);
  await fails(api.call("DELETE", "/apis/shop.example.com/v1/widgets"), 404, /could not find/);
  await fails(api.call("GET", `${widgets}/one/nope/more`), 404, /^widgets.shop.example.com "one" not found$/);
});

test("custom resources: a dangerous pattern takes no time", async () => {
  const spec = { type: "object", properties: { text: { type: "string", pattern: "^(a+)+$" } } };
  await define(api, widgetDefinition("widgets", "Widget", [version("v1", true, spec)]));
  const text = `${"a".repeat(5_000)}!`;
  await fails(api.call("POST", widgets, { ...widget("one"), spec: { text } }), 422, /should match/);
});

test("custom resources: their schemas are published", async () => {
  await define(api, widgetDefinition());
  const document = (await api.call("GET", "/openapi/v3/apis/shop.example.com/v1")) as unknown as {
    components: { schemas: Record<string, { properties: { spec: { properties: object } } }> };
    paths: Record<string, object>;
  };
  const schema = document.components.schemas["com.example.shop.v1.Widget"];
  assert.deepEqual(Object.keys(schema?.properties ?? {}), ["apiVersion", "kind", "metadata", "spec", "status"]);
  assert.deepEqual(schema?.properties.spec.properties, specSchema.properties);
  assert.ok(document.paths["/apis/shop.example.com/v1/namespaces/{namespace}/widgets/{name}"]);
});
