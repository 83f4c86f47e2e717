import assert from "node:assert/strict";
import { test } from "node:test";
import { printYaml } from "./yaml-print.ts";
import { compareKeys, plainNumber } from "./yaml-words.ts";

const print = (value: unknown): string => printYaml(Buffer.from(JSON.stringify(value)));
const line = (value: unknown): string => print({ v: value }).slice("v: ".length, -1);

test("yaml: lists are as deep as their key, in lists deeper; what is empty stays in its line", () => {
  assert.equal(
    print({ b: [{ c: 1, a: [] }, [[], {}, "x"]], a: { k: null, t: true } }),
    "a:\n  k: null\n  t: true\nb:\n- a: []\n  c: 1\n- - []\n  - {}\n  - x\n",
  );
  assert.equal(print([1]), "- 1\n");
  assert.equal(print("x"), "x\n");
});

test("yaml: strings are quoted when they would be something else", () => {
  const double = [
    "",
    "yes",
    "~",
    "1",
    "-1.5",
    "0x1f",
    "017",
    "1_000",
    ".5",
    "+.inf",
    "0b11",
    "0b-1",
    "190:20:30",
    "2001-1-2",
  ];
  for (const text of double) assert.equal(line(text), `"${text}"`, text);
  const times = ["2001-12-14t21:59:43.1-05:00", "2001-12-14 21:59:43"];
  for (const text of times) assert.equal(line(text), `"${text}"`, text);
  const plain = [
    "x",
    "a:b",
    "a#b",
    "1.2.3",
    "2001-13-01",
    "2001-02-30",
    "0x",
    "1e999",
    "=",
    "<<",
    ".",
    "-x",
    "é",
    "it's",
  ];
  for (const text of plain) assert.equal(line(text), text, text);
  const single = ["- x", "a: b", "a #b", "#", "'", "%", "@x", "? x", "x:", " x", "x ", "---x", "[x"];
  for (const text of single) assert.equal(line(text), `'${text.replaceAll("'", "''")}'`, text);
});

test("yaml: characters that can't be seen are escaped", () => {
  assert.equal(line('\t"\\\u0001\u00a0😀'), '"\\t\\"\\\\\\x01\u00a0\\U0001F600"');
  assert.equal(line("\u00a0"), "\u00a0");
  assert.equal(line("\ufffe\r"), '"\\uFFFE\\r"');
});

test("yaml: texts of several lines", () => {
  assert.equal(print({ v: "a\nb" }), "v: |-\n  a\n  b\n");
  assert.equal(print({ v: "a\n\n b\n" }), "v: |\n  a\n\n   b\n");
  assert.equal(print({ v: " a\n\n", w: ["x\n"] }), "v: |2+\n   a\n\nw:\n- |\n  x\n");
  assert.equal(print({ v: "a \nb" }), 'v: "a \\nb"\n');
  assert.equal(print({ v: "\n" }), "v: |2+\n\n");
});

test("yaml: long strings are folded at spaces, keys never", () => {
  const words = "0123456789 ".repeat(9);
  assert.equal(print({ v: words.trim() }), `v: ${"0123456789 ".repeat(8).trim()}\n  0123456789\n`);
  assert.equal(print({ v: words }), `v: '${"0123456789 ".repeat(8).trim()}\n  0123456789 '\n`);
  assert.equal(line(`\t${words} x`), `"\\t${"0123456789 ".repeat(7).trim()}\n  0123456789 0123456789  x"`);
  assert.equal(print({ [words.trim()]: 1 }), `${words.trim()}: 1\n`);
  const key = "k".repeat(129);
  assert.equal(print({ [key]: { a: [1] } }), `? ${key}\n: a:\n  - 1\n`);
});

test("yaml: numbers as Go writes them, and none is rounded", () => {
  const json =
    '{"a":9223372036854775807,"b":1.0,"c":1e3,"d":1000000.5,"e":0.00001,"f":-0,"g":18446744073709551616,"h":7}';
  assert.equal(
    printYaml(Buffer.from(json)),
    "a: 9223372036854775807\nb: 1\nc: 1000\nd: 1.0000005e+06\ne: 1e-05\nf: 0\ng: 1.8446744073709552e+19\nh: 7\n",
  );
  assert.equal(plainNumber("0.5", 0.5).text, "0.5");
});

test("yaml: keys by numbers in them, letters last", () => {
  const sorted = ["", ".", "10", "a", "a.b", "a1", "a2", "a10", "a010", "aB", "ab", "b"];
  assert.deepEqual([...sorted].reverse().sort(compareKeys), sorted);
});
