import assert from "node:assert/strict";
import { test } from "node:test";
import { cloneJson } from "../deep.ts";
import { workload } from "../sample-types.ts";
import { strategicPatch } from "./strategic-patch.ts";

type Json = Record<string, unknown>;

function patchSpec(original: Json, patch: Json): unknown {
  const before = { spec: original };
  const copies = [cloneJson(before), cloneJson(patch)];
  const result = strategicPatch(before, { spec: patch }, workload);
  assert.deepEqual([before, patch], copies, "the original and the patch stay as they were");
  return result.spec;
}

const names = (...list: string[]) => list.map((name) => ({ name }));

test("strategic patch: results", () => {
  const cases: [what: string, original: Json, patch: Json, result: Json][] = [
    [
      "items merge by key",
      { containers: [{ name: "a", image: "1", args: ["x"] }, { name: "b" }] },
      {
        containers: [{ name: "a", image: "2" }],
      },
      { containers: [{ name: "a", image: "2", args: ["x"] }, { name: "b" }] },
    ],
    [
      "new items come first",
      { containers: names("a", "b") },
      { containers: names("c") },
      {
        containers: names("c", "a", "b"),
      },
    ],
    [
      "lists without a strategy are replaced",
      { containers: [{ name: "a", args: ["x", "y"] }] },
      {
        containers: [{ name: "a", args: ["z"] }],
      },
      { containers: [{ name: "a", args: ["z"] }] },
    ],
    [
      "nested merging lists",
      { containers: [{ name: "a", env: [{ name: "A", value: "1" }, { name: "B" }] }] },
      {
        containers: [{ name: "a", env: [{ name: "A", $patch: "delete" }, { name: "C" }] }],
      },
      { containers: [{ name: "a", env: [{ name: "C" }, { name: "B" }] }] },
    ],
    ["null deletes, also what isn't there", { hostNetwork: true }, { hostNetwork: null, grace: null }, {}],
    [
      "delete by key",
      { containers: names("a", "b", "c") },
      { containers: [{ name: "b", $patch: "delete" }] },
      {
        containers: names("a", "c"),
      },
    ],
    [
      "replace a list",
      { containers: names("a", "b") },
      { containers: [{ name: "c" }, { $patch: "replace" }] },
      {
        containers: names("c"),
      },
    ],
    [
      "replace a map",
      { nodeSelector: { a: "1", b: "2" } },
      { nodeSelector: { $patch: "replace", c: "3" } },
      {
        nodeSelector: { c: "3" },
      },
    ],
    ["empty a map", { nodeSelector: { a: "1" } }, { nodeSelector: { $patch: "delete" } }, { nodeSelector: {} }],
    [
      "a directive where nothing is",
      {},
      { nodeSelector: { $patch: "replace", a: "1" }, containers: [{ name: "x", $patch: "delete" }] },
      {
        containers: [],
      },
    ],
    [
      "retain keys",
      { strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1 } } },
      {
        strategy: { $retainKeys: ["type"], type: "Recreate" },
      },
      { strategy: { type: "Recreate" } },
    ],
    [
      "element order",
      { containers: names("a", "b", "c") },
      {
        "$setElementOrder/containers": names("c", "d", "a"),
        containers: names("d"),
      },
      { containers: names("b", "c", "d", "a") },
    ],
    [
      "element order alone",
      { containers: names("a", "b") },
      { "$setElementOrder/containers": names("b", "a") },
      {
        containers: names("b", "a"),
      },
    ],
    [
      "order with a new item in the place of a deleted one",
      { containers: names("1", "2", "4") },
      {
        "$setElementOrder/containers": names("2", "3"),
        containers: [{ name: "3" }, { name: "1", $patch: "delete" }],
      },
      { containers: names("2", "4", "3") },
    ],
    ["another type replaces", { nodeSelector: { a: "1" } }, { nodeSelector: "odd" }, { nodeSelector: "odd" }],
    ["nulls in new values go", {}, { nodeSelector: { a: null, b: "1" } }, { nodeSelector: { b: "1" } }],
  ];
  for (const [what, original, patch, result] of cases) assert.deepEqual(patchSpec(original, patch), result, what);
});

