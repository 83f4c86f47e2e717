import assert from "node:assert/strict";
import { test } from "node:test";
import { cloneJson, jsonEqual, semanticEqual } from "./deep.ts";

test("deep: a clone shares nothing", () => {
  const original = JSON.parse('{"a":[{"b":null}],"__proto__":{"x":1}}');
  const copy = cloneJson(original);
  assert.equal(JSON.stringify(copy), JSON.stringify(original));
  copy.a[0].b = 1;
  assert.equal(original.a[0].b, null);
  assert.equal(Object.getPrototypeOf(copy), Object.prototype);
});

test("deep: equality as JSON and as upstream sees decoded objects", () => {
  const cases: [a: unknown, b: unknown, json: boolean, semantic: boolean][] = [
    [{ a: 1, b: [1, { c: "x" }] }, { b: [1, { c: "x" }], a: 1 }, true, true],
    [{ a: 1 }, { a: 1, b: undefined }, true, true],
    [{ a: 1 }, { a: 1, b: null }, false, true],
    [{ a: [] }, {}, false, true],
    [{ a: {} }, { a: null }, false, true],
    [undefined, [], false, true],
    [{ a: [1, 2] }, { a: [2, 1] }, false, false],
    [{ a: "1" }, { a: 1 }, false, false],
    [{ a: "" }, {}, false, false],
    [[], {}, false, true],
    [{ toString: 1 }, {}, false, false],
  ];
  for (const [a, b, json, semantic] of cases) {
    const name = `${JSON.stringify(a)} and ${JSON.stringify(b)}`;
    assert.equal(jsonEqual(a, b), json, name);
    assert.equal(jsonEqual(b, a), json, name);
    assert.equal(semanticEqual(a, b), semantic, name);
    assert.equal(semanticEqual(b, a), semantic, name);
  }
});
