import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Pod } from "#api";
import { defaultConfiguration } from "../config/configuration.ts";
import { createAllocator } from "./allocator.ts";
import { distributeCpus, takeCpus } from "./cpu-assignment.ts";
import { CpuManager } from "./cpu-manager.ts";
import { parseCpuSet, printCpuSet } from "./cpu-set.ts";
import { type CpuTopology, readCpuTopology } from "./cpu-topology.ts";

/** Two sockets, each a NUMA node with three cores of two threads: cpu 0 and 6 are one core, even cores on socket 0. */
const dualSocket: CpuTopology = {
  cpus: Array.from({ length: 12 }, (_, id) => ({ id, core: id % 6, socket: id % 2, node: id % 2 })),
  cpusPerCore: 2,
  nodes: [0, 1],
  distance: () => 10,
};
const simple: CpuTopology = {
  cpus: Array.from({ length: 4 }, (_, id) => ({ id, core: id, socket: 0, node: 0 })),
  cpusPerCore: 1,
  nodes: [0],
  distance: () => 10,
};

test("cpus: whole sockets, then whole cores, then single ones", () => {
  const cases: [available: string, count: number, taken: string][] = [
    ["0-11", 1, "0"],
    ["0-11", 2, "0,6"],
    ["0-11", 6, "0,2,4,6,8,10"],
    ["0-11", 8, "0-2,4,6-8,10"],
    ["1-11", 1, "6"],
    ["0-3,5-11", 6, "1,3,5,7,9,11"],
    ["0-3,6-9", 3, "0,2,6"],
    ["2,6,8,9", 3, "2,6,8"],
  ];
  for (const [available, count, taken] of cases)
    assert.equal(printCpuSet(takeCpus(dualSocket, parseCpuSet(available), count)), taken, `${count} of ${available}`);
  assert.throws(() => takeCpus(dualSocket, parseCpuSet("0-1"), 3), {
    message: "not enough cpus available to satisfy request: requested=3, available=2",
  });
});

test("cpus: distributed evenly when one node isn't enough", () => {
  const take = (available: string, count: number, groupSize = 1) =>
    printCpuSet(distributeCpus(dualSocket, parseCpuSet(available), { count, groupSize }));
  assert.equal(take("0-11", 4), "0,2,6,8");
  assert.equal(take("0-11", 8), "0-3,6-9");
  assert.equal(take("0-11", 8, 2), "0-3,6-9");
});

const guaranteed = (uid: string, cpu: string, more: object = {}): Pod => {
  const resources = { requests: { cpu, memory: "1Mi" }, limits: { cpu, memory: "1Mi" } };
  return { metadata: { name: uid, uid }, spec: { containers: [{ name: "c", resources }], ...more } };
};

async function setUp(
  t: { after(end: () => Promise<void>): void },
  settings: { topology?: CpuTopology; config?: object } = {},
) {
  const folder = await mkdtemp(join(tmpdir(), "cpus-"));
  const file = join(folder, "cpu_manager_state");
  const active = new Set<string>();
  const topology = settings.topology ?? simple;
  const config = { ...defaultConfiguration(), cpuManagerPolicy: "static", ...settings.config };
  const make = () =>
    new CpuManager({ file, config, topology, reservedMilli: 500, activePods: () => active, onShared: () => undefined });
  const manager = make();
  t.after(async () => {
    await manager.flushed();
    await rm(folder, { recursive: true });
  });
  const allocator = createAllocator({ config, machine: topology, providers: [manager] });
  const admit = (pod: Pod) => {
    active.add(pod.metadata.uid ?? "");
    return allocator.admit(pod);
  };
  return { file, active, manager, make, admit };
}

