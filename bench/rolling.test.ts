import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { whyNoCluster } from "#testing";

const missing = ["dist/sampan.js"].find((file) => !existsSync(join(import.meta.dirname, "..", file)));
const absent = ["/usr/bin/wrk", "/usr/sbin/haproxy", "/bin/busybox"].find((file) => !existsSync(file));
const why = whyNoCluster() ?? (missing ? "needs node tools/bundle.ts" : absent && `needs ${absent}`);

test("bench rolling: no request fails while a Deployment is rolled out", { skip: why ?? false }, () => {
  const said = execFileSync(process.execPath, [join(import.meta.dirname, "rolling.ts"), "--tiny"], {
    encoding: "utf8",
  });
  for (const way of ["cluster address", "node port", "load balancer", "haproxy"])
    assert.match(said, new RegExp(`^${way}.* {2}[1-9]\\d* +0 +\\S+$`, "m"), said);
});
