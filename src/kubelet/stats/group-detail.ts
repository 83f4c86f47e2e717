/** The rest of what cadvisor tells of a group: limits as the kernel holds them, throttling, disks, processes. Read when a collector asks. */
import { readdirSync, readlinkSync, statSync } from "node:fs";
import type { CgroupHierarchy } from "../node/cgroups.ts";
import { type GroupFiles, groupFiles, parseStat, readKernelFile } from "./kernel-file.ts";

export interface DeviceUse {
  readonly major: number;
  readonly minor: number;
  /** By operation: `Read`, `Write`, `Total`, … */
  readonly amounts: Readonly<Record<string, number>>;
}

export interface GroupDetail {
  readonly createdMs: number;
  readonly cpu: {
    readonly userSeconds: number;
    readonly systemSeconds: number;
    readonly periods: number;
    readonly throttledPeriods: number;
    readonly throttledSeconds: number;
    readonly burstPeriods: number;
    readonly burstSeconds: number;
    readonly shares: number;
    readonly periodUs: number;
    /** 0: none. */
    readonly quotaUs: number;
    readonly mask: string;
  };
  readonly memory: {
    readonly maxBytes: number;
    readonly failures: number;
    readonly kernelBytes: number;
    /** Processes that the kernel ended for it. */
    readonly oomKills: number;
    /** As the kernel says it, which has a number for "none". */
    readonly limitBytes: number;
    readonly swapLimitBytes: number;
    readonly reservationBytes: number;
  };
  readonly io: { readonly bytes: readonly DeviceUse[]; readonly operations: readonly DeviceUse[] };
  readonly processes: {
    readonly count: number;
    readonly descriptors: number;
    readonly sockets: number;
    readonly threads: number;
    readonly threadsMax: number;
    /** Files that the group's first process may open. */
    readonly openFilesMax: number | undefined;
  };
}

/** The kernel tells times in hundredths of a second here. */
const ticksPerSecond = 100;
const unlimited = 2 ** 64;

/** Undefined: there is no such group. `rootPid`: the first process of a container. */
export function readDetail(hierarchy: CgroupHierarchy, group: string, rootPid?: number): GroupDetail | undefined {
  const read = groupFiles(hierarchy, group);
  const created = createdMs(hierarchy, group);
  if (created === undefined) return undefined;
  const parts = hierarchy.version === 2 ? unified(read) : split(read);
  return { createdMs: created, ...parts, processes: { ...processes(read, rootPid), ...threads(read, group) } };
}

const number = (text: string | undefined): number => {
  const word = (text ?? "0").trim();
  return word === "max" ? unlimited : Number(word);
};

function split(read: GroupFiles): Omit<GroupDetail, "processes" | "createdMs"> {
  const used = parseStat(read("cpuacct", "cpuacct.stat") ?? "");
  const cpu = (file: string) => read("cpu", file);
  const memory = (file: string) => number(read("memory", `memory.${file}`));
  const stat = parseStat(cpu("cpu.stat") ?? "");
  return {
    cpu: {
      userSeconds: (used.user ?? 0) / ticksPerSecond,
      systemSeconds: (used.system ?? 0) / ticksPerSecond,
      ...throttling(stat, 1e9, "throttled_time", "burst_time"),
      shares: number(cpu("cpu.shares")),
      periodUs: number(cpu("cpu.cfs_period_us")),
      quotaUs: Math.max(0, number(cpu("cpu.cfs_quota_us"))),
      mask: (read("cpuset", "cpuset.cpus") ?? "").trim(),
    },
    memory: {
      maxBytes: memory("max_usage_in_bytes"),
      failures: memory("failcnt"),
      kernelBytes: memory("kmem.usage_in_bytes"),
      oomKills: parseStat(read("memory", "memory.oom_control") ?? "").oom_kill ?? 0,
      limitBytes: memory("limit_in_bytes"),
      swapLimitBytes: memory("memsw.limit_in_bytes"),
      reservationBytes: memory("soft_limit_in_bytes"),
    },
    io: {
      bytes: devices(ofBlockDevices(read, "io_service_bytes")),
      operations: devices(ofBlockDevices(read, "io_serviced")),
    },
  };
}

