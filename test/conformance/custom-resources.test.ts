/** Custom resources as Kubernetes' conformance suite asks for them (test/e2e/apimachinery/custom_resource_definition.go, crd_watch.go, crd_publish_openapi.go). */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { define, definition, definitions, version } from "../../src/apiserver/custom/testing.ts";
import { assertDiscovered, jsonPatch, type Listening, refusal, startListening, watch } from "./server.ts";

let api: Listening;
before(async () => {
  api = await startListening();
});
after(() => api.close());

const open = { "x-kubernetes-preserve-unknown-fields": true };
const string = { type: "string" };
const cluster = (plural: string, kind: string, schema: object = { type: "object", ...open }) =>
  definition(plural, kind, { versions: [version("v1", schema)], more: { scope: "Cluster" } });
const path = (name: string) => `${definitions}/${name}.shop.example.com`;
const objects = (plural: string) => `/apis/shop.example.com/v1/${plural}`;
const object = (kind: string, name: string, more: object = {}) => ({
  apiVersion: "shop.example.com/v1",
  kind,
  metadata: { name },
  ...more,
});
async function gone(plural: string): Promise<void> {
  while (await api.call("GET", path(plural)).catch(() => undefined)) await new Promise(setImmediate);
}

test("conformance: CustomResourceDefinition resources Simple CustomResourceDefinition creating/deleting custom resource definition objects works", async () => {
  await define(api, cluster("boats", "Boat"));
  await api.call("POST", objects("boats"), object("Boat", "one"));
  await api.call("DELETE", path("boats"));
  await gone("boats");
  assert.equal((await refusal(api.call("GET", path("boats")))).code, 404);
  assert.equal((await refusal(api.call("GET", objects("boats")))).code, 404);
});

test("conformance: CustomResourceDefinition resources Simple CustomResourceDefinition listing custom resource definition objects works", async () => {
  const made = new Map<string, unknown>();
  for (let i = 0; i < 10; i++) {
    const one = cluster(`rafts${i}`, `Raft${i}`);
    await define(api, { ...one, metadata: { ...one.metadata, labels: { batch: "rafts" } } as typeof one.metadata });
    made.set(one.metadata.name, (await api.call("GET", path(`rafts${i}`))).spec);
  }
  await define(api, cluster("ferries", "Ferry"));
  const query = { labelSelector: "batch=rafts" };
  const { items } = await api.call("GET", definitions, undefined, { query });
  assert.deepEqual(new Map(items.map(({ metadata, spec }) => [metadata.name ?? "", spec])), made);
  await api.call("DELETE", definitions, undefined, { query });
  for (let i = 0; i < 10; i++) await gone(`rafts${i}`);
  assert.equal((await api.call("GET", path("ferries"))).metadata.name, "ferries.shop.example.com");
});

test("conformance: CustomResourceDefinition resources Simple CustomResourceDefinition getting/updating/patching custom resource definition status sub-resource works", async () => {
  await define(api, cluster("kayaks", "Kayak"));
  const { spec } = await api.call("GET", path("kayaks"));
  const read = await api.call("GET", `${path("kayaks")}/status`);
  assert.deepEqual(read.spec, spec);
  interface Condition {
    message: string;
  }
  const messages = ({ conditions }: Record<string, unknown>) =>
    (conditions as Condition[]).map(({ message }) => message);
  const conditions = [...(read.status.conditions as Condition[]), { message: "updated" }];
  const put = { ...read, status: { ...read.status, conditions } };
  const updated = await api.call("PUT", `${path("kayaks")}/status`, put);
  assert.ok(messages(updated.status).includes("updated"));
  assert.deepEqual((await api.call("GET", path("kayaks"))).status, updated.status);
  const patch = [{ op: "add", path: "/status/conditions", value: [{ message: "patched" }] }];
  const patched = await api.call("PATCH", `${path("kayaks")}/status`, patch, jsonPatch);
  assert.ok(messages(patched.status).includes("patched"));
});

test("conformance: CustomResourceDefinition resources should include custom resource definition resources in discovery documents", () =>
  assertDiscovered(api, "apiextensions.k8s.io/v1", ["customresourcedefinitions"]));

