import assert from "node:assert/strict";
import { test } from "node:test";
import { compareElements, printElement } from "./element.ts";
import {
  canonicalSet,
  difference,
  equals,
  type FieldSet,
  fieldSet,
  has,
  intersection,
  leaf,
  printPaths,
  restrict,
  union,
} from "./set.ts";

/** As it is stored, so that the order of keys counts. */
const same = (actual: FieldSet, expected: FieldSet) => assert.equal(JSON.stringify(actual), JSON.stringify(expected));

const data = (...names: string[]): FieldSet => ({ "f:data": Object.fromEntries(names.map((name) => [name, {}])) });

test("element: fields come before keys, values and positions, numbers in keys in their order", () => {
  const sorted = [
    ".",
    "f:B",
    "f:a",
    'k:{"name":"a"}',
    'k:{"port":80}',
    'k:{"port":443}',
    'k:{"port":443,"protocol":"TCP"}',
    "v:1",
    'v:"a"',
    "v:true",
    "i:2",
    "i:10",
  ];
  assert.deepEqual([...sorted].reverse().sort(compareElements), sorted);
});

test("element: printed as in messages", () => {
  assert.equal(printElement("f:a.b"), ".a.b");
  assert.equal(printElement('k:{"port":80,"protocol":"TCP"}'), '[port=80,protocol="TCP"]');
  assert.equal(printElement('v:"x"'), '[="x"]');
  assert.equal(printElement("i:3"), "[3]");
});

test("set: union keeps the order, and a member stays one when it gets children", () => {
  same(union(data("f:b"), data("f:a", "f:c")), data("f:a", "f:b", "f:c"));
  same(union({ "f:x": {} }, { "f:x": { "f:y": {} } }), { "f:x": { ".": {}, "f:y": {} } });
  same(union({ "f:x": { ".": {}, "f:z": {} } }, { "f:x": { "f:y": {} } }), {
    "f:x": { ".": {}, "f:y": {}, "f:z": {} },
  });
  same(union(leaf, data("f:a")), data("f:a"));
});

test("set: difference takes members, not what is below them", () => {
  same(difference(data(".", "f:a"), data("f:a")), { "f:data": {} });
  same(difference(data(".", "f:a"), { "f:data": {} }), data("f:a"));
  same(difference(data("f:a"), { "f:data": {} }), data("f:a"));
  same(difference(data("f:a"), data("f:a")), {});
  const kept = data("f:a");
  assert.equal(difference(kept, data("f:b")), kept, "nothing went: the same set");
});

test("set: deep difference takes what is below a member too", () => {
  same(difference({ ...data("f:a"), "f:spec": { "f:x": {} } }, fieldSet(["data"]), true), { "f:spec": { "f:x": {} } });
  same(difference(data(".", "f:a"), data("f:a"), true), { "f:data": {} });
});

test("set: intersection, membership, equality", () => {
  same(intersection(data(".", "f:a", "f:b"), data("f:b", "f:c")), data("f:b"));
  same(intersection(data(".", "f:a"), data(".")), { "f:data": {} });
  same(intersection(data("f:a"), { "f:data": {} }), {});
  assert.equal(has(data("f:a"), "f:data", "f:a"), true);
  assert.equal(has(data("f:a"), "f:data"), false);
  assert.equal(equals(data(".", "f:a"), data("f:a", ".")), true);
  assert.equal(equals(data("f:a"), data("f:a", "f:b")), false);
});

test("set: a pattern restricts it", () => {
  const pattern = { "f:spec": { "f:boxes": { "*": { "f:resources": {} } } } };
  const set = {
    "f:data": { "f:a": {} },
    "f:spec": {
      "f:boxes": { 'k:{"name":"x"}': { ".": {}, "f:image": {}, "f:resources": { "f:limits": { "f:cpu": {} } } } },
    },
  };
  same(restrict(set, pattern), {
    "f:spec": { "f:boxes": { 'k:{"name":"x"}': { ".": {}, "f:resources": { "f:limits": { "f:cpu": {} } } } } },
  });
});

test("set: paths are printed level by level", () => {
  assert.deepEqual(printPaths({ "f:a": { "f:b": {} }, "f:c": {} }), [".c", ".a.b"]);
});

test("set: what clients send is made canonical", () => {
  const kept = data(".", "f:a", "f:b");
  assert.equal(canonicalSet(kept), kept);
  same(canonicalSet({ "f:data": { "f:b": null, "f:a": {}, ".": {} } }), data(".", "f:a", "f:b"));
  same(canonicalSet({ ".": {}, "f:a": { ".": {} } }), { "f:a": {} });
  same(canonicalSet({ "x:later": {}, "f:a": { "y:later": {} } }), { "f:a": {} });
  same(canonicalSet({ 'k:{"b": 1, "a": "<"}': {} }), { 'k:{"a":"\\u003c","b":1}': {} });
  same(canonicalSet(undefined), {});
  assert.throws(() => canonicalSet({ nonsense: {} }), /missing colon: nonsense/);
  assert.throws(() => canonicalSet({ "f:a": 1 }), /expect/);
  assert.throws(() => canonicalSet({ "k:{": {} }));
});

/** Small random sets as lists of paths, the plain form that the trees are checked against. */
function randomPaths(random: () => number): string[] {
  const steps = ["f:a", "f:b", 'k:{"n":1}', 'k:{"n":2}', "v:1"];
  return Array.from({ length: Math.floor(random() * 8) }, () =>
    Array.from({ length: 1 + Math.floor(random() * 3) }, () => steps[Math.floor(random() * steps.length)]).join("/"),
  );
}

const treeOf = (paths: readonly string[]): FieldSet =>
  paths.reduce<FieldSet>(
    (set, path) =>
      union(
        set,
        path.split("/").reduceRight<FieldSet>((below, step) => ({ [step]: below }), leaf),
      ),
    leaf,
  );

function pathsOf(set: FieldSet, prefix = ""): string[] {
  return Object.entries(set).flatMap(([step, below]) => {
    if (step === ".") return [];
    const path = prefix + step;
    return [...(has({ x: below }, "x") ? [path] : []), ...pathsOf(below, `${path}/`)];
  });
}

test("set: operations agree with lists of paths", () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  let state = seed;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  for (let round = 0; round < 400; round++) {
    const a = [...new Set(randomPaths(random))];
    const b = [...new Set(randomPaths(random))];
    const [treeA, treeB] = [treeOf(a), treeOf(b)];
    const below = (path: string): boolean => b.some((other) => path === other || path.startsWith(`${other}/`));
    const results: [string, FieldSet, string[]][] = [
      ["union", union(treeA, treeB), [...new Set([...a, ...b])]],
      ["intersection", intersection(treeA, treeB), a.filter((path) => b.includes(path))],
      ["difference", difference(treeA, treeB), a.filter((path) => !b.includes(path))],
      ["deep difference", difference(treeA, treeB, true), a.filter((path) => !below(path))],
    ];
    for (const [name, actual, expected] of results) {
      const where = `${name} of ${JSON.stringify([a, b])}, SEED=${seed}`;
      assert.deepEqual(pathsOf(actual).sort(), expected.sort(), where);
      assert.equal(canonicalSet(actual), actual, `canonical: ${where}`);
      assert.ok(equals(actual, treeOf(expected)), `equal: ${where}`);
    }
  }
});
