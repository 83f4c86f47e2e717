import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

test("bench store: runs, with a result in every line", () => {
  const table = execFileSync(process.execPath, [join(import.meta.dirname, "store.ts"), "--tiny"], { encoding: "utf8" });
  const lines = table.trim().split("\n").slice(3);
  assert.ok(lines.length >= 15, table);
  for (const line of lines) assert.match(line, /\d (writes\/s|events\/s|ms) .*\d ms$/);
});