function unified(read: GroupFiles): Omit<GroupDetail, "processes" | "createdMs"> {
  const stat = parseStat(read("cpu", "cpu.stat") ?? "");
  const memory = (file: string) => number(read("memory", `memory.${file}`));
  const kernel = parseStat(read("memory", "memory.stat") ?? "").kernel ?? 0;
  const events = parseStat(read("memory", "memory.events") ?? "");
  const weight = number(read("cpu", "cpu.weight"));
  const [quota = "max", period = "0"] = (read("cpu", "cpu.max") ?? "").trim().split(" ");
  const io = (read("io", "io.stat") ?? "").split("\n").flatMap((line) => {
    const [device = "", ...pairs] = line.split(" ");
    const [major = Number.NaN, minor = Number.NaN] = device.split(":").map(Number);
    if (Number.isNaN(minor)) return [];
    const values = Object.fromEntries(pairs.map((pair) => pair.split("=")));
    const of = (read: string, write: string) => ({
      Read: Number(values[read] ?? 0),
      Write: Number(values[write] ?? 0),
    });
    return [{ major, minor, bytes: of("rbytes", "wbytes"), operations: of("rios", "wios") }];
  });
  return {
    cpu: {
      userSeconds: (stat.user_usec ?? 0) / 1e6,
      systemSeconds: (stat.system_usec ?? 0) / 1e6,
      ...throttling(stat, 1e6, "throttled_usec", "burst_usec"),
      shares: weight > 0 ? 2 + Math.floor(((weight - 1) * 262_142) / 9999) : 0,
      periodUs: Number(period),
      quotaUs: quota === "max" ? 0 : Number(quota),
      mask: (read("cpuset", "cpuset.cpus.effective") ?? "").trim(),
    },
    memory: {
      maxBytes: memory("peak"),
      failures: events.max ?? 0,
      kernelBytes: kernel,
      oomKills: events.oom_kill ?? 0,
      limitBytes: memory("max"),
      swapLimitBytes: memory("swap.max"),
      reservationBytes: memory("min"),
    },
    io: {
      bytes: io.map(({ major, minor, bytes }) => ({ major, minor, amounts: bytes })),
      operations: io.map(({ major, minor, operations }) => ({ major, minor, amounts: operations })),
    },
  };
}

const throttling = (stat: Readonly<Record<string, number>>, perSecond: number, throttled: string, burst: string) => ({
  periods: stat.nr_periods ?? 0,
  throttledPeriods: stat.nr_throttled ?? 0,
  throttledSeconds: (stat[throttled] ?? 0) / perSecond,
  burstPeriods: stat.nr_bursts ?? 0,
  burstSeconds: (stat[burst] ?? 0) / perSecond,
});

/** Schedulers of disks count each in files of their own; the first that has lines. */
const ofBlockDevices = (read: GroupFiles, name: string): string =>
  ["blkio.bfq", "blkio", "blkio.throttle"].reduce(
    (found, prefix) => (found.includes(":") ? found : (read("blkio", `${prefix}.${name}_recursive`) ?? "")),
    "",
  );

/** Lines `8:0 Read 4096`. */
function devices(text: string): DeviceUse[] {
  const found = new Map<string, Record<string, number>>();
  for (const line of text.split("\n")) {
    const [device = "", operation = "", amount] = line.split(" ");
    if (!device.includes(":") || amount === undefined) continue;
    const amounts = found.get(device) ?? {};
    amounts[operation] = Number(amount);
    found.set(device, amounts);
  }
  return [...found].map(([device, amounts]) => {
    const [major = 0, minor = 0] = device.split(":").map(Number);
    return { major, minor, amounts };
  });
}

function processes(read: GroupFiles, rootPid: number | undefined) {
  const pids = (read("cpu", "cgroup.procs") ?? "").split("\n").filter(Boolean);
  let descriptors = 0;
  let sockets = 0;
  for (const pid of pids)
    for (const name of list(`/proc/${pid}/fd`)) {
      descriptors++;
      if (link(`/proc/${pid}/fd/${name}`).startsWith("socket")) sockets++;
    }
  const limits = rootPid === undefined ? undefined : readKernelFile(`/proc/${rootPid}/limits`);
  const allowed = limits && /^Max open files\s+(\S+)/m.exec(limits)?.[1];
  const openFilesMax = allowed === undefined ? undefined : allowed === "unlimited" ? -1 : Number(allowed);
  return { count: pids.length, descriptors, sockets, openFilesMax };
}

/** Of the machine's own group nobody counts them. */
function threads(read: GroupFiles, group: string) {
  if (group === "/") return { threads: 0, threadsMax: 0 };
  const max = number(read("pids", "pids.max"));
  return { threads: number(read("pids", "pids.current")), threadsMax: max === unlimited ? 0 : max };
}

const list = (path: string): readonly string[] => orNothing(() => readdirSync(path)) ?? [];
const link = (path: string): string => orNothing(() => readlinkSync(path)) ?? "";

/** Processes end while they are looked at, and some are none of ours. */
function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (["ENOENT", "ESRCH", "EACCES", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

/** A folder's time changes with what is in it, that of this file doesn't. */
function createdMs({ version, mounts }: CgroupHierarchy, group: string): number | undefined {
  const file = version === 2 ? "cgroup.events" : "cgroup.clone_children";
  const mount = mounts.get("memory") ?? mounts.values().next().value;
  const below = group === "/" ? "" : group;
  const times = ["", `/${file}`].flatMap((name) => orNothing(() => statSync(`${mount}${below}${name}`).mtimeMs) ?? []);
  return times.length > 0 ? Math.min(...times) : undefined;
}
