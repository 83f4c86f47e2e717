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
    ["a: .nan", "json: unsupported value: NaN"],
    ["a: -.inf", "json: unsupported value: -Inf"],
    ["a: b: c", "yaml: mapping values are not allowed in this context"],
    ["a:\n  b\n c: d", "yaml: line 3: mapping values are not allowed in this context"],
    ["- - a\n - b", "yaml: line 1: did not find expected '-' indicator"],
    ["key: [a, b\nother: c", "yaml: line 1: did not find expected ',' or ']'"],
    ["a: }", "yaml: did not find expected node content"],
    ["a: '", "yaml: found unexpected end of stream"],
    ["a: @x", "yaml: found character that cannot start any token"],
    ["%FOO\n---\na: b", "yaml: found unknown directive name"],
    ["%YAML 2.0\n---\na: b", "yaml: found incompatible YAML document"],
    ["a: &a [*a]", "yaml: anchor 'a' value contains itself"],
    ["{a: b}: c", 'yaml: invalid map key: map[interface {}]interface {}{"a":"b"}'],
    ["~: a", 'unsupported map key of type: %!s(<nil>), key: <nil>, value: "a"'],
    ["!!int x", "yaml: cannot decode !!str `x` as a !!int"],
    ["!!binary '*'", "yaml: !!binary value contains invalid base64 data"],
    ["[".repeat(1001) + "]".repeat(1001), "yaml: exceeded max depth of 10000"],
  ];
  for (const [text, message] of refused) assert.throws(() => parseYaml(text), { name: "YamlError", message }, text);
});

test("yaml: bytes that are no text are refused, UTF-16 is read", () => {
  const refused: [bytes: readonly number[], message: string][] = [
    [[0x61, 0x3a, 0x20, 0xff], "yaml: invalid leading UTF-8 octet"],
    [[0x61, 0xc3], "yaml: incomplete UTF-8 octet sequence"],
    [[0xc3, 0x28], "yaml: invalid trailing UTF-8 octet"],
    [[0x61, 0], "yaml: control characters are not allowed"],
  ];
  for (const [bytes, message] of refused) assert.throws(() => parseYaml(Uint8Array.from(bytes)), { message });
  assert.deepEqual(parseYaml(Buffer.from("\ufeffa: ü", "utf16le")).value, { a: "ü" });
  assert.deepEqual(parseYaml(Buffer.from("\ufeffa: ü")).value, { a: "ü" });
});

test("yaml: what comes after a document that has ended is nobody's business", () => {
  assert.deepEqual(parseYaml('{"a": 1} x').value, { a: 1 });
});

test("yaml: a few aliases cannot stand for gigabytes", () => {
  const levels = Array.from({ length: 9 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array(10).fill(`*l${i}`).join(",")}]`);
  assert.throws(() => parseYaml(["l0: &l0 [x]", ...levels].join("\n")), {
    message: "yaml: document contains excessive aliasing",
  });
});
