import assert from "node:assert/strict";
import { test } from "node:test";
import { createEnvironment, dynType } from "./mod.ts";

const environment = createEnvironment({ variables: { a: dynType, m: dynType } });

/** Small, fast and the same everywhere (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pieces = [
  ..."== != in < <= && || [ ] { } ( ) . , - ! ? : + * / % true null 1 2u 1.5 .5 'x' b'y' \"z\" a m `q` as if 0x1F".split(
    " ",
  ),
  ...[
    "m.map(",
    "m.all(i,",
    "has(",
    ".?",
    "[?",
    "'''",
    '"""',
    "\\",
    "\n",
    " ",
    "\t",
    "\u0000",
    "é",
    "😀",
    "//",
    "Foo{a:",
    "$",
  ],
];

test("parser: whatever is thrown at it, it answers with a program or with issues", () => {
  const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`seed: ${seed} (FUZZ_SEED=${seed} repeats it)`);
  const random = randomFrom(seed);
  for (let i = 0; i < 1500; i++) {
    const length = 1 + Math.floor(random() * 14);
    const parts = Array.from({ length }, () => pieces[Math.floor(random() * pieces.length)]);
    const source = parts.join(random() < 0.5 ? " " : "");
    const { program, issues } = environment.compile(source);
    if (program) assert.ok(program.outputType, source);
    else assert.ok(issues, source);
  }
});

test("parser: deep and long expressions are refused", () => {
  const refused = (source: string): string => environment.compile(source).issues?.split("\n")[0] ?? "compiled";
  assert.equal(refused("(".repeat(50_000)), "ERROR: <input>:-1:0: expression recursion limit exceeded: 250");
  assert.equal(refused(`1${" + 1".repeat(20_000)}`), "ERROR: <input>:-1:0: max recursion depth exceeded");
  assert.equal(
    refused("a".repeat(100_001)),
    "ERROR: <input>:-1:0: expression code point size exceeds limit: size: 100001, limit 100000",
  );
  assert.match(refused("a b ".repeat(20_000)), /Syntax error: extraneous input 'b'/);
});
