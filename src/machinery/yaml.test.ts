import assert from "node:assert/strict";
import { test } from "node:test";
import { duplicatesError, parseYaml } from "./yaml.ts";

test("yaml: scalars are those of YAML 1.1 as yaml.v2 reads them", () => {
  const cases: [text: string, value: unknown][] = [
    ["yes", true],
    ["Off", false],
    ["y", true],
    ["~", null],
    ["", undefined],
    ["010", 8],
    ["0o10", 8],
    ["08", 8],
    ["0x1F", 31],
    ["0b101", 5],
    ["-12", -12],
    ["1_000", 1000],
    ["1.5", 1.5],
    ["1e3", 1000],
    ["1.2.3", "1.2.3"],
    ["12:30", "12:30"],
    ["2026-01-02", "2026-01-02"],
    ['"yes"', "yes"],
    ["'1'", "1"],
    ["!!str 1", "1"],
    ["v1", "v1"],
    ["|\n  a\n  b\n", "a\nb\n"],
  ];
  for (const [text, value] of cases) assert.deepEqual(parseYaml(text).value, value, text);
});

test("yaml: maps, lists, aliases and merges", () => {
  const { value } = parseYaml("base: &b {x: 1, z: 2}\nlist: [*b, 3]\nderived:\n  <<: *b\n  z: 9\n1: one\ntrue: t\n");
  assert.deepEqual(value, {
    base: { x: 1, z: 2 },
    list: [{ x: 1, z: 2 }, 3],
    derived: { x: 1, z: 9 },
    1: "one",
    true: "t",
  });
});

test("yaml: only the first document counts", () => {
  assert.deepEqual(parseYaml("---\na: 1\n---\nb: 2\n").value, { a: 1 });
});

test("yaml: repeated keys are noted", () => {
  const { value, duplicates } = parseYaml("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n");
  assert.deepEqual(value, { a: 3, b: { c: 2 } });
  assert.deepEqual(duplicates, ['line 4: key "c" already set in map', 'line 5: key "a" already set in map']);
  assert.equal(duplicatesError(["line 1: x"]), "yaml: unmarshal errors:\n  line 1: x");
});

test("yaml: bad text is refused", () => {
  const refused: [string, string][] = [
    ["a: [b", "yaml: line 1: did not find expected ',' or ']'"],
    ["a: *x", "yaml: unknown anchor 'x' referenced"],
    ["a: .nan", "json: unsupported value: .nan"],
  ];
  for (const [text, message] of refused) assert.throws(() => parseYaml(text), { name: "YamlError", message }, text);
});

test("yaml: a few aliases cannot stand for gigabytes", () => {
  const levels = Array.from({ length: 9 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array(10).fill(`*l${i}`).join(",")}]`);
  assert.throws(() => parseYaml(["l0: &l0 [x]", ...levels].join("\n")), {
    message: "yaml: document contains excessive aliasing",
  });
});
