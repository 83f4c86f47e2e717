import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const bundled = existsSync(join(import.meta.dirname, "../dist/sampan.js"));
const skip = bundled ? false : "needs node tools/bundle.ts";

test("bench bundled-stalls: runs, and every request is answered as meant", { skip }, () => {
  const program = join(import.meta.dirname, "bundled-stalls.ts");
  const table = execFileSync(process.execPath, [program, "--tiny"], { encoding: "utf8" });
  const lines = table.trim().split("\n").slice(1);
  assert.ok(lines.length > 20, table);
  for (const line of lines) assert.match(line, / (200|201|413) +\d+\.\d ms +\d+ ms +[\d,]+$/, table);
});
