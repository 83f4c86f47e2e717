import assert from "node:assert/strict";
import { test } from "node:test";
import { cloneJson } from "../deep.ts";
import { createMergePatch, createThreeWayMergePatch, mergePatch } from "./merge-patch.ts";

test("merge patch: results", () => {
  const cases: [original: unknown, patch: unknown, result: unknown][] = [
    [{ a: 1, b: { c: 2, d: 3 } }, { b: { c: null, e: 4 } }, { a: 1, b: { d: 3, e: 4 } }],
    [{ a: [1, 2] }, { a: [3] }, { a: [3] }],
    [{ a: { b: 1 } }, { a: "x" }, { a: "x" }],
    [{ a: "x" }, { a: { b: 1, c: null } }, { a: { b: 1 } }],
    [{ a: null }, { a: { b: null, c: 1 } }, { a: { c: 1 } }],
    [{}, { none: null, a: { b: null }, l: [{ x: null, y: 1 }, null] }, { a: {}, l: [{ y: 1 }, null] }],
    [{ a: { b: 1 } }, { a: [{ x: null }] }, { a: [{ x: null }] }],
    [{ toString: 1 }, { toString: null }, {}],
  ];
  for (const [original, patch, result] of cases) {
    const copies = cloneJson([original, patch]);
    assert.deepEqual(mergePatch(original, patch), result, JSON.stringify([original, patch]));
    assert.deepEqual([original, patch], copies, "nothing is changed in place");
  }
});

test("merge patch: what doesn't change is shared", () => {
  const original = { kept: { deep: 1 }, changed: { x: 1 } };
  const result = mergePatch(original, { changed: { x: 2 } }) as typeof original;
  assert.equal(result.kept, original.kept);
});

test("merge patch: made from two versions, it leads from one to the other", () => {
  const cases: [before: unknown, after: unknown, patch: unknown][] = [
    [{ a: 1 }, { a: 1 }, undefined],
    [{ a: 1, b: 2 }, { a: 1 }, { b: null }],
    [{ a: { b: 1, c: 2 } }, { a: { b: 1, c: 3 } }, { a: { c: 3 } }],
    [{ a: [1] }, { a: [1, 2], b: {} }, { a: [1, 2], b: {} }],
    [{ a: 1 }, { a: undefined }, { a: null }],
  ];
  for (const [before, after, patch] of cases) {
    assert.deepEqual(createMergePatch(before, after), patch);
    if (patch) assert.deepEqual(mergePatch(before, patch), JSON.parse(JSON.stringify(after)));
  }
});

test("merge patch: three ways, fields that others added stay", () => {
  const original = { data: { a: "1", gone: "x" } };
  const modified = { data: { a: "2" } };
  const current = { data: { a: "1", gone: "x", theirs: "y" }, status: {} };
  const patch = createThreeWayMergePatch({ original, modified, current });
  assert.deepEqual(patch, { data: { a: "2", gone: null } });
  assert.deepEqual(mergePatch(current, patch), { data: { a: "2", theirs: "y" }, status: {} });
  assert.deepEqual(createThreeWayMergePatch({ original: {}, modified: { a: {} }, current: {} }), { a: {} });
  assert.equal(createThreeWayMergePatch({ original: modified, modified, current: modified }), undefined);
});
