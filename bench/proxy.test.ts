import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { whyNoNamespaces } from "#testing";

test("bench proxy: runs, with a figure in every line", { skip: whyNoNamespaces() ?? false }, () => {
  const output = execFileSync(process.execPath, [join(import.meta.dirname, "proxy.ts"), "--tiny"], {
    encoding: "utf8",
  });
  const [head, ...lines] = output.trim().split("\n");
  assert.match(head ?? "", /^50 services/);
  assert.equal(lines.length, 8);
  for (const line of lines) assert.match(line, /\d+(\.\d+)? (ms|MiB)|\d+, right/);
});
