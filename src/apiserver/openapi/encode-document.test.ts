import assert from "node:assert/strict";
import { test } from "node:test";
import { facts, kinds } from "#api";
import { builtInResources } from "../resource.ts";
import { Descriptions } from "./descriptions.ts";
import { documentV2, documentV3 } from "./documents.ts";
import { encodeJson, encodeProtobuf, inTurns } from "./encode-document.ts";

const table = builtInResources({
  groupVersions: facts.groupVersions().filter(({ servedByDefault }) => servedByDefault),
  resources: facts.resources().filter(({ servedByDefault }) => servedByDefault),
  kinds,
  typeOf: facts.typeOf,
});
const descriptions = new Descriptions({
  V1PodSpec: ["A pod.", { containers: "What runs." }],
  CoreV1Event: ["Of core.", {}],
  EventsV1Event: ["Of events.", {}],
  V1ListMeta: ["Of lists.", { continue: "Go on." }],
});
const source = { version: "1.36.0", resources: [...table.all()], typeOf: facts.typeOf, descriptions };

test("encode OpenAPI: pieces make up the whole document, in both dialects", async () => {
  for (const dialect of ["v2", "v3"] as const) {
    const document = await inTurns((dialect === "v2" ? documentV2 : documentV3)(source));
    const bytes = await inTurns(encodeJson(document, dialect));
    assert.deepEqual(JSON.parse(bytes.toString()), JSON.parse(JSON.stringify(document)));
    assert.ok((await inTurns(encodeProtobuf(document, dialect))).length > 100_000);
  }
});

// The suite's "OpenAPIV3 should round trip OpenAPI V3 for all built-in group versions".
test("OpenAPI: lists of parameters that are empty are left out", async () => {
  for (const document of [await inTurns(documentV2(source)), await inTurns(documentV3(source))])
    assert.equal(JSON.stringify(document).includes('"parameters":[]'), false);
});

test("encode OpenAPI: others have their turn", async () => {
  let turns = 0;
  let going = true;
  const count = () => {
    turns++;
    if (going) setImmediate(count);
  };
  setImmediate(count);
  await inTurns(encodeProtobuf(await inTurns(documentV2(source)), "v2"));
  going = false;
  assert.ok(turns > 2, `${turns} turns`);
});

test("OpenAPI: descriptions stand at types, fields, and beside references", async () => {
  type Schemas = Record<string, { description?: string; properties: Record<string, object> }>;
  const v2 = (await inTurns(documentV2(source))).definitions as Schemas; // a document's own parts
  const v3 = ((await inTurns(documentV3(source))).components as { schemas: Schemas }).schemas;
  assert.equal(v2["io.k8s.api.core.v1.PodSpec"]?.description, "A pod.");
  const described = (schema: string, field: string) =>
    (v3[schema]?.properties[field] as { description?: string } | undefined)?.description; // a schema
  assert.equal(described("io.k8s.api.core.v1.PodSpec", "containers"), "What runs.");
  assert.equal(v2["io.k8s.api.core.v1.Event"]?.description, "Of core.");
  assert.equal(v2["io.k8s.api.events.v1.Event"]?.description, "Of events.");
  const listMeta = v3["io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"];
  assert.deepEqual(listMeta?.properties.continue, { description: "Go on.", type: "string" });
  assert.equal(described("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta", "resourceVersion"), undefined);
});
