/** `sampan down` works whatever happened before, and leaves nothing: no process, mount, interface, route, rule, cgroup or container. */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { fillDisk, leftovers, startTestCluster, type TestCluster, whyNoCluster } from "#testing";

const image = "demo/busybox:1";
const why = whyNoCluster() ?? (existsSync("/bin/busybox") ? undefined : "needs busybox-static");
const program = path.resolve(import.meta.dirname, "../dist/sampan.js");
/** Enough that some are in the middle of their start whenever something is killed. */
const podsCount = 3;

suite("down", { skip: why ?? false }, () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startTestCluster();
    await cluster.sampan(
      "image",
      "pack",
      image,
      "--file",
      "/bin/busybox:/bin/busybox",
      "--file",
      "/bin/busybox:/bin/sh",
    );
    await createPods();
  });
  after(() => cluster?.close());

  const pidFile = () => path.join(cluster.dataDir, "sampan.pid");
  const containerd = (name: string) =>
    path.join(cluster.dataDir, "nodes", hostname().toLowerCase(), "containerd", name);
  /** By a program of the namespace: the file may be on a disk that is mounted there only. */
  const killContainerd = () => cluster.run("sh", "-ec", 'kill -9 "$(cat "$1")"', "sh", containerd("containerd.pid"));

  const fakeContainerd = () => path.join(cluster.directory, "containerd");
  /** With a containerd that doesn't run, if there is one in the folder. */
  const down = () =>
    cluster.run(
      "env",
      `PATH=${cluster.directory}:${process.env.PATH}`,
      process.execPath,
      program,
      "down",
      "--data-dir",
      cluster.dataDir,
    );

  /** Pods that write, with a volume each; they ignore SIGTERM. Made once: each `up` starts them again. */
  async function createPods(): Promise<void> {
    const items = Array.from({ length: podsCount }, (_, i) => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: `p-${i}` },
      spec: {
        volumes: [{ name: "v", emptyDir: { medium: "Memory" } }],
        containers: [
          {
            name: "c",
            image,
            command: ["/bin/sh", "-c", "trap '' TERM; echo x > /v/x; while :; do busybox sleep 1; done"],
            volumeMounts: [{ name: "v", mountPath: "/v" }],
          },
        ],
      },
    }));
    await cluster.kubectlInput(JSON.stringify({ apiVersion: "v1", kind: "List", items }), "create");
  }
  const podsRun = async () => {
    await cluster.kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=40s");
  };

  const cases: [name: string, happens: () => Promise<void>][] = [
    ["pods that are just starting", async () => undefined],
    ["a running cluster", podsRun],
    [
      "a killed sampan",
      async () => {
        await podsRun();
        await cluster.stop("SIGKILL");
      },
    ],
    [
      "a killed containerd",
      async () => {
        await podsRun();
        await killContainerd();
      },
    ],
    [
      "both killed while pods start",
      async () => {
        await killContainerd();
        await cluster.stop("SIGKILL");
      },
    ],
    [
      "a damaged pid file, with sampan running",
      async () => {
        await podsRun();
        writeFileSync(pidFile(), "{");
      },
    ],
    [
      "a damaged pid file, after sampan was killed",
      async () => {
        await podsRun();
        await cluster.stop("SIGKILL");
        writeFileSync(pidFile(), "");
      },
    ],
    [
      "a containerd that can't be started again",
      async () => {
        await podsRun();
        await cluster.stop("SIGKILL");
        await killContainerd();
        writeFileSync(fakeContainerd(), "#!/bin/sh\necho kaput; exit 1\n", { mode: 0o755 });
      },
    ],
  ];
  for (const [name, happens] of cases)
    test(`down: after ${name} nothing is left, and twice is like once`, async () => {
      if (cluster.process.exitCode !== null || cluster.process.signalCode !== null) await cluster.start();
      await happens();
      assert.match(await down(), /^down/);
      assert.deepEqual(await leftovers(cluster), []);
      assert.match(await cluster.sampan("down"), /^down/);
    });

  test("down: on a full disk, with everything killed, nothing is left but the data", async (context) => {
    const { dataDir } = cluster;
    if (cluster.process.exitCode === null && cluster.process.signalCode === null) await cluster.sampan("down");
    const move = 'mv "$1" "$1.disk"; mkdir "$1"; mount -t tmpfs -o size=2g none "$1"; cp -a "$1.disk/." "$1/"';
    await cluster.run("sh", "-ec", move, "sh", dataDir);
    context.after(async () => {
      // What runs is found by files on that disk.
      await cluster.stop("SIGKILL");
      await cluster.sampan("down");
      await cluster.run("sh", "-c", 'umount -l "$1"; rmdir "$1"; mv "$1.disk" "$1"', "sh", dataDir);
    });
    await cluster.start();
    await podsRun();
    await fillDisk(cluster, dataDir);
    await assert.rejects(cluster.kubectl("create", "configmap", "more"), /no space left for .*state.db/);
    await cluster.stop("SIGKILL");
    await killContainerd();
    assert.match(await cluster.sampan("down"), /^down/);
    const left = await leftovers(cluster);
    assert.deepEqual(
      left,
      left.filter((line) => line.startsWith(`none ${dataDir} tmpfs`)),
    );
    await cluster.run("test", "-s", path.join(dataDir, "store/state.db"));
  });

  test("down: without any up before, and for a folder that doesn't exist", async () => {
    const nowhere = path.join(cluster.directory, "nowhere");
    assert.match(await cluster.run(process.execPath, program, "down", "--data-dir", nowhere), /^down/);
    assert.equal(existsSync(nowhere), false);
    assert.match(await cluster.run(process.execPath, program, "down", "--purge", "--data-dir", nowhere), /^down/);
  });
});
