import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

test("bench scheduler: runs, with a result in every line", () => {
  const output = execFileSync(process.execPath, [join(import.meta.dirname, "scheduler.ts"), "--tiny"], {
    encoding: "utf8",
  });
  const lines = output.trim().split("\n");
  assert.equal(lines.length, 7);
  for (const line of lines) assert.match(line, / \d+ pods\/s, \d+ on one core, stall \d+ ms/);
});
