import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const missing = existsSync(join(import.meta.dirname, "../dist/sampan.js"))
  ? existsSync("/usr/bin/dnsperf")
    ? false
    : "needs dnsperf"
  : "needs node tools/bundle.ts";

test("bench dns: runs, with a figure in every line", { skip: missing }, () => {
  const table = execFileSync(process.execPath, [join(import.meta.dirname, "dns.ts"), "--tiny"], { encoding: "utf8" });
  const lines = table.trim().split("\n");
  assert.equal(lines.length, 6, table);
  for (const line of lines) assert.match(line, / \d+(\.\d+)?( MiB| ms,.* ms.*|, of one core \d+; lost 0)$/);
  assert.doesNotMatch(table, /NaN/);
});
