import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { whyNoCluster } from "#testing";

const bundled = existsSync(join(import.meta.dirname, "../dist/sampan.js"));
const why = whyNoCluster() ?? (bundled ? undefined : "needs node tools/bundle.ts");

test("bench startup: runs, with every figure", { skip: why ?? false }, () => {
  const file = join(import.meta.dirname, "startup.ts");
  const said = execFileSync(process.execPath, [file, "--tiny"], { encoding: "utf8" });
  for (const start of ["cold", "fresh", "again"]) {
    assert.match(said, new RegExp(`^${start} .*( +\\d+\\.\\d\\d s){3}$`, "m"));
  }
  assert.match(said, /^warm pod, create to Ready: median \d+ ms/m);
  assert.match(said, /^idle: \d+ MiB resident, \d+\.\d % of a core$/m);
});
