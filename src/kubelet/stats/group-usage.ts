/**
 * What the processes of one cgroup use, read from the kernel's files: a few small reads, no process. v1 has a tree for each controller and
 * v2 one for all; a machine with both keeps its controllers in v1. Sums are taken as cadvisor takes them, whose numbers people know.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { CgroupHierarchy } from "../node/cgroups.ts";

export interface MemoryUsage {
  readonly usageBytes: number;
  /** What can't be had back without swapping: usage without files nobody looked at lately. */
  readonly workingSetBytes: number;
  readonly rssBytes: number;
  readonly pageFaults: number;
  readonly majorPageFaults: number;
  readonly swapBytes: number;
  /** Undefined: as much as there is. */
  readonly limitBytes: number | undefined;
}

export interface GroupUsage {
  readonly timeMs: number;
  /** Since the group was made; exact to a few ns. */
  readonly cpuNanoSeconds: number;
  readonly memory: MemoryUsage;
  /** In the group itself. */
  readonly pids: readonly number[];
}

/** Beyond this nobody meant a limit. */
const limitBytesMax = 2 ** 62;

export interface ReadOptions {
  readonly now: () => number;
  /** Without limit and processes: two files less. */
  readonly brief?: boolean;
}

/** Undefined: there is no such group. `group` is absolute inside the hierarchy. */
export async function readGroup(
  hierarchy: CgroupHierarchy,
  group: string,
  options: ReadOptions,
): Promise<GroupUsage | undefined> {
  try {
    return await (hierarchy.version === 2 ? readUnified : readSplit)(hierarchy, group, options);
  } catch (error) {
    // Gone between two looks, or being removed.
    if (["ENOENT", "ENODEV", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

async function readSplit({ mounts }: CgroupHierarchy, group: string, options: ReadOptions): Promise<GroupUsage> {
  const { now, brief = false } = options;
  const at = (controller: string, file: string) =>
    readFile(join(mounts.get(controller) ?? "/nowhere", group, file), "utf8");
  const cpu = mounts.has("cpuacct") ? "cpuacct" : "cpu";
  const [used, usage, stat, limit, procs] = await Promise.all([
    at(cpu, "cpuacct.usage"),
    at("memory", "memory.usage_in_bytes"),
    at("memory", "memory.stat"),
    brief ? "Infinity" : at("memory", "memory.limit_in_bytes"),
    brief ? "" : at("memory", "cgroup.procs"),
  ]);
  const stats = parseStat(stat);
  const usageBytes = Number(usage);
  const limitBytes = Number(limit);
  return {
    timeMs: now(),
    cpuNanoSeconds: Number(used),
    memory: {
      usageBytes,
      workingSetBytes: Math.max(0, usageBytes - (stats.total_inactive_file ?? 0)),
      rssBytes: stats.total_rss ?? 0,
      pageFaults: stats.pgfault ?? 0,
      majorPageFaults: stats.pgmajfault ?? 0,
      swapBytes: stats.total_swap ?? 0,
      limitBytes: limitBytes >= limitBytesMax ? undefined : limitBytes,
    },
    pids: parsePids(procs),
  };
}

async function readUnified({ mounts }: CgroupHierarchy, group: string, options: ReadOptions): Promise<GroupUsage> {
  const { now, brief = false } = options;
  const folder = join(mounts.values().next().value ?? "/nowhere", group);
  const at = (file: string) => readFile(join(folder, file), "utf8");
  // The root has neither usage nor limit of its own: there it is the machine's.
  const orNothing = (file: string) => at(file).catch(() => "");
  const [cpu, usage, stat, limit, swap, procs] = await Promise.all([
    at("cpu.stat"),
    orNothing("memory.current"),
    at("memory.stat"),
    brief ? "" : orNothing("memory.max"),
    brief ? "" : orNothing("memory.swap.current"),
    brief ? "" : orNothing("cgroup.procs"),
  ]);
  const stats = parseStat(stat);
  const usageBytes = usage === "" ? (stats.anon ?? 0) + (stats.file ?? 0) + (stats.kernel ?? 0) : Number(usage);
  const limitBytes = limit === "" || limit.trim() === "max" ? Number.POSITIVE_INFINITY : Number(limit);
  return {
    timeMs: now(),
    cpuNanoSeconds: (parseStat(cpu).usage_usec ?? 0) * 1000,
    memory: {
      usageBytes,
      workingSetBytes: Math.max(0, usageBytes - (stats.inactive_file ?? 0)),
      rssBytes: stats.anon ?? 0,
      pageFaults: stats.pgfault ?? 0,
      majorPageFaults: stats.pgmajfault ?? 0,
      swapBytes: Number(swap),
      limitBytes: limitBytes >= limitBytesMax ? undefined : limitBytes,
    },
    pids: parsePids(procs),
  };
}

/** Lines of a name and a number. */
export function parseStat(text: string): Readonly<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const line of text.split("\n")) {
    const space = line.indexOf(" ");
    if (space > 0) found[line.slice(0, space)] = Number(line.slice(space + 1));
  }
  return found;
}

const parsePids = (text: string): number[] => text.split("\n").filter(Boolean).map(Number);
