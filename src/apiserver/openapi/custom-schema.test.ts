import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonSchema } from "#api";
import { publishedSchema } from "./custom-schema.ts";
import type { Json } from "./schemas.ts";

const texts = {
  apiVersion: "APIVersion is a. Servers should b. More info: c",
  kind: "Kind is the REST resource this object represents. Servers may d. In CamelCase. More info: e",
};
const reference = { v2: { $ref: "#/definitions/Meta" }, v3: { $ref: "#/components/schemas/Meta" } };

type Properties = Record<string, Json>;

function published(dialect: "v2" | "v3", schema: JsonSchema | undefined, preserve = false): Json {
  return publishedSchema(schema, { dialect, metadata: reference[dialect], preserve, texts });
}
/** Of the field `spec`. */
const spec = (dialect: "v2" | "v3", schema: JsonSchema): Json | undefined =>
  (published(dialect, { type: "object", properties: { spec: schema } }).properties as Properties).spec;

const either = [{ type: "integer" }, { type: "string" }];
const open = { "x-kubernetes-preserve-unknown-fields": true };

// What upstream's builder makes of the same schemas (v0.36.3 of k8s.io/apiextensions-apiserver).
const cases: readonly { name: string; schema: JsonSchema; v2: Json; v3: Json }[] = [
  {
    name: "defaults, alternatives and what isn't set",
    schema: {
      type: "string",
      default: "",
      nullable: false,
      allOf: [{ maxLength: 1 }],
      not: { pattern: "a" },
      title: "",
    },
    v2: { type: "string" },
    v3: { type: "string", default: "", allOf: [{ maxLength: 1 }], not: { pattern: "a" } },
  },
  {
    name: "nullable",
    schema: { type: "object", nullable: true, properties: { a: { type: "string" } }, required: ["a"] },
    v2: { required: ["a"] },
    v3: { type: "object", nullable: true, properties: { a: { type: "string" } }, required: ["a"] },
  },
  {
    name: "a required field that may be null",
    schema: { type: "object", properties: { a: { type: "string", nullable: true } }, required: ["a"] },
    v2: { type: "object", properties: { a: {} } },
    v3: { type: "object", properties: { a: { type: "string", nullable: true } }, required: ["a"] },
  },
  {
    name: "a list of unknown fields",
    schema: { type: "array", items: { type: "object", ...open }, ...open },
    v2: { ...open },
    v3: { type: "array", items: { type: "object", ...open }, ...open },
  },
  {
    name: "an integer or a text",
    schema: { "x-kubernetes-int-or-string": true },
    v2: { "x-kubernetes-int-or-string": true },
    v3: { "x-kubernetes-int-or-string": true, anyOf: either },
  },
  {
    name: "an integer or a text with alternatives",
    schema: { "x-kubernetes-int-or-string": true, anyOf: [{ pattern: "a" }], allOf: [{ maxLength: 3 }] },
    v2: { "x-kubernetes-int-or-string": true },
    v3: {
      "x-kubernetes-int-or-string": true,
      anyOf: [{ pattern: "a" }],
      allOf: [{ anyOf: either }, { maxLength: 3 }],
    },
  },
  {
    name: "rules stay",
    schema: { type: "string", "x-kubernetes-validations": [{ rule: "true" }] },
    v2: { type: "string", "x-kubernetes-validations": [{ rule: "true" }] },
    v3: { type: "string", "x-kubernetes-validations": [{ rule: "true" }] },
  },
];

for (const { name, schema, v2, v3 } of cases)
  test(`published schemas: ${name}`, () => {
    assert.deepEqual(spec("v2", schema), v2);
    assert.deepEqual(spec("v3", schema), v3);
  });

test("published schemas: a kind has metadata, an object within it too", () => {
  const metadata = "Standard object's metadata.";
  const root = published("v2", { type: "object", properties: { spec: { type: "object" } } });
  const own = root.properties as Properties;
  assert.deepEqual(Object.keys(own), ["apiVersion", "kind", "metadata", "spec"]);
  assert.deepEqual(own.kind, { type: "string", description: texts.kind });
  assert.ok(String(own.metadata?.description).startsWith(metadata));
  const embedded = spec("v3", { type: "object", "x-kubernetes-embedded-resource": true, ...open });
  const inner = embedded?.properties as Properties;
  assert.deepEqual(embedded?.required, ["kind", "apiVersion"]);
  assert.equal(inner.apiVersion?.description, "apiVersion is a. More info: c");
  assert.equal(inner.kind?.description, "kind is the type of this object. In CamelCase. More info: e");
  assert.deepEqual(inner.metadata?.allOf, [reference.v3]);
  assert.equal(spec("v2", { type: "object", "x-kubernetes-embedded-resource": true, ...open })?.properties, undefined);
});

test("published schemas: kubectl isn't told of fields where others are kept", () => {
  const schema = { type: "object", properties: { spec: { type: "object" } }, ...open };
  assert.deepEqual(published("v2", schema), { type: "object" });
  assert.deepEqual(Object.keys(published("v3", schema).properties as Properties).length, 4);
  assert.deepEqual(published("v2", { type: "object" }, true), { type: "object" });
  assert.deepEqual(published("v3", { type: "object", properties: { spec: {} } }, true), { type: "object" });
  assert.deepEqual(published("v3", undefined), { type: "object" });
});
