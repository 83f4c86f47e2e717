import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { whyNoCluster } from "#testing";

const bundled = existsSync(join(import.meta.dirname, "../dist/sampan.js"));
const why = whyNoCluster() ?? (bundled ? undefined : "needs node tools/bundle.ts");

test("bench node: runs, with every figure", { skip: why ?? false }, () => {
  const said = execFileSync(process.execPath, [join(import.meta.dirname, "node.ts"), "--tiny"], { encoding: "utf8" });
  for (const row of ["RunPodSandbox", "CreateContainer", "StartContainer", "the three calls", "pod, create to Ready"])
    assert.match(said, new RegExp(`^${row} +\\d+ ms +\\d+ ms$`, "m"));
  assert.match(said, /^pod, delete to gone, beyond the grace period +-?\d+ ms/m);
  assert.match(said, /^3 pods at once: all Ready in \d+\.\d s, gone in \d+\.\d s$/m);
  assert.match(said, /^the whole process with 3 idle pods: \d+ MiB resident, \d+\.\d % of a core$/m);
});
