import assert from "node:assert/strict";
import { test } from "node:test";
import { durationProblem, parseDuration, printDuration } from "./duration.ts";

test("duration: read and printed as Go does", () => {
  const cases: [text: string, ms: number, printed: string][] = [
    ["0", 0, "0s"],
    ["1h30m", 5_400_000, "1h30m0s"],
    ["1.5s", 1500, "1.5s"],
    ["-2m", -120_000, "-2m0s"],
    [".25s", 250, "250ms"],
  ];
  for (const [text, ms, printed] of cases) {
    assert.equal(parseDuration(text), ms, text);
    assert.equal(printDuration(ms), printed, text);
  }
});

test("duration: what is wrong is told in Go's words", () => {
  assert.equal(durationProblem("5m"), "");
  assert.equal(durationProblem(""), 'time: invalid duration ""');
  assert.equal(durationProblem("5"), 'time: missing unit in duration "5"');
  assert.equal(durationProblem("5 minutes"), 'time: unknown unit " minutes" in duration "5 minutes"');
  assert.equal(parseDuration("constructor"), undefined);
});
