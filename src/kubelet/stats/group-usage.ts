/**
 * What the processes of one cgroup use, read from the kernel's files: a few small reads, no process. v1 has a tree for each controller and
 * v2 one for all; a machine with both keeps its controllers in v1. Sums are taken as cadvisor takes them, whose numbers people know.
 */
import type { CgroupHierarchy } from "../node/cgroups.ts";
import { type GroupFiles, groupFiles, parsePressure, parseStat, type Pressure } from "./kernel-file.ts";

export interface MemoryUsage {
  readonly usageBytes: number;
  /** What can't be had back without swapping: usage without files nobody looked at lately. */
  readonly workingSetBytes: number;
  readonly rssBytes: number;
  readonly cacheBytes: number;
  readonly mappedBytes: number;
  readonly activeFileBytes: number;
  readonly inactiveFileBytes: number;
  readonly pageFaults: number;
  readonly majorPageFaults: number;
  readonly swapBytes: number;
  /** Undefined: as much as there is. */
  readonly limitBytes: number | undefined;
  readonly swapLimitBytes: number | undefined;
}

export interface GroupUsage {
  readonly timeMs: number;
  /** Since the group was made; exact to a few ns. */
  readonly cpuNanoSeconds: number;
  readonly memory: MemoryUsage;
  /** In the group itself. */
  readonly pids: readonly number[];
  /** Where the kernel tells: in v2. */
  readonly pressure?: { readonly cpu: Pressure; readonly memory: Pressure; readonly io: Pressure } | undefined;
}

/** Beyond this nobody meant a limit. */
const limitBytesMax = 2 ** 62;

export interface ReadOptions {
  readonly now: () => number;
  /** Without limits, pressure and processes: five files less. */
  readonly brief?: boolean;
}

/** Undefined: there is no such group. `group` is absolute inside the hierarchy. */
export function readGroup(hierarchy: CgroupHierarchy, group: string, options: ReadOptions): GroupUsage | undefined {
  return (hierarchy.version === 2 ? readUnified : readSplit)(groupFiles(hierarchy, group), hierarchy, options);
}

function readSplit(read: GroupFiles, { mounts }: CgroupHierarchy, options: ReadOptions): GroupUsage | undefined {
  const { now, brief = false } = options;
  const used = read(mounts.has("cpuacct") ? "cpuacct" : "cpu", "cpuacct.usage");
  const usage = read("memory", "memory.usage_in_bytes");
  const stat = read("memory", "memory.stat");
  if (used === undefined || usage === undefined || stat === undefined) return undefined;
  const stats = parseStat(stat);
  return {
    timeMs: now(),
    cpuNanoSeconds: Number(used),
    memory: {
      ...amounts(Number(usage), stats.total_inactive_file ?? 0),
      rssBytes: stats.total_rss ?? 0,
      cacheBytes: stats.total_cache ?? 0,
      mappedBytes: stats.total_mapped_file ?? 0,
      activeFileBytes: stats.total_active_file ?? 0,
      pageFaults: stats.pgfault ?? 0,
      majorPageFaults: stats.pgmajfault ?? 0,
      swapBytes: stats.total_swap ?? 0,
      limitBytes: brief ? undefined : limitOf(read("memory", "memory.limit_in_bytes")),
      // Without accounting of swap there is none to be had.
      swapLimitBytes: brief ? undefined : limitOf(read("memory", "memory.memsw.limit_in_bytes") ?? "0"),
    },
    pids: brief ? [] : parsePids(read("memory", "cgroup.procs")),
  };
}

function readUnified(read: GroupFiles, _: CgroupHierarchy, options: ReadOptions): GroupUsage | undefined {
  const { now, brief = false } = options;
  const cpu = read("cpu", "cpu.stat");
  const stat = read("memory", "memory.stat");
  if (cpu === undefined || stat === undefined) return undefined;
  const stats = parseStat(stat);
  // The root has neither usage nor limit of its own: there it is the machine's.
  const usage = read("memory", "memory.current");
  const used = usage === undefined ? (stats.anon ?? 0) + (stats.file ?? 0) + (stats.kernel ?? 0) : Number(usage);
  const pressures = brief ? [] : ["cpu", "memory", "io"].map((name) => parsePressure(read(name, `${name}.pressure`)));
  const [ofCpu, memory, io] = pressures;
  return {
    timeMs: now(),
    cpuNanoSeconds: (parseStat(cpu).usage_usec ?? 0) * 1000,
    memory: {
      ...amounts(used, stats.inactive_file ?? 0),
      rssBytes: stats.anon ?? 0,
      cacheBytes: stats.file ?? 0,
      mappedBytes: stats.file_mapped ?? 0,
      activeFileBytes: stats.active_file ?? 0,
      pageFaults: stats.pgfault ?? 0,
      majorPageFaults: stats.pgmajfault ?? 0,
      swapBytes: brief ? 0 : Number(read("memory", "memory.swap.current") ?? 0),
      limitBytes: brief ? undefined : limitOf(read("memory", "memory.max")),
      swapLimitBytes: brief ? undefined : limitOf(read("memory", "memory.swap.max") ?? "0"),
    },
    pids: brief ? [] : parsePids(read("memory", "cgroup.procs")),
    ...(ofCpu && memory && io && { pressure: { cpu: ofCpu, memory, io } }),
  };
}

const amounts = (usageBytes: number, inactiveFileBytes: number) => ({
  usageBytes,
  inactiveFileBytes,
  workingSetBytes: Math.max(0, usageBytes - inactiveFileBytes),
});

function limitOf(text: string | undefined): number | undefined {
  if (text === undefined || text.trim() === "max") return undefined;
  const bytes = Number(text);
  return bytes >= limitBytesMax ? undefined : bytes;
}

const parsePids = (text = ""): number[] => text.split("\n").filter(Boolean).map(Number);