test("cpu manager: whole cpus of guaranteed pods are theirs alone, others share the rest", async (t) => {
  const { manager, admit, active, file, make } = await setUp(t);
  assert.equal(await admit(guaranteed("a", "2")), undefined);
  assert.deepEqual(manager.cpusOf("a", "c"), { cpus: "1-2", isExclusive: true });
  assert.deepEqual(manager.cpusOf("other", "c"), { cpus: "0,3", isExclusive: false });
  assert.equal(admit(guaranteed("b", "500m")), undefined);
  assert.deepEqual(await admit(guaranteed("c", "2")), {
    reason: "UnexpectedAdmissionError",
    message:
      "Allocate failed due to not enough cpus available to satisfy request: requested=2, available=1, which is unexpected",
  });
  await manager.flushed();
  assert.deepEqual(JSON.parse(await readFile(file, "utf8")), {
    policyName: "static",
    defaultCpuSet: "0,3",
    entries: { a: { c: "1-2" } },
    checksum: 1_953_203_773,
  });
  assert.deepEqual(make().cpusOf("a", "c"), { cpus: "1-2", isExclusive: true });
  active.delete("a");
  manager.release();
  assert.equal(manager.cpusOf("other", "c").cpus, "0-3");
  await manager.flushed();
});

test("cpu manager: init containers' cpus are used again", async (t) => {
  const { manager, admit } = await setUp(t);
  const resources = { requests: { cpu: "3", memory: "1Mi" }, limits: { cpu: "3", memory: "1Mi" } };
  const pod = guaranteed("a", "2", { initContainers: [{ name: "i", resources }] });
  assert.equal(await admit(pod), undefined);
  assert.deepEqual([manager.cpusOf("a", "i").cpus, manager.cpusOf("a", "c").cpus], ["1-3", "1-2"]);
});

test("cpu manager: only whole cores when the settings say so", async (t) => {
  const config = { cpuManagerPolicyOptions: { "full-pcpus-only": "true" } };
  const { admit } = await setUp(t, { topology: dualSocket, config });
  const refused = async (cpu: string) => (await admit(guaranteed(`p${cpu}`, cpu)))?.message;
  assert.equal(await refused("3"), "SMT Alignment Error: requested 3 cpus not multiple cpus per core = 2");
  assert.equal(await refused("4"), undefined);
  assert.equal(
    await refused("8"),
    "SMT Alignment Error: not enough free physical CPUs: available physical CPUs = 6, requested CPUs = 8, CPUs per core = 2",
  );
});

test("cpu manager: settings and files that don't suit the machine don't start", async (t) => {
  const { file, make, manager } = await setUp(t);
  await manager.flushed();
  await writeFile(file, JSON.stringify({ policyName: "none", defaultCpuSet: "", checksum: 1_353_318_690 }));
  assert.throws(make, /configured policy "static" differs from state checkpoint policy "none"/);
  await writeFile(file, JSON.stringify({ policyName: "static", defaultCpuSet: "0-3", checksum: 1 }));
  assert.throws(make, /checkpoint is corrupted/);
  await rm(file);
  const rejected = setUp(t, { config: { cpuManagerPolicyOptions: { nonsense: "true" } } });
  await assert.rejects(rejected, { message: 'unknown CPU Manager Policy option: "nonsense"' });
});

test("cpu manager: aligned to one NUMA node, refused when it doesn't fit", async (t) => {
  const { manager, admit } = await setUp(t, {
    topology: dualSocket,
    config: { topologyManagerPolicy: "single-numa-node" },
  });
  assert.equal(await admit(guaranteed("a", "5")), undefined);
  assert.equal(manager.cpusOf("a", "c").cpus, "2,4,6,8,10");
  assert.deepEqual(await admit(guaranteed("b", "8")), {
    reason: "TopologyAffinityError",
    message: "Resources cannot be allocated with Topology locality",
  });
});

test("cpu topology: this machine's", async () => {
  const { cpus, nodes, cpusPerCore } = await readCpuTopology();
  assert.ok(cpus.length > 0 && nodes.length > 0 && cpusPerCore > 0);
  assert.equal(new Set(cpus.map(({ id }) => id)).size, cpus.length);
});
