import assert from "node:assert/strict";
import { test } from "node:test";
import { compileJsonPath, found, printResult } from "./json-path.ts";

const object = {
  spec: {
    text: "a b",
    nothing: null,
    list: [
      { name: "x", size: 1, on: true },
      { name: "y", size: 2.5, on: false },
      { name: "z z", size: 3 },
    ],
    words: { "k.x": "dotted", plain: "p" },
    deep: { name: "d" },
  },
};

// What client-go v0.36.3 answers. Undefined: it refuses the path.
const cases: readonly [path: string, found: unknown[] | undefined][] = [
  [".spec.text", ["a b"]],
  ["$.spec.text", ["a b"]],
  [".spec.nothing", [null]],
  [".spec.nothing.more", []],
  [".spec.missing", []],
  [".spec.text.more", []],
  [".spec.list[0].name", ["x"]],
  [".spec.list[-1].name", ["z z"]],
  [".spec.list[0:2].name", ["x", "y"]],
  [".spec.list[::2].name", ["x", "z z"]],
  [".spec.list[:].name", ["x", "y", "z z"]],
  [".spec.list[0,2].name", ["x", "z z"]],
  [".spec.list[*].size", [1, 2.5, 3]],
  [".spec.list[3].name", []],
  [".spec.list[1:1].name", []],
  [".spec.text[0]", []],
  [".spec.list[?(@.size>2)].name", []], // a whole number and a fraction have no order
  [".spec.list[?(@.size==3)].name", []],
  ['.spec.list[?(@.name=="z z")].size', [3]],
  [".spec.list[?(@.name!='x')].size", [2.5, 3]],
  [".spec.list[?(@.on)].name", ["x", "y"]],
  [".spec.list[?(@.on==true)].name", ["x"]],
  ['.spec.list[?(@.name>="y")].name', ["y", "z z"]],
  [".spec.text[?(@.a)]", []],
  [".spec.words['plain']", ["p"]],
  [".spec.words['k.x']", []], // taken for two fields
  [".spec.words.k\\.x", ["dotted"]],
  ['.spec.words["plain"]', undefined],
  [".spec.words.*", ["dotted", "p"]],
  ["..name", ["x", "y", "z z", "d"]],
  [".spec..size", [1, 2.5, 3]],
  ["....name", undefined],
  [".spec.list[", undefined],
  [".spec.list[a]", undefined],
  [".spec.list[?(@.a]", undefined],
  ["spec", []],
  ["'text'", ["text"]],
  ["#", undefined],
];

for (const [path, wanted] of cases)
  test(`JSON paths: ${path}`, () => {
    const compiled = compileJsonPath(path);
    assert.deepEqual(compiled && [...found(compiled, object)], wanted);
  });

test("JSON paths: results are printed as Go does", () => {
  const printed: [unknown, string][] = [
    [null, "<no value>"],
    [{ b: 1, a: "<" }, '{"a":"\\u003c","b":1}'],
    [[1, "a"], '[1,"a"]'],
    [2.5e-7, "2.5e-07"],
    [1234567, "1234567"],
    [true, "true"],
  ];
  for (const [value, text] of printed) assert.equal(printResult(value), text);
});
