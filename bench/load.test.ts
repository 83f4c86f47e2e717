import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

test("bench load: runs, with every figure", () => {
  const file = join(import.meta.dirname, "load.ts");
  const said = execFileSync(process.execPath, [file, "--tiny"], { encoding: "utf8" });
  const [, names = "", figures = ""] = said.trim().split("\n");
  assert.match(names, /^pods +all Ready .* all gone +processor$/);
  assert.match(figures, /^40( +-?[\d.]+ (s|ms|MiB|KiB)){11}$/);
});
