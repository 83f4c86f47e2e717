import assert from "node:assert/strict";
import { test } from "node:test";
import { cloneJson } from "../deep.ts";
import { applyJsonPatch, type JsonPatchOperation, jsonPatchOperationsMax } from "./json-patch.ts";

const document = { a: 1, "x/y~z": "e", list: [1, 2, 3], map: { k: { deep: [{}] } }, none: null };

test("JSON patch: results", () => {
  const cases: [operations: JsonPatchOperation[], change: (d: typeof document & Record<string, unknown>) => unknown][] =
    [
      [[], (d) => d],
      [[{ op: "add", path: "/b", value: 2 }], (d) => ({ ...d, b: 2 })],
      [[{ op: "add", path: "/a", value: 2 }], (d) => ({ ...d, a: 2 })],
      [[{ op: "add", path: "/b" }], (d) => ({ ...d, b: null })],
      [[{ op: "add", path: "/list/1", value: 9 }], (d) => ({ ...d, list: [1, 9, 2, 3] })],
      [[{ op: "add", path: "/list/-", value: 9 }], (d) => ({ ...d, list: [1, 2, 3, 9] })],
      [[{ op: "add", path: "/list/3", value: 9 }], (d) => ({ ...d, list: [1, 2, 3, 9] })],
      [[{ op: "add", path: "/list/-1", value: 9 }], (d) => ({ ...d, list: [1, 2, 3, 9] })],
      [[{ op: "remove", path: "/list/-1" }], (d) => ({ ...d, list: [1, 2] })],
      [[{ op: "remove", path: "/x~1y~0z" }], ({ "x/y~z": _, ...d }) => d],
      [[{ op: "replace", path: "/map/k/deep/0", value: 1 }], (d) => ({ ...d, map: { k: { deep: [1] } } })],
      [[{ op: "replace", path: "/missing", value: 1 }], (d) => ({ ...d, missing: 1 })],
      [[{ op: "replace", path: "", value: { q: 1 } }], () => ({ q: 1 })],
      [[{ op: "add", path: "data/x", value: 1 }], (d) => ({ ...d, x: 1 })],
      [[{ op: "move", from: "/a", path: "/b" }], ({ a, ...d }) => ({ ...d, b: a })],
      [[{ op: "move", from: "/list/0", path: "/list/2" }], (d) => ({ ...d, list: [2, 3, 1] })],
      [
        [
          { op: "copy", from: "/map", path: "/copy" },
          { op: "add", path: "/copy/k/new", value: 1 },
        ],
        (d) => ({ ...d, copy: { k: { deep: [{}], new: 1 } } }),
      ],
      [[{ op: "test", path: "/map", value: { k: { deep: [{}] } } }], (d) => d],
      [[{ op: "test", path: "/none", value: null }], (d) => d],
      [[{ op: "test", path: "/missing", value: null }], (d) => d],
      [[{ op: "add", path: "/__proto__", value: { x: 1 } }], (d) => ({ ...d, ["__proto__"]: { x: 1 } })],
    ];
  for (const [operations, change] of cases) {
    const original = cloneJson(document);
    const result = applyJsonPatch(original, operations);
    assert.deepEqual(result, change(cloneJson(document)), JSON.stringify(operations));
    assert.deepEqual(original, document, "the original stays");
  }
});

test("JSON patch: what cannot be applied is refused", () => {
  const refused: JsonPatchOperation[] = [
    { op: "remove", path: "/missing" },
    { op: "remove", path: "" },
    { op: "add", path: "/missing/x", value: 1 },
    { op: "add", path: "/a/x", value: 1 },
    { op: "add", path: "/list/4", value: 1 },
    { op: "add", path: "/list/-5", value: 1 },
    { op: "replace", path: "/list/3", value: 1 },
    { op: "replace", path: "", value: "x" },
    { op: "remove", path: "/list/x" },
    { op: "move", from: "/missing", path: "/b" },
    { op: "move", path: "/b" },
    { op: "test", path: "/a", value: 2 },
    { op: "test", path: "/missing", value: 1 },
    { op: "shuffle", path: "/a" },
    { path: "/a", value: 1 },
    { op: "add", value: 1 },
  ];
  for (const operation of refused) {
    assert.throws(
      () => applyJsonPatch(document, [operation]),
      { name: "PatchError", code: "unprocessable" },
      JSON.stringify(operation),
    );
  }
});

test("JSON patch: work and memory are bounded", () => {
  const many = Array.from({ length: jsonPatchOperationsMax + 1 }, () => ({ op: "test", path: "/a", value: 1 }));
  assert.throws(() => applyJsonPatch(document, many), {
    code: "too-large",
    message: "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001",
  });
  const big = { big: "x".repeat(1024 * 1024) };
  const copies = Array.from({ length: 4 }, (_, i) => ({ op: "copy", from: "/big", path: `/b${i}` }));
  assert.throws(
    () => applyJsonPatch(big, copies),
    /the accumulated size increase of copy is \d+, exceeding the limit 3145728/,
  );
});

test("JSON patch: a value is not changed by later operations", () => {
  const value = { inner: [1] };
  applyJsonPatch({}, [
    { op: "add", path: "/v", value },
    { op: "add", path: "/v/inner/-", value: 2 },
  ]);
  assert.deepEqual(value, { inner: [1] });
});
