import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeSwagger, onlyPaths, swaggerToV3 } from "./swagger.ts";

const uses = (name: string) => ({ get: { responses: { 200: { schema: { $ref: `#/definitions/${name}` } } } } });
const kinds = (...all: string[]) => ({
  "x-kubernetes-group-version-kind": all.map((group) => ({ group, version: "v1", kind: "K" })),
});

test("swagger: what paths that are left out used goes with them, what nothing used stays", () => {
  const document = {
    paths: { "/a/x": uses("A"), "/b/x": uses("B") },
    definitions: {
      A: { properties: { inner: { $ref: "#/definitions/Inner" } } },
      Inner: {},
      B: { properties: { inner: { $ref: "#/definitions/OnlyB" } } },
      OnlyB: {},
      Unused: {},
    },
  };
  const { paths, definitions } = onlyPaths(document, (path) => path.startsWith("/a/"));
  assert.deepEqual(Object.keys(paths as object), ["/a/x"]);
  assert.deepEqual(Object.keys(definitions as object), ["A", "Inner", "Unused"]);
});

test("swagger: names that differ get a number, the same ones are shared with the kinds of both", () => {
  const ours = {
    swagger: "2.0",
    paths: { "/a": uses("Same") },
    definitions: { Same: { type: "object", ...kinds("a") }, Other: { type: "string" }, Other_v2: { type: "boolean" } },
  };
  const theirs = {
    paths: { "/a": uses("Other"), "/b": uses("Other"), "/c": uses("Same") },
    definitions: { Same: { type: "object", ...kinds("b", "a") }, Other: { type: "integer" } },
  };
  const merged = mergeSwagger(ours, [theirs]) as Record<string, Record<string, unknown>>;
  assert.deepEqual(merged.paths, { "/a": uses("Same"), "/b": uses("Other_v3"), "/c": uses("Same") });
  assert.deepEqual(merged.definitions, {
    Same: { type: "object", ...kinds("a", "b") },
    Other: { type: "string" },
    Other_v2: { type: "boolean" },
    Other_v3: { type: "integer" },
  });
  // A second one that means the same takes the name that the first was given.
  const again = mergeSwagger(merged, [{ paths: { "/d": uses("Other") }, definitions: theirs.definitions }]);
  assert.deepEqual((again.paths as Record<string, unknown>)["/d"], uses("Other_v3"));
  assert.equal(mergeSwagger(ours, [{ paths: { "/a": uses("Other") }, definitions: {} }]), ours);
});

test("swagger: version 2 as version 3", () => {
  const body = { name: "body", in: "body", schema: { $ref: "#/definitions/A" } };
  const query = { name: "limit", in: "query", type: "integer", uniqueItems: true };
  const document = {
    info: { title: "t" },
    paths: {
      "/a": {
        parameters: [query],
        post: {
          operationId: "create",
          consumes: ["application/json"],
          produces: ["application/json"],
          parameters: [body, query],
          responses: { 200: { description: "OK", schema: { $ref: "#/definitions/A" } }, 401: { description: "no" } },
        },
      },
    },
    definitions: {
      A: { properties: { b: { description: "x", $ref: "#/definitions/B" }, $ref: { type: "string" } } },
    },
  };
  const schema = { $ref: "#/components/schemas/A" };
  const parameter = { name: "limit", in: "query", schema: { type: "integer", uniqueItems: true } };
  assert.deepEqual(swaggerToV3(document), {
    openapi: "3.0.0",
    info: { title: "t" },
    paths: {
      "/a": {
        parameters: [parameter],
        post: {
          operationId: "create",
          parameters: [parameter],
          requestBody: { content: { "application/json": { schema } } },
          responses: {
            200: { description: "OK", content: { "application/json": { schema } } },
            401: { description: "no" },
          },
        },
      },
    },
    components: {
      schemas: {
        A: {
          properties: {
            b: { description: "x", allOf: [{ $ref: "#/components/schemas/B" }] },
            $ref: { type: "string" },
          },
        },
      },
    },
  });
});
