import assert from "node:assert/strict";
import { test } from "node:test";
import { goJson, goKindName, goNumber, goQuote, goTypeName, goValue } from "./go-text.ts";

test("go text: quoted as %q", () => {
  const cases: [text: string, quoted: string][] = [
    ["a b", '"a b"'],
    ['"\\', '"\\"\\\\"'],
    ["\n\t\r\v\u0007\0\u007f", '"\\n\\t\\r\\v\\a\\x00\\x7f"'],
    ["é日😀", '"é日😀"'],
    ["\u00a0\u2028\ufeff", '"\\u00a0\\u2028\\ufeff"'],
    ["\u{e0001}", '"\\U000e0001"'],
  ];
  for (const [text, quoted] of cases) assert.equal(goQuote(text), quoted);
});

test("go text: values as %v, maps sorted", () => {
  assert.equal(goValue({ b: [1, "x", null], a: { c: true } }), "map[a:map[c:true] b:[1 x <nil>]]");
  assert.equal(goNumber(1e21), "1e+21");
  assert.equal(goNumber(1e-7), "1e-07");
  assert.equal(goNumber(1e19), "1e+19");
  assert.equal(goNumber(123456.5), "123456.5");
  assert.equal(goNumber(1234567.5), "1.2345675e+06");
  assert.equal(goNumber(1234567), "1234567");
  assert.equal(goJson({ a: "<&>" }), '{"a":"\\u003c\\u0026\\u003e"}');
});

test("go text: types and kinds", () => {
  const cases: [value: unknown, type: string, kind: string][] = [
    ["a", "string", "string"],
    [1, "int64", "int64"],
    [1.5, "float64", "float64"],
    [true, "bool", "bool"],
    [[], "[]interface {}", "slice"],
    [{}, "map[string]interface {}", "map"],
  ];
  for (const [value, type, kind] of cases) {
    assert.equal(goTypeName(value), type);
    assert.equal(goKindName(value), kind);
  }
});
