/** What we tell people to type is typed here, so that it can't rot: the guestbook, and the tour of README.md, word for word. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { startTestCluster, type TestCluster, whyNoCluster } from "#testing";

const root = path.resolve(import.meta.dirname, "..");
const programs = ["/bin/busybox", "/usr/bin/redis-server", "/usr/bin/redis-cli"];
const missing = programs.find((program) => !existsSync(program));
const why = whyNoCluster() ?? (missing ? `needs ${missing}` : undefined);

suite("examples", { skip: why ?? false }, () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startTestCluster();
  });
  after(() => cluster?.close());

  // conformance: Kubectl client Guestbook application should create and stop a working application
  test("guestbook: comes up, is used from inside and outside, and goes without a trace", async () => {
    const run = (...flags: string[]) =>
      cluster.run("sh", "examples/guestbook/run.sh", "--data-dir", cluster.dataDir, ...flags);
    const said = await run();
    assert.match(said, /http:\/\/guestbook\.default\.svc\.cluster\.local\/ shows "from a pod/);
    assert.match(said, /http:\/\/10\.96\.\d+\.\d+\/ shows "from a pod/);
    assert.match(said, /:3\d{4}\/ shows "from the host/);
    assert.match(said, /== works/);
    await run("--clean");
    const kinds = "deployments,replicasets,pods,services,endpoints,endpointslices,configmaps,secrets";
    // What belongs to something that is gone follows a moment later.
    await cluster.until(
      async () =>
        (await cluster.kubectl("get", kinds, "-l", "app=guestbook", "-o", "name")) === "" ? true : undefined,
      "nothing of the guestbook is left",
    );
  });

  test("README.md: its tour works as it is written", async () => {
    const readme = readFileSync(path.join(root, "README.md"), "utf8");
    const tour = /## A tour[\s\S]*?```sh\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
    const lines = tour.split("\n").filter((line) => !line.startsWith("apt-get "));
    assert.ok(lines.length > 10, "README.md has a tour in a block of sh");
    const script = lines.join("\n").replace("/var/lib/sampan", cluster.dataDir);
    const said = await cluster.run("env", `SAMPAN_DATA_DIR=${cluster.dataDir}`, "sh", "-e", "-c", script);
    assert.match(said, /^# Sampan$/m, "the page that the pods serve");
    assert.match(said, /^Name:\s+hello\.default\.svc\.cluster\.local$/m);
    assert.match(said, /^down; data is kept/m);
  });
});
