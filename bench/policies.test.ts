import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { whyNoNamespaces } from "#testing";

test("bench policies: runs, with every figure", { skip: whyNoNamespaces() ?? false }, () => {
  const file = join(import.meta.dirname, "policies.ts");
  const said = execFileSync(process.execPath, [file, "--policies", "20", "--pods", "60"], { encoding: "utf8" });
  assert.match(said, /^20 policies, 60 pods, half of them here: \d+ lines, \d+ ms/);
  assert.equal(said.match(/: \d+ lines, \d+\.\d ms \(\d+\.\d\d ms ours\)$/gm)?.length, 5);
});
