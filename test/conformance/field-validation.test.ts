/** Field validation as Kubernetes' conformance suite asks for it (test/e2e/apimachinery/field_validation.go): what is wrong is told by bytes over HTTPS. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { define, definition, version } from "../../src/apiserver/custom/testing.ts";
import { type Listening, startListening } from "./server.ts";

let api: Listening;
before(async () => {
  api = await startListening();
});
after(() => api.close());

const strict = "fieldManager=field_validation_mgr&fieldValidation=Strict";
const deployment = (metadata: string, spec: string) => `{
  "apiVersion": "apps/v1", "kind": "Deployment",
  "metadata": {"name": "my-dep", ${metadata} "labels": {"app": "nginx"}},
  "spec": {${spec} "selector": {"matchLabels": {"app": "nginx"}},
    "template": {"metadata": {"labels": {"app": "nginx"}},
      "spec": {"containers": [{"name": "nginx", "image": "nginx:latest"}]}}}}`;
const createDeployment = (body: string) =>
  api.send("POST", `/apis/apps/v1/namespaces/default/deployments?${strict}`, body);

test("conformance: FieldValidation should detect unknown and duplicate fields of a typed object", async () => {
  const spec = `"unknownField": "foo", "replicas": 2, "replicas": 3,`;
  const { status, text } = await createDeployment(deployment("", spec));
  assert.equal(status, 400);
  const { message } = JSON.parse(text) as { message: string };
  assert.match(message, /strict decoding error: unknown field "spec\.unknownField", duplicate field "spec\.replicas"/);
});

test("conformance: FieldValidation should detect unknown metadata fields of a typed object", async () => {
  const { status, text } = await createDeployment(deployment(`"unknownMeta": "foo",`, ""));
  assert.equal(status, 400);
  assert.match(
    (JSON.parse(text) as { message: string }).message,
    /strict decoding error: unknown field "metadata\.unknownMeta"/,
  );
  assert.equal((await createDeployment(deployment("", ""))).status, 201);
});

const string = { type: "string" };
const port = { type: "integer", format: "int32" };
const properties = {
  foo: string,
  cronSpec: { type: "string", pattern: "^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$" },
  ports: {
    type: "array",
    "x-kubernetes-list-map-keys": ["containerPort", "protocol"],
    "x-kubernetes-list-type": "map",
    items: {
      type: "object",
      required: ["containerPort", "protocol"],
      properties: { containerPort: port, hostIP: string, hostPort: port, name: string, protocol: string },
    },
  },
};
const preserve = { "x-kubernetes-preserve-unknown-fields": true };
const schema = (spec: object) => ({ type: "object", properties: { spec: { type: "object", ...spec } } });

/** Applies an object of a kind of its own, strictly; the lines go where upstream's test has them. */
async function apply(
  kind: string,
  openAPIV3Schema: object,
  { root = "", spec = "" },
): Promise<{ status: number; text: string }> {
  const plural = `${kind.toLowerCase()}s`;
  await define(
    api,
    definition(plural, kind, { versions: [version("v1", openAPIV3Schema)], more: { scope: "Cluster" } }),
  );
  const body = `
apiVersion: shop.example.com/v1
kind: ${kind}
metadata:
  name: mytest
${root}spec:
${spec}  cronSpec: "* * * * */5"
  ports:
  - name: x
    containerPort: 80
    protocol: TCP`;
  const path = `/apis/shop.example.com/v1/${plural}/mytest?${strict}`;
  const { status, text } = await api.send("PATCH", path, body, "application/apply-patch+yaml");
  return { status, text: status < 300 ? text : (JSON.parse(text) as { message: string }).message };
}

test("conformance: FieldValidation should create/apply a valid CR for CRD with validation schema", async () => {
  const { status, text } = await apply("Valid", schema({ properties }), { spec: "  foo: foo1\n" });
  assert.equal(status, 201, text);
  assert.equal((JSON.parse(text) as { spec: { foo: string } }).spec.foo, "foo1");
});

test("conformance: FieldValidation should create/apply a CR with unknown fields for CRD with no validation schema", async () => {
  const { status, text } = await apply("Loose", { type: "object", ...preserve }, { spec: "  unknown: uk1\n" });
  assert.equal(status, 201, text);
  assert.equal((JSON.parse(text) as { spec: { unknown: string } }).spec.unknown, "uk1");
});

test("conformance: FieldValidation should create/apply an invalid CR with extra properties for CRD with validation schema", async () => {
  const more = { root: "unknownField: unknown\n", spec: "  foo: foo1\n" };
  const { status, text } = await apply("Extra", schema({ properties }), more);
  assert.notEqual(status, 201);
  assert.match(text, /\.unknownField: field not declared in schema/);
});

test("conformance: FieldValidation should detect unknown metadata fields in both the root and embedded object of a CR", async () => {
  const metadata = { type: "object", properties: { name: string } };
  const template = {
    type: "object",
    "x-kubernetes-embedded-resource": true,
    properties: { metadata, spec: { type: "object" } },
  };
  const embedding = schema({ ...preserve, properties: { template, ...properties } });
  const embedded = (extra: string) =>
    `  template:\n    apiVersion: foo/v1\n    kind: Sub\n    metadata:\n${extra}      name: subobject\n      namespace: default\n  foo: foo1\n`;
  const unknown = { root: "  unknownMeta: unknown\n", spec: embedded("      unknownSubMeta: unknown\n") };
  const both = await apply("Both", embedding, unknown);
  assert.notEqual(both.status, 201);
  assert.match(
    both.text,
    /\.spec\.template\.metadata\.unknownSubMeta: field not declared in schema|\.metadata\.unknownMeta: field not declared in schema/,
  );
  // Each of them alone is found, too.
  assert.match((await apply("Outer", embedding, { ...unknown, spec: "  foo: foo1\n" })).text, /unknownMeta/);
  assert.match((await apply("Inner", embedding, { ...unknown, root: "" })).text, /unknownSubMeta/);
});

test("conformance: FieldValidation should detect duplicates in a CR when preserving unknown fields", async () => {
  const spec = "  unknown: uk1\n  foo: foo1\n  foo: foo2\n";
  const { status, text } = await apply("Twice", schema({ ...preserve, properties }), { spec });
  assert.equal(status, 400);
  assert.match(text, /line 9: key "foo" already set in map/);
});
