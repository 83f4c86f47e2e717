import assert from "node:assert/strict";
import { test } from "node:test";
import { describeFlags, FlagError, type FlagSpecs, parseFlags } from "./flag.ts";

const specs = {
  "data-dir": { type: "string", default: "/var/lib/x", help: "Where state is kept." },
  "secure-port": { type: "int", default: 6443, min: 1, max: 65535, help: "Port of the API server." },
  detach: { type: "bool", short: "d", help: "Run in the background." },
  file: { type: "strings", help: "Files." },
} as const satisfies FlagSpecs;

test("flags: command line over environment over file over default", () => {
  const parsed = parseFlags(specs, {
    args: ["--secure-port=1", "x", "-d", "--file", "a", "--file", "b,c"],
    env: { SAMPAN_SECURE_PORT: "2", SAMPAN_DATA_DIR: "/env" },
    file: { path: "f", values: { "data-dir": "/file", "secure-port": 3 } },
  });
  assert.deepEqual(parsed, {
    values: { "data-dir": "/env", "secure-port": 1, detach: true, file: ["a", "b", "c"] },
    positionals: ["x"],
  });
});

for (const [name, args, message] of [
  ["unknown", ["--nope"], "unknown flag: --nope"],
  ["misspelt", ["--data-dirr", "x"], "unknown flag: --data-dirr; did you mean --data-dir?"],
  ["no value", ["--data-dir"], "flag needs a value: --data-dir"],
  ["range", ["--secure-port=0"], '--secure-port: want a whole number from 1 to 65535, have "0"'],
  ["bool", ["--detach=x"], '--detach: want true or false, have "x"'],
] as const)
  test(`flags: ${name} fails with a clear message`, () => {
    assert.throws(() => parseFlags(specs, { args, env: {} }), new FlagError(message));
  });

test("flags: an unknown key in the file fails", () => {
  const file = { path: "c.yaml", values: { port: 1 } };
  assert.throws(() => parseFlags(specs, { args: [], env: {}, file }), new FlagError('c.yaml: unknown key "port"'));
});

for (const [name, values, message] of [
  ["a list for a text", { "data-dir": ["a", "b"] }, 'c.yaml: data-dir: want one plain value, have ["a","b"]'],
  ["a map for a number", { "secure-port": { a: 1 } }, 'c.yaml: secure-port: want one plain value, have {"a":1}'],
  ["nothing", { "data-dir": null }, "c.yaml: data-dir: want one plain value, have null"],
  ["maps in a list", { file: [{ a: 1 }] }, 'c.yaml: file: want a list of plain values, have [{"a":1}]'],
] as const)
  test(`flags: ${name} in the file fails with a clear message`, () => {
    const file = { path: "c.yaml", values };
    assert.throws(() => parseFlags(specs, { args: [], env: {}, file }), new FlagError(message));
  });

test("flags: help names each flag once", () => {
  assert.match(describeFlags(specs), /-d, --detach +Run in the background\./);
});
