import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { whyNoCluster } from "#testing";

const bundled = existsSync(join(import.meta.dirname, "../dist/sampan.js"));
const why =
  whyNoCluster() ??
  (bundled ? undefined : "needs node tools/bundle.ts") ??
  (existsSync("/bin/busybox") ? undefined : "needs busybox-static");

test("node: pods of all sorts leave no process, mount, interface, cgroup, file or rule", { skip: why ?? false }, () => {
  const args = [join(import.meta.dirname, "leaks.ts"), "--pods", "13", "--at-once", "13"];
  const said = execFileSync(process.execPath, args, { encoding: "utf8" });
  assert.match(said, /^mounts +\d+ +\d+$/m);
  assert.match(said, /^nothing is left$/m);
});
