import assert from "node:assert/strict";
import { test } from "node:test";
import { jsonComplaint } from "./json-complaint.ts";
import { parseMerging } from "./json-merging.ts";
import { countMembers, jsonMembers, measureJson, parseJson } from "./json-text.ts";

test("json: complaints are Go's", () => {
  const cases: [text: string, message: string][] = [
    ["", "unexpected end of JSON input"],
    ['{"a":', "unexpected end of JSON input"],
    ['{"a', "unexpected end of JSON input"],
    ["{", "unexpected end of JSON input"],
    ["\ufeff{}", "invalid character 'ï' looking for beginning of value"],
    ["x", "invalid character 'x' looking for beginning of value"],
    ["[1,]", "invalid character ']' looking for beginning of value"],
    ["{a}", "invalid character 'a' looking for beginning of object key string"],
    ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
    ['{"a" 1}', "invalid character '1' after object key"],
    ['{"a":1 "b"}', "invalid character '\"' after object key:value pair"],
    ["[1 2]", "invalid character '2' after array element"],
    ["{}{", "invalid character '{' after top-level value"],
    ["'a'", "invalid character '\\'' looking for beginning of value"],
    ['"a\nb"', "invalid character '\\n' in string literal"],
    ['"\\x"', "invalid character 'x' in string escape code"],
    ['"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"],
    ["-a", "invalid character 'a' in numeric literal"],
    ["01", "invalid character '1' after top-level value"],
    ["1.a", "invalid character 'a' after decimal point in numeric literal"],
    ["1ea", "invalid character 'a' in exponent of numeric literal"],
    ["trux", "invalid character 'x' in literal true (expecting 'e')"],
    ["nil", "invalid character 'i' in literal null (expecting 'u')"],
    ["[".repeat(1001), "invalid character '[' exceeded max depth"],
  ];
  for (const [text, message] of cases) {
    assert.equal(jsonComplaint(text), message, text.slice(0, 20));
    if (text.length < 1000) assert.throws(() => parseJson(text), { name: "JsonSyntaxError", message }, text);
  }
});

test("json: members, depth and fractions of a text", () => {
  const cases: [text: string, members: number, depth: number, decimals?: boolean][] = [
    ["1", 0, 0],
    ["[true,false,1e3]", 0, 1, true],
    ['{"e":1.0}', 1, 1, true],
    ['[true,false,12,"1.5e3"]', 0, 1],
    ["{}", 0, 1],
    ['{"a":{"b":[{"c":":"}]},"d\\":":1}', 4, 4],
    ['{"a\\\\":1,"b":"\\\\\\"{"}', 2, 1],
  ];
  for (const [text, members, depth, decimals = false] of cases) {
    assert.deepEqual(measureJson(text), { members, depth, decimals }, text);
    assert.equal(countMembers(JSON.parse(text)), members, text);
  }
});

test("json: where keys stand, and which stand twice", () => {
  const text = '{"a":1,"b":[{"x":"a","x":2},{"x" : 3}],"\\u0061":{"a":4},"n":[[],{"k":1}]}';
  assert.deepEqual(
    jsonMembers(text)
      .map(({ path, again }) => ({ path: path(), again }))
      .toArray(),
    [
      { path: ["a"], again: false },
      { path: ["b"], again: false },
      { path: ["b", 0, "x"], again: false },
      { path: ["b", 0, "x"], again: true },
      { path: ["b", 1, "x"], again: false },
      { path: ["a"], again: true },
      { path: ["a", "a"], again: false },
      { path: ["n"], again: false },
      { path: ["n", 1, "k"], again: false },
    ],
  );
  assert.equal(measureJson(text).members - countMembers(JSON.parse(text)), 2);
});

test("json: what stands twice is merged as Go merges it", () => {
  const text = '{"a": {"b":1, "c":[{"d":1}]}, "a":{"c": [2], "e\\"":null}, "f":"x", "f":"y","g":1,"g":null}';
  assert.deepEqual(parseMerging(text), { a: { b: 1, c: [2], 'e"': null }, f: "y", g: 1 });
});
