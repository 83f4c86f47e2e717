import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const missing = [join(import.meta.dirname, "../dist/sampan.js"), "/usr/bin/wrk", "/usr/sbin/haproxy"].find(
  (file) => !existsSync(file),
);
const why = process.getuid?.() !== 0 ? "needs root" : missing && `needs ${missing}`;

test("bench ingress: runs, with a figure in every cell", { skip: why ?? false }, () => {
  const program = join(import.meta.dirname, "ingress.ts");
  const table = execFileSync(process.execPath, [program, "--tiny"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines = table.trim().split("\n").slice(-3);
  assert.match(lines[0] ?? "", /^haproxy, asked directly +\d+\/s +\d+/);
  for (const line of lines.slice(1)) assert.match(line, / {2}\d+\/s +[\d.]+m?s +\d+ µs$/, table);
});
