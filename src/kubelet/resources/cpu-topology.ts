/** Cpus, cores, sockets and NUMA nodes of this machine, read from /sys. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseCpuSet } from "./cpu-set.ts";
import type { Machine } from "./topology.ts";

export interface Cpu {
  readonly id: number;
  /** One number for each core of the machine. */
  readonly core: number;
  readonly socket: number;
  readonly node: number;
}

export interface CpuTopology extends Machine {
  readonly cpus: readonly Cpu[];
  readonly cpusPerCore: number;
}

export async function readCpuTopology(root = "/sys/devices/system"): Promise<CpuTopology> {
  const text = async (...path: string[]) => (await readFile(join(root, ...path), "utf8").catch(() => "")).trim();
  const folders = await readdir(join(root, "node")).catch(() => []);
  const nodes = folders.flatMap((name) => /^node(\d+)$/.exec(name)?.slice(1).map(Number) ?? []).sort((a, b) => a - b);
  const distances = new Map<number, number[]>();
  const nodeOf = new Map<number, number>();
  for (const node of nodes) {
    for (const cpu of parseCpuSet(await text("node", `node${node}`, "cpulist"))) nodeOf.set(cpu, node);
    distances.set(node, (await text("node", `node${node}`, "distance")).split(/\s+/).map(Number));
  }
  const cpus: Cpu[] = [];
  const cores = new Map<string, number>();
  for (const id of parseCpuSet(await text("cpu", "online"))) {
    const socket = Number((await text("cpu", `cpu${id}`, "topology", "physical_package_id")) || 0);
    const key = `${socket}/${await text("cpu", `cpu${id}`, "topology", "core_id")}`;
    // The lowest cpu of a core is its number.
    if (!cores.has(key)) cores.set(key, id);
    cpus.push({ id, core: cores.get(key) ?? id, socket: Math.max(0, socket), node: nodeOf.get(id) ?? 0 });
  }
  return {
    cpus,
    cpusPerCore: cores.size > 0 ? Math.floor(cpus.length / cores.size) : 1,
    nodes: nodes.length > 0 ? nodes : [0],
    distance: (from, to) => distances.get(from)?.[nodes.indexOf(to)] ?? 10,
  };
}
