import assert from "node:assert/strict";
import { test } from "node:test";
import { printDifference, semanticEqual } from "./equality.ts";

test("nothing and empty are the same to Go, zero isn't", () => {
  const same: [unknown, unknown][] = [
    [{}, { a: undefined, b: null, f: [], g: {} }],
    [undefined, {}],
    [{ a: { b: {} } }, {}],
    [{ limits: { cpu: "1" } }, { limits: { cpu: "1000m" } }],
    [
      { spec: { resources: { requests: { memory: "1Gi" } } } },
      { spec: { resources: { requests: { memory: "1024Mi" } } } },
    ],
    [
      { a: 1, b: 2 },
      { b: 2, a: 1 },
    ],
  ];
  for (const [a, b] of same) assert.equal(semanticEqual(a, b), true, JSON.stringify([a, b]));
  const different: [unknown, unknown][] = [
    [{}, { a: "" }],
    [{}, { a: 0 }],
    [{}, { a: false }],
    [{ a: 1 }, { a: 2 }],
    [{ a: 1 }, { a: "1" }],
    [{ a: "1" }, { a: "1000m" }],
    [[1], [1, 2]],
    [
      [1, 2],
      [2, 1],
    ],
    [{ a: [0] }, { a: {} }],
    [{ limits: { cpu: "x" } }, { limits: { cpu: "y" } }],
  ];
  for (const [a, b] of different) assert.equal(semanticEqual(a, b), false, JSON.stringify([a, b]));
});

test("a difference names the fields that differ", () => {
  const before = { same: 1, changed: { a: 1 }, gone: "x", limits: { cpu: "1" } };
  const after = { same: 1, changed: { a: 2 }, come: [1], limits: { cpu: "1000m" } };
  assert.equal(printDifference(before, after), '-changed: {"a":1}\n+changed: {"a":2}\n-gone: "x"\n+come: [1]\n');
});