test("conformance: CustomResourceDefinition resources custom resource defaulting for requests and from storage works", async () => {
  await define(api, cluster("canoes", "Canoe", { type: "object", properties: { a: string, b: string } }));
  const letters = async (name: string) => {
    const { a, b } = (await api.call("GET", `${objects("canoes")}/${name}`)) as { a?: string; b?: string };
    return { a, b };
  };
  /** The definition's change is in force once `name` shows it. */
  const seen = async (name: string, letter: "a" | "b", want: string) => {
    while ((await letters(name))[letter] !== want) await new Promise(setImmediate);
  };
  const first = await api.call("POST", objects("canoes"), object("Canoe", "one"));
  assert.deepEqual(await letters("one"), { a: undefined, b: undefined });
  const at = (letter: string) => `/spec/versions/0/schema/openAPIV3Schema/properties/${letter}/default`;
  await api.call("PATCH", path("canoes"), [{ op: "add", path: at("a"), value: "A" }], jsonPatch);
  await seen("one", "a", "A");
  const second = await api.call("POST", objects("canoes"), object("Canoe", "two"));
  assert.equal((second as { a?: string }).a, "A");
  assert.ok(Number(first.metadata.resourceVersion) < Number(second.metadata.resourceVersion));
  const swap = [
    { op: "remove", path: at("a") },
    { op: "add", path: at("b"), value: "B" },
  ];
  await api.call("PATCH", path("canoes"), swap, jsonPatch);
  await seen("two", "b", "B");
  // What a default has put into the store stays; what it has only shown goes with it.
  assert.deepEqual(await letters("two"), { a: "A", b: "B" });
  assert.deepEqual(await letters("one"), { a: undefined, b: "B" });
});

test("conformance: CustomResourceDefinition Watch CustomResourceDefinition Watch watch on custom resource definition objects", async () => {
  await define(api, cluster("punts", "Punt"));
  const names = ["name1", "name2"] as const;
  const { resourceVersion = "" } = (await api.call("GET", objects("punts"))).metadata;
  const watches = names.map((name) =>
    watch(api, objects("punts"), { fieldSelector: `metadata.name=${name}`, resourceVersion }),
  );
  const dummy = [{ op: "add", path: "/dummy", value: "test" }];
  const steps = [
    ["ADDED", (name: string) => api.call("POST", objects("punts"), object("Punt", name))],
    ["MODIFIED", (name: string) => api.call("PATCH", `${objects("punts")}/${name}`, dummy, jsonPatch)],
    ["DELETED", (name: string) => api.call("DELETE", `${objects("punts")}/${name}`)],
  ] as const;
  for (const [type, step] of steps)
    for (const [index, name] of names.entries()) {
      await step(name);
      const event = await watches[index]!.next(); // one per name
      assert.deepEqual([event.type, event.object.metadata.name], [type, name]);
      assert.equal((event.object as { dummy?: string }).dummy, type === "ADDED" ? undefined : "test");
      assert.deepEqual(
        watches.map(({ waiting }) => waiting),
        [0, 0],
      );
    }
  for (const each of watches) await each.stop();
});

const described = (description: string, more: object) => ({ description, ...more });
const statusOf = (kind: string) =>
  described(`Status of ${kind}`, {
    type: "object",
    properties: { bars: described("List of Bars.", { type: "array", items: { type: "object" } }) },
  });
const specOf = (kind: string, more: object = {}) =>
  described(`Specification of ${kind}`, {
    type: "object",
    properties: { dummy: described("Dummy property.", { type: "object" }) },
    ...more,
  });

interface Schema {
  readonly description?: string;
  readonly properties?: Record<string, Schema & Record<string, unknown>>;
}

/** As it is published: what clients check by, and what `kubectl explain` reads. */
async function published(
  kind: string,
): Promise<{ v2: Schema & Record<string, unknown>; v3: Schema & Record<string, unknown> }> {
  const name = `com.example.shop.v1.${kind}`;
  type Named = Record<string, Schema & Record<string, unknown>>;
  const { definitions: all } = (await api.call("GET", "/openapi/v2")) as unknown as { definitions: Named };
  const one = await api.call("GET", "/openapi/v3/apis/shop.example.com/v1");
  const { schemas } = (one as unknown as { components: { schemas: Named } }).components;
  const [v2, v3] = [all[name], schemas[name]];
  assert.ok(v2 && v3, `${name} is not published`);
  return { v2, v3 };
}

const strict = "fieldManager=kubectl&fieldValidation=Strict";

/** Makes it, deletes it, applies it and deletes it again, as kubectl would: held to the schema strictly. */
async function createAndApply(plural: string, body: object): Promise<void> {
  const one = `${objects(plural)}/test-cr`;
  const text = JSON.stringify(body);
  for (const [method, at, type] of [
    ["POST", objects(plural), "application/json"],
    ["PATCH", one, "application/apply-patch+yaml"],
  ] as const) {
    const answer = await api.send(method, `${at}?${strict}`, text, type);
    assert.equal(answer.status, 201, answer.text);
    const { metadata: _, ...kept } = await api.call("GET", one);
    const { metadata: __, ...sent } = body as { metadata: object };
    assert.deepEqual(kept, sent);
    await api.call("DELETE", one);
  }
}

