import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Pod } from "#api";
import { createLogger } from "#base";
import { defaultConfiguration } from "../config/configuration.ts";
import { prepareGroups } from "../resources/enforce.ts";
import { createCgroups, findHierarchy } from "./cgroups.ts";

const mebi = 2 ** 20;
type Amounts = Record<string, string>;
const podWith = (uid: string, requests: Amounts, limits: Amounts = requests): Pod => ({
  metadata: { name: uid, uid },
  spec: { containers: [{ name: "c", resources: { requests, limits } }] },
});
const guaranteed = podWith("g", { cpu: "1500m", memory: "64Mi", "hugepages-2Mi": "4Mi" });
const burstable = podWith("b", { cpu: "100m", memory: "32Mi" }, { memory: "64Mi" });
const bestEffort = podWith("e", {});
const log = createLogger({ write: () => undefined });

/** Files and folders as the kernel shows them; what is written can be read. */
async function fakeTree(t: { after(end: () => Promise<void>): void }) {
  const mount = await mkdtemp(join(tmpdir(), "cgroup2-"));
  t.after(() => rm(mount, { recursive: true }));
  const controllers = "cpuset cpu io memory hugetlb pids rdma";
  for (const group of ["", "kubepods", "kubepods/burstable", "kubepods/besteffort"]) {
    await mkdir(join(mount, group), { recursive: true });
    await writeFile(join(mount, group, "cgroup.controllers"), `${controllers}\n`);
  }
  const hierarchy = {
    version: 2,
    mounts: new Map(controllers.split(" ").map((name) => [name, mount])),
    all: [mount],
  } as const;
  return { hierarchy, read: (...path: string[]) => readFile(join(mount, ...path), "utf8").catch(() => undefined) };
}

test("cgroups: where v2 is mounted, alone or beside v1", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "mountinfo-"));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "cgroup.controllers"), "cpu memory\n");
  const line = (at: string, type: string, options: string) => `30 20 0:1 / ${at} rw - ${type} ${type} rw,${options}\n`;
  const file = join(folder, "mountinfo");
  await writeFile(file, line(folder, "cgroup2", "nsdelegate"));
  const alone = await findHierarchy(file);
  assert.deepEqual([alone?.version, [...(alone?.mounts.keys() ?? [])]], [2, ["cpu", "memory"]]);
  const v1 = line("/c/cpu,cpuacct", "cgroup", "cpu,cpuacct") + line("/c/memory", "cgroup", "memory");
  await writeFile(file, v1 + line(folder, "cgroup2", "nsdelegate"));
  const hybrid = await findHierarchy(file);
  assert.deepEqual([hybrid?.version, hybrid?.mounts.get("cpu"), hybrid?.all.length], [1, "/c/cpu,cpuacct", 3]);
});

test("cgroups v2: classes and pods have weights, quotas, limits, huge pages and pids", async (t) => {
  const { hierarchy, read } = await fakeTree(t);
  const config = { ...defaultConfiguration(), podPidsLimit: 100, cpuCFSQuotaPeriod: 50 };
  const cgroups = await createCgroups({ root: "/kubepods", log, hierarchy, config, pageSizes: ["2MB", "1GB"] });
  await cgroups.prepare({ memoryLimitBytes: 512 * mebi, pidsMax: 1000, cpuShares: 2048, hugepages: [] });
  assert.equal(await read("cgroup.subtree_control"), "+cpuset +cpu +io +memory +hugetlb +pids");
  assert.deepEqual(
    [await read("kubepods/memory.max"), await read("kubepods/pids.max"), await read("kubepods/cpu.weight")],
    [String(512 * mebi), "1000", "79"],
  );
  assert.equal(await read("kubepods/burstable/hugetlb.2MB.max"), String(2 ** 62));
  for (const pod of [guaranteed, burstable, bestEffort]) await cgroups.setUp(pod);
  const files = ["cpu.weight", "cpu.max", "memory.max", "pids.max", "hugetlb.2MB.max", "hugetlb.1GB.max"];
  const of = (group: string) => Promise.all(files.map((file) => read("kubepods", group, file)));
  assert.deepEqual(await of("podg"), ["59", "75000 50000", String(64 * mebi), "100", String(4 * mebi), "0"]);
  assert.deepEqual(await of("burstable/podb"), ["4", undefined, String(64 * mebi), "100", "0", "0"]);
  assert.deepEqual(await of("besteffort/pode"), ["1", undefined, undefined, "100", "0", "0"]);
  assert.deepEqual(await cgroups.values(guaranteed), {
    cpuShares: 1522,
    cpuQuotaUs: 75_000,
    cpuPeriodUs: 50_000,
    memoryLimitBytes: 64 * mebi,
  });
  await cgroups.change(guaranteed, { cpuQuotaUs: -1, memoryLimitBytes: -1 });
  assert.deepEqual(
    [await read("kubepods/podg/cpu.max"), await read("kubepods/podg/memory.max")],
    ["max 100000", "max"],
  );
  await cgroups.balance([guaranteed, burstable, bestEffort]);
  assert.equal(await read("kubepods/burstable/cpu.weight"), "4");
});