test("strategic patch: lists of primitives", () => {
  const metadata = (finalizers: string[], patch: Json) =>
    (strategicPatch({ metadata: { finalizers } }, { metadata: patch }, workload).metadata as Json).finalizers;
  assert.deepEqual(metadata(["a", "b"], { finalizers: ["c", "a"] }), ["c", "a", "b"]);
  assert.deepEqual(metadata(["a", "b", "c"], { "$deleteFromPrimitiveList/finalizers": ["b"] }), ["a", "c"]);
  assert.deepEqual(
    metadata(["a", "b"], {
      "$setElementOrder/finalizers": ["c", "a"],
      finalizers: ["c"],
      "$deleteFromPrimitiveList/finalizers": ["b"],
    }),
    ["c", "a"],
  );
  assert.deepEqual(metadata(["a"], { finalizers: null }), undefined);
});

test("strategic patch: refusals are upstream's", () => {
  const containers = names("a");
  const cases: [patch: Json, code: string, message: string][] = [
    [{ containers: [{ image: "x" }] }, "internal", "map: map[image:x] does not contain declared merge key: name"],
    [{ strategy: { $patch: "odd" } }, "internal", "unknown patch type: odd in map: map[$patch:odd]"],
    [
      { containers: [{ name: "a", $patch: "merge" }] },
      "internal",
      "merging lists cannot yet be specified in the patch",
    ],
    [
      { "$setElementOrder/containers": names("b"), containers: [{ name: "a", image: "x" }] },
      "internal",
      "The order in patch list:\n[map[image:x name:a]]\n doesn't match $setElementOrder list:\n[map[name:b]]\n",
    ],
    [{ $setElementOrder_containers: [] }, "malformed", "invalid patch format of setElementOrder list"],
    [{ "$setElementOrder/containers": "x" }, "internal", "expected a []interface {}, but received a string"],
    [{ "$setElementOrder/odd": [] }, "internal", 'unable to find api field in struct PodSpec for the json field "odd"'],
    [{ strategy: { $retainKeys: ["rollingUpdate"], type: "x" } }, "malformed", "invalid patch format of retainKeys"],
    [{ $deleteFromPrimitiveList_x: [] }, "malformed", "invalid patch format of primitive list"],
    [{ containers: [[]] }, "internal", "list element types are not identical: [[map[name:a]] [[]]]"],
  ];
  const original = { containers, strategy: { type: "y" } };
  for (const [patch, code, message] of cases) {
    assert.throws(() => patchSpec(original, patch), { name: "PatchError", code, message }, JSON.stringify(patch));
  }
});

test("strategic patch: directives have no place in an order, unless they come last", () => {
  const original = { spec: { containers: [{ name: "a" }, { name: "b" }] } };
  const order = [{ name: "b" }, { name: "a" }];
  const patch = (containers: unknown[]) =>
    strategicPatch(original, { spec: { containers, "$setElementOrder/containers": order } }, workload);
  assert.deepEqual(
    patch([
      { $patch: "delete", name: "x" },
      { name: "a", image: "i" },
    ]),
    {
      spec: { containers: [{ name: "b" }, { name: "a", image: "i" }] },
    },
  );
  assert.throws(() => patch([{ name: "a" }, { $patch: "replace" }]), /doesn't match \$setElementOrder list/);
});

test("strategic patch: what an empty order says nothing about stays in front", () => {
  const original = { spec: { containers: [{ name: "x" }] } };
  const patch = { spec: { containers: [{ name: "y" }], "$setElementOrder/containers": [] } };
  assert.deepEqual(strategicPatch(original, patch, workload), { spec: { containers: [{ name: "x" }, { name: "y" }] } });
});