/** The answers to making and to applying it. */
async function refused(plural: string, body: object): Promise<string[]> {
  const create = await api.send("POST", `${objects(plural)}?${strict}`, JSON.stringify(body));
  const type = "application/apply-patch+yaml";
  const apply = await api.send("PATCH", `${objects(plural)}/test-cr?${strict}`, JSON.stringify(body), type);
  for (const { status, text } of [create, apply]) assert.ok(status >= 400, text);
  return [create, apply].map(({ text }) => (JSON.parse(text) as { message: string }).message);
}

test("conformance: CustomResourcePublishOpenAPI works for CRD with validation schema", async () => {
  const item = {
    type: "object",
    required: ["name"],
    properties: {
      name: described("Name of Bar.", string),
      age: described("Age of Bar.", string),
      feeling: described("Whether Bar is feeling great.", { type: "string", enum: ["Great", "Down"] }),
      bazs: described("List of Bazs.", { type: "array", items: string }),
    },
  };
  const bars = described("List of Bars and their specs.", { type: "array", items: item });
  const spec = described("Specification of Foo", { type: "object", properties: { bars } });
  const schema = { type: "object", description: "Foo CRD for Testing", properties: { spec, status: statusOf("Foo") } };
  await define(api, cluster("foos", "Foo", schema));

  const { v2, v3 } = await published("Foo");
  for (const document of [v2, v3]) {
    assert.equal(document.description, "Foo CRD for Testing");
    assert.deepEqual(document.properties?.spec, spec);
    assert.deepEqual(document.properties?.status, statusOf("Foo"));
    assert.match(document.properties?.metadata?.description ?? "", /^Standard object's metadata/);
  }

  const foo = (value: object) => object("Foo", "test-cr", { spec: value });
  await createAndApply("foos", foo({ bars: [{ name: "test-bar" }] }));
  const feeling = await refused("foos", foo({ bars: [{ name: "test-bar", feeling: "NonExistentValue" }] }));
  for (const text of feeling) assert.match(text, /Unsupported value: "NonExistentValue"/);
  const [created = "", applied = ""] = await refused("foos", foo({ foo: true }));
  assert.match(created, /strict decoding error: unknown field "spec\.foo"/);
  assert.match(applied, /\.spec\.foo: field not declared in schema/);
  for (const text of await refused("foos", foo({ bars: [{ age: "10" }] })))
    assert.match(text, /spec\.bars\[0\]\.name: Required value/);
});

const anything = { a: { b: [{ c: "d" }] } };

test("conformance: CustomResourcePublishOpenAPI works for CRD without validation schema", async () => {
  await define(api, cluster("empties", "Empty"));
  const { v2, v3 } = await published("Empty");
  for (const { description, properties } of [v2, v3])
    assert.deepEqual([description, properties?.a], [undefined, undefined]);
  await createAndApply("empties", object("Empty", "test-cr", anything));
});

test("conformance: CustomResourcePublishOpenAPI works for CRD preserving unknown fields at the schema root", async () => {
  const description = "preserve-unknown-properties at root for Testing";
  const properties = { spec: specOf("Waldo"), status: statusOf("Waldo") };
  await define(api, cluster("roots", "Root", { type: "object", description, ...open, properties }));
  const { v2, v3 } = await published("Root");
  for (const document of [v2, v3]) {
    const groupVersionKind = { group: "shop.example.com", version: "v1", kind: "Root" };
    assert.deepEqual(document["x-kubernetes-group-version-kind"], [groupVersionKind]);
  }
  // Of such a root the older document tells nothing but whose it is.
  assert.equal(v3.description, description);
  assert.equal(v3["x-kubernetes-preserve-unknown-fields"], true);
  await createAndApply("roots", object("Root", "test-cr", anything));
});

test("conformance: CustomResourcePublishOpenAPI works for CRD preserving unknown fields in an embedded object", async () => {
  const description = "preserve-unknown-properties in nested field for Testing";
  const properties = { spec: specOf("Waldo", open), status: statusOf("Waldo") };
  await define(api, cluster("nests", "Nest", { type: "object", description, properties }));
  const { v2, v3 } = await published("Nest");
  for (const document of [v2, v3]) {
    assert.equal(document.description, description);
    assert.equal(document.properties?.spec?.["x-kubernetes-preserve-unknown-fields"], true);
  }
  await createAndApply("nests", object("Nest", "test-cr", { spec: { a: null, b: [{ c: "d" }] } }));
  // Outside of that field nothing unknown is let in.
  for (const text of await refused("nests", object("Nest", "test-cr", anything)))
    assert.match(text, /unknown field|not declared/);
});