test("cgroups v2: memory that pods asked for is theirs when the settings say so", async (t) => {
  const { hierarchy, read } = await fakeTree(t);
  const config = {
    ...defaultConfiguration(),
    featureGates: { MemoryQoS: true },
    memoryReservationPolicy: "TieredReservation",
  };
  const cgroups = await createCgroups({ root: "/kubepods", log, hierarchy, config, pageSizes: [] });
  await cgroups.prepare();
  for (const pod of [guaranteed, burstable]) await cgroups.setUp(pod);
  assert.equal(await read("kubepods/podg/memory.min"), String(64 * mebi));
  assert.equal(await read("kubepods/burstable/podb/memory.low"), String(32 * mebi));
  await cgroups.balance([guaranteed, burstable, bestEffort]);
  assert.equal(await read("kubepods/memory.min"), String(96 * mebi));
  assert.equal(await read("kubepods/burstable/memory.low"), String(32 * mebi));
});

test("cgroups v1: as the kernel has them", async (t) => {
  const hierarchy = await findHierarchy();
  const root = `/sampan-test-${process.pid}`;
  const cgroups = await createCgroups({
    root,
    log,
    hierarchy,
    config: { ...defaultConfiguration(), podPidsLimit: 50 },
  });
  if (hierarchy?.version !== 1) return t.skip("needs cgroup v1");
  try {
    await cgroups.prepare({ memoryLimitBytes: 256 * mebi, pidsMax: 500 });
    if (cgroups.groupOf(bestEffort) === undefined) return t.skip("needs the right to make cgroups");
    for (const pod of [guaranteed, burstable, bestEffort]) assert.notEqual(await cgroups.setUp(pod), "");
    const read = async (controller: string, ...path: string[]): Promise<number> =>
      Number(await readFile(join(hierarchy.mounts.get(controller) ?? "", root, ...path), "utf8"));
    assert.deepEqual(await cgroups.values(guaranteed), {
      cpuShares: 1536,
      cpuQuotaUs: 150_000,
      cpuPeriodUs: 100_000,
      memoryLimitBytes: 64 * mebi,
    });
    assert.deepEqual(
      [await read("memory", "memory.limit_in_bytes"), await read("pids", "podg", "pids.max")],
      [256 * mebi, 50],
    );
    const { cpuQuotaUs, memoryLimitBytes } = (await cgroups.values(bestEffort)) ?? {};
    assert.deepEqual([cpuQuotaUs, memoryLimitBytes], [-1, -1]);
    await cgroups.change(burstable, { memoryLimitBytes: 128 * mebi, cpuShares: 300 });
    assert.equal((await cgroups.values(burstable))?.memoryLimitBytes, 128 * mebi);
    assert.equal(await cgroups.memoryUsage(burstable), 0);
  } finally {
    await cgroups.close();
  }
});

test("cgroups: groups of the system are limited as the settings say, or the node doesn't start", async (t) => {
  const { hierarchy, read } = await fakeTree(t);
  const config = {
    ...defaultConfiguration(),
    enforceNodeAllocatable: ["pods", "kube-reserved"],
    kubeReserved: { cpu: "500m", memory: "256Mi" },
    kubeReservedCgroup: "/kubepods/besteffort",
  };
  const cgroups = await createCgroups({ root: "/kubepods", log, hierarchy, config, pageSizes: [] });
  const events: string[] = [];
  const machine = { cpus: 2, memoryBytes: 1024 * mebi, hugepageBytes: {} };
  const input = { machine, diskBytes: 2 ** 30, event: (...event: string[]) => events.push(event.join(" ")) };
  await prepareGroups(cgroups, { ...input, config });
  assert.deepEqual(
    [await read("kubepods/memory.max"), await read("kubepods/besteffort/memory.max")],
    [768, 256].map((size) => String(size * mebi)),
  );
  assert.deepEqual(events, [
    "Normal NodeAllocatableEnforced Updated Node Allocatable limit across pods",
    "Normal NodeAllocatableEnforced Updated limits on kube reserved cgroup /kubepods/besteffort",
  ]);
  const wrong = { ...config, kubeReservedCgroup: "/nowhere" };
  await assert.rejects(
    prepareGroups(cgroups, { ...input, config: wrong }),
    /^Error: Failed to enforce Kube Reserved Cgroup Limits on "\/nowhere": ENOENT/,
  );
});
