import assert from "node:assert/strict";
import { test } from "node:test";
import { printPatched, touchedByOperations } from "./print-patched.ts";

const document = {
  kind: "K",
  apiVersion: "v1",
  metadata: { name: "n", labels: { b: "1", a: "2" } },
  spec: { z: 1, y: [{ d: 1, c: 2 }] },
};

test("printed patch: objects on the way of a merge patch are sorted, others stay", () => {
  assert.equal(
    printPatched(document, { metadata: { labels: { a: "2" } } }),
    '{"apiVersion":"v1","kind":"K","metadata":{"labels":{"a":"2","b":"1"},"name":"n"},"spec":{"z":1,"y":[{"d":1,"c":2}]}}',
  );
  assert.equal(printPatched(5, {}), "5");
});

test("printed patch: the way of an operation, by escaped keys and positions", () => {
  const touched = touchedByOperations([{ path: "/spec/y/0/c" }, { path: "/a~1b/c", from: "/metadata/x" }, {}]);
  assert.deepEqual(touched, { spec: { y: { 0: {} } }, "a/b": {}, metadata: {} });
  assert.equal(
    printPatched(document, touched),
    '{"apiVersion":"v1","kind":"K","metadata":{"labels":{"b":"1","a":"2"},"name":"n"},"spec":{"y":[{"c":2,"d":1}],"z":1}}',
  );
});
