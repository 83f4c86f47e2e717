import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const bundled = existsSync(join(import.meta.dirname, "../dist/sampan.js"));

test("bench api: runs, with a figure in every cell", { skip: bundled ? false : "needs node tools/bundle.ts" }, () => {
  const table = execFileSync(process.execPath, [join(import.meta.dirname, "api.ts"), "--tiny"], { encoding: "utf8" });
  const lines = table.trim().split("\n").slice(3);
  assert.equal(lines.length, 7, table);
  for (const line of lines) assert.match(line, / {2}\d+\.\d+ (ms|µs) .* \d+ MiB +\d+ MiB$/);
});
