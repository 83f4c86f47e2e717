/** Usage from files as the kernel writes them: v1, v2 and both, and what is told of it. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import { FakeClock } from "#base";
import { createCgroups, findHierarchy } from "../node/cgroups.ts";
import { silentLogger } from "#base";
import type { KubeletHost } from "../host.ts";
import type { PodRuntime } from "../core/types.ts";
import { folderSize } from "./folder-size.ts";
import { readGroup } from "./group-usage.ts";
import { parseInterfaces } from "./network.ts";
import { printResourceMetrics } from "./resource-metrics.ts";
import { createSampler, containerKey } from "./sampler.ts";
import { usageOf } from "./usage.ts";

async function files(context: TestContext, tree: Readonly<Record<string, string>>): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "sampan-stats-"));
  context.after(() => rm(root, { recursive: true }));
  for (const [name, text] of Object.entries(tree)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), text);
  }
  return root;
}

const v1 = (group: string, cpu = "1500000000\n"): Record<string, string> => ({
  [`cpuacct${group}/cpuacct.usage`]: cpu,
  [`memory${group}/memory.usage_in_bytes`]: "1000000\n",
  [`memory${group}/memory.stat`]:
    "cache 5\nrss 6\npgfault 70\npgmajfault 8\ninactive_file 1\ntotal_inactive_file 300000\ntotal_rss 250000\ntotal_swap 4096\n",
  [`memory${group}/memory.limit_in_bytes`]: "9223372036854771712\n",
  [`memory${group}/cgroup.procs`]: "17\n18\n",
});
const v2 = (group: string): Record<string, string> => ({
  [`cg${group}/cgroup.controllers`]: "cpu memory pids\n",
  [`cg${group}/cpu.stat`]: "usage_usec 1500000\nuser_usec 1\nsystem_usec 2\n",
  [`cg${group}/memory.current`]: "1000000\n",
  [`cg${group}/memory.stat`]: "anon 250000\nfile 400000\nkernel 100\ninactive_file 300000\npgfault 70\npgmajfault 8\n",
  [`cg${group}/memory.max`]: "2000000\n",
  [`cg${group}/memory.swap.current`]: "4096\n",
  [`cg${group}/cgroup.procs`]: "17\n18\n",
});
const mountLine = (root: string, at: string, type: string, options: string) =>
  `1 2 0:1 / ${join(root, at)} rw - ${type} ${type} rw,${options}\n`;

const memory = {
  usageBytes: 1_000_000,
  workingSetBytes: 700_000,
  rssBytes: 250_000,
  pageFaults: 70,
  majorPageFaults: 8,
  swapBytes: 4096,
  mappedBytes: 0,
  activeFileBytes: 0,
  inactiveFileBytes: 300_000,
};
const now = () => 5000;

test("usage of a group: v1, each controller in its tree", async (context) => {
  const root = await files(context, v1("/kubepods/pod1"));
  const mounts = ["cpu", "cpuacct", "memory"].map((name) => mountLine(root, name, "cgroup", name)).join("");
  // Both: the controllers are in v1.
  await writeFile(join(root, "mounts"), mounts + mountLine(root, "unified", "cgroup2", ""));
  const hierarchy = await findHierarchy(join(root, "mounts"));
  assert.equal(hierarchy?.version, 1);
  assert.ok(hierarchy);
  assert.deepEqual(await readGroup(hierarchy, "/kubepods/pod1", { now }), {
    timeMs: 5000,
    cpuNanoSeconds: 1_500_000_000,
    memory: { ...memory, cacheBytes: 0, limitBytes: undefined, swapLimitBytes: 0 },
    pids: [17, 18],
  });
  assert.equal(await readGroup(hierarchy, "/kubepods/pod2", { now }), undefined);
});

test("usage of a group: v2, one tree; its root has neither usage nor limit", async (context) => {
  const { "cg/memory.current": _, "cg/memory.max": __, "cg/memory.swap.current": ___, ...ofRoot } = v2("");
  const root = await files(context, { ...v2("/kubepods/pod1"), ...ofRoot });
  await writeFile(join(root, "mounts"), mountLine(root, "cg", "cgroup2", ""));
  const hierarchy = await findHierarchy(join(root, "mounts"));
  assert.ok(hierarchy);
  const group = await readGroup(hierarchy, "/kubepods/pod1", { now });
  assert.deepEqual(group, {
    timeMs: 5000,
    cpuNanoSeconds: 1_500_000_000,
    memory: { ...memory, cacheBytes: 400_000, limitBytes: 2_000_000, swapLimitBytes: 0 },
    pids: [17, 18],
  });
  const whole = await readGroup(hierarchy, "/", { now });
  assert.deepEqual([whole?.memory.usageBytes, whole?.memory.limitBytes], [650_100, undefined]);
  assert.equal(await readGroup(hierarchy, "/kubepods/pod2", { now }), undefined);
});

const pod = {
  metadata: { name: "web", namespace: "ns", uid: "u1" },
  spec: {
    containers: [
      { name: "c", image: "i", resources: { requests: { cpu: "1" } } },
      { name: "gone", image: "i" },
    ],
  },
};
const runtime: PodRuntime = {
  uid: "u1",
  namespace: "ns",
  name: "web",
  sandboxes: [{ id: "s1", ready: true, attempt: 0, createdAt: 1000, hostNetwork: false, ips: [] }],
  containers: [
    { id: "c1", name: "c", state: "running", createdAt: 2400, startedAt: 2500 },
    { id: "c2", name: "gone", state: "exited", createdAt: 2400, startedAt: 2500 },
  ].map((each) => each as PodRuntime["containers"][number]), // what is read of them
};

test("node's usage: rates from the second look on, a line for each container that runs", async (context) => {
  const at = "/kube/burstable/podu1";
  const root = await files(context, { ...v1(""), ...v1("/kube"), ...v1(at), ...v1(`${at}/c1`), ...v1(`${at}/s1`) });
  const mounts = new Map(["cpu", "cpuacct", "memory"].map((name) => [name, join(root, name)]));
  const cgroups = await createCgroups({
    root: "/kube",
    log: silentLogger,
    hierarchy: { version: 1, mounts, all: [...mounts.values()] },
  });
  const clock = new FakeClock(10_000);
  const host = { pods: () => [pod], runtimes: () => new Map([["u1", runtime]]) } as unknown as KubeletHost; // what is asked of it
  const sampler = createSampler({ host, cgroups, clock });
  const first = await sampler.look();
  assert.equal(sampler.rate("node"), undefined);
  assert.equal(first.pods[0]?.sandboxPid, 17);
  clock.advance(4000);
  await writeFile(join(root, `cpuacct${at}/c1/cpuacct.usage`), "3500000000\n");
  const second = await sampler.look();
  const [container] = second.pods[0]?.containers ?? [];
  assert.ok(container);
  assert.equal(sampler.rate(containerKey(container.container)), 500_000_000);
  assert.equal(sampler.rate("node"), 0);
  assert.deepEqual(usageOf(await sampler.look({ brief: true })), usageOf(second));
  assert.deepEqual(usageOf(second), {
    node: { timeMs: 14_000, cpuNanoSeconds: 1_500_000_000, memoryBytes: 700_000 },
    containers: [
      {
        namespace: "ns",
        pod: "web",
        container: "c",
        startedMs: 2500,
        timeMs: 14_000,
        cpuNanoSeconds: 3_500_000_000,
        memoryBytes: 700_000,
      },
    ],
  });
  const lines = printResourceMetrics(second)
    .split("\n")
    .filter((line) => !line.startsWith("#"));
  assert.deepEqual(lines, [
    'container_cpu_usage_seconds_total{container="c",namespace="ns",pod="web"} 3.5 14000',
    'container_memory_working_set_bytes{container="c",namespace="ns",pod="web"} 700000 14000',
    'container_start_time_seconds{container="c",namespace="ns",pod="web"} 2.4',
    'container_swap_limit_bytes{container="c",namespace="ns",pod="web"} 4096 14000',
    'container_swap_usage_bytes{container="c",namespace="ns",pod="web"} 4096 14000',
    "node_cpu_usage_seconds_total 1.5 14000",
    "node_memory_working_set_bytes 700000 14000",
    "node_swap_usage_bytes 4096 14000",
    'pod_cpu_usage_seconds_total{namespace="ns",pod="web"} 1.5 14000',
    'pod_memory_working_set_bytes{namespace="ns",pod="web"} 700000 14000',
    'pod_swap_usage_bytes{namespace="ns",pod="web"} 4096 14000',
    "resource_scrape_error 0",
    "",
  ]);
});

test("network: counters of the interfaces that lead somewhere", () => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 11 2 0 0 0 0 0 0 11 2 0 0 0 0 0 0
  eth0:1806 9 3 0 0 0 0 0 612 8 4 0 0 0 0 0
vethab: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0
`;
  assert.deepEqual(parseInterfaces(text), [
    {
      name: "eth0",
      rxBytes: 1806,
      rxPackets: 9,
      rxErrors: 3,
      rxDropped: 0,
      txBytes: 612,
      txPackets: 8,
      txErrors: 4,
      txDropped: 0,
    },
  ]);
});

test("folder size: blocks and inodes of all below; undefined when it isn't there", async (context) => {
  const root = await files(context, { "a/b": "x".repeat(5000), "a/c": "" });
  const size = await folderSize(root);
  assert.equal(size?.inodes, 4);
  assert.ok((size?.bytes ?? 0) >= 5000);
  assert.equal(await folderSize(join(root, "nowhere")), undefined);
});
