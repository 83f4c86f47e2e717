import assert from "node:assert/strict";
import { test } from "node:test";
import { contentTypeOf, negotiate } from "./media-type.ts";

const tables = ({ kind }: { kind: string }) => kind === "Table";

test("accept: the client's order, weighed", () => {
  assert.equal(negotiate("application/yaml;q=0.5,application/json;q=0.9", tables)?.format, "json");
  assert.equal(negotiate("text/html,*/*;q=0.8", tables)?.format, "json");
  assert.equal(negotiate("application/yaml", tables)?.format, "yaml");
  assert.equal(negotiate(undefined, tables)?.format, "json");
  assert.equal(negotiate("text/html", tables), undefined);
});

test("accept: a shape that isn't offered is passed over", () => {
  const kubectl =
    "application/json;as=Poem;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
  assert.deepEqual(negotiate(kubectl, tables)?.transform, { kind: "Table", group: "meta.k8s.io", version: "v1" });
  assert.equal(negotiate("application/json;as=Poem", tables), undefined);
  assert.equal(negotiate("application/json;as=Poem,application/json", tables)?.transform, undefined);
});

test("content type: without parameters, in lower case", () => {
  assert.equal(contentTypeOf("Application/JSON; charset=utf-8"), "application/json");
  assert.equal(contentTypeOf(undefined), "");
  assert.equal(contentTypeOf(";;;"), "unknown");
});
