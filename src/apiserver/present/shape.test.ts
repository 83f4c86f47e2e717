import assert from "node:assert/strict";
import { test } from "node:test";
import type { Resource } from "../resource.ts";
import { negotiateShape } from "./shape.ts";

const table = "application/json;as=Table;v=v1;g=meta.k8s.io";
const wanted = (accept: string) => ({ accept, collection: false, watch: false, cbor: false });
const resource = (...verbs: string[]) => ({ verbs }) as unknown as Resource; // nothing else is looked at

// conformance: Servers with support for Table transformation should return a 406 for a backend which does not implement metadata
test("shape: what can't be listed has no table", () => {
  assert.throws(() => negotiateShape(wanted(table), resource("create")), /only the following media types are accepted/);
  assert.equal(negotiateShape(wanted(`${table},application/json`), resource("create")).transform, undefined);
  assert.equal(negotiateShape(wanted(table), resource("create", "list")).transform?.kind, "Table");
});

test("shape: a watch has no YAML", () => {
  const watched = (accept: string) =>
    negotiateShape({ ...wanted(accept), collection: true, watch: true }, resource("list"));
  assert.throws(
    () => watched("application/yaml"),
    /: application\/json;stream=watch, application\/vnd.kubernetes.protobuf;stream=watch$/,
  );
  assert.throws(() => watched("application/yaml,application/json"));
  assert.equal(watched("application/json,application/yaml").format, "json");
});
