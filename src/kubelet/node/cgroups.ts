/**
 * The cgroup tree: one group for all pods, one for each quality-of-service class, one for each pod; the runtime makes those of containers
 * inside. Machines differ: one v1 mount per controller, v2, or both with everything in v1. Where a tree can't be made the node says so once
 * and lets the runtime put containers where it likes; limits of containers work all the same.
 */
import { access, mkdir, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "#base";
import { podQos } from "../core/qos.ts";
import { defaultConfiguration, type KubeletConfiguration } from "../config/configuration.ts";
import {
  cpuShares,
  hasMemoryQos,
  type HugepageLimit,
  kernelPageSize,
  podCgroupResources,
  podTotals,
  sharesOf,
  weightOf,
} from "../core/resources.ts";
import type { PodView } from "../core/types.ts";

export interface PodCgroups {
  /** Before the first pod; `limits`: of all pods together, rejects when the kernel refuses them. */
  prepare(limits?: GroupValues): Promise<void>;
  /** Makes the pod's group; answers what the runtime is told, "" when there is none. `isUnlimited`: cpus of its own make a quota pointless. */
  setUp(pod: PodView, isUnlimited?: boolean): Promise<string>;
  /** What the pod's group has now; undefined when there is none. */
  values(
    pod: PodView,
  ): Promise<Required<Pick<GroupValues, "cpuShares" | "cpuQuotaUs" | "cpuPeriodUs" | "memoryLimitBytes">> | undefined>;
  /** Writes what is named. Rejects with what the kernel said. */
  change(pod: PodView, values: GroupValues): Promise<void>;
  /** Bytes in use, of the pod or of one of its containers. */
  memoryUsage(pod: PodView, containerId?: string): Promise<number | undefined>;
  /** Limits a group that is there already: those of the system and of this program. Rejects when it isn't. */
  enforce(group: string, values: GroupValues): Promise<void>;
  /** No error when it is gone; processes in it are the caller's business. */
  remove(podUid: string): Promise<void>;
  /** Pods that have a group. */
  leftovers(): Promise<string[]>;
  /** Shares the cpu between classes by what their pods ask for. */
  balance(pods: readonly PodView[]): Promise<void>;
  /** Removes the whole tree. */
  close(): Promise<void>;
  /** What this machine has. */
  readonly hierarchy: CgroupHierarchy | undefined;
  /** Of huge pages, as the kernel names them. */
  readonly pageSizes: readonly string[];
  /** Above all pods, inside the hierarchy. */
  readonly root: string;
  /** Of a pod, inside the hierarchy; undefined when there is no tree. */
  groupOf(pod: PodView): string | undefined;
}

/** What is written to a group; what is missing stays as it is. */
export interface GroupValues {
  readonly cpuShares?: number;
  readonly cpuPeriodUs?: number;
  /** -1: no limit. */
  readonly cpuQuotaUs?: number;
  /** -1: no limit. */
  readonly memoryLimitBytes?: number;
  readonly pidsMax?: number;
  /** Page sizes that aren't named may not be used. */
  readonly hugepages?: readonly HugepageLimit[];
  /** Files of v2 and what they get. */
  readonly unified?: Readonly<Record<string, string>>;
}

export interface CgroupHierarchy {
  readonly version: 1 | 2;
  /** Mount point by controller; for v2 the same for all. */
  readonly mounts: ReadonlyMap<string, string>;
  /** Every mount of cgroups, also those that hold no controller: runtimes make groups in all of them. */
  readonly all: readonly string[];
}

/** Controllers that the v2 tree hands down. */
const wanted = ["cpu", "cpuset", "memory", "pids", "io", "hugetlb"];
const classes = ["burstable", "besteffort"] as const;

/** What this machine has; undefined: no cgroups at all. */
export async function findHierarchy(mountInfo = "/proc/self/mountinfo"): Promise<CgroupHierarchy | undefined> {
  const mounts = new Map<string, string>();
  const all = new Set<string>();
  let unified: string | undefined;
  for (const line of (await readFile(mountInfo, "utf8")).split("\n")) {
    const [left = "", right = ""] = line.split(" - ");
    const point = left.split(" ")[4] ?? "";
    const [type, , options = ""] = right.split(" ");
    if (type === "cgroup" || type === "cgroup2") all.add(point);
    if (type === "cgroup2") unified ??= point;
    if (type !== "cgroup") continue;
    for (const option of options.split(",")) if (option !== "rw" && option !== "ro") mounts.set(option, point);
  }
  if (mounts.has("cpu") || mounts.has("memory")) return { version: 1, mounts, all: [...all] };
  if (!unified) return undefined;
  const controllers = (await readFile(join(unified, "cgroup.controllers"), "utf8")).trim().split(" ");
  return { version: 2, mounts: new Map(controllers.filter(Boolean).map((name) => [name, unified])), all: [...all] };
}

async function readPageSizes(folder = "/sys/kernel/mm/hugepages"): Promise<string[]> {
  return (await readdir(folder).catch(missing)).flatMap((name) => {
    const kilobytes = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0);
    return kilobytes > 0 ? [kernelPageSize(kilobytes * 1024)] : [];
  });
}

export async function createCgroups(options: {
  /** Absolute path of the tree inside the hierarchy: `/kubepods`. */
  root: string;
  log: Logger;
  hierarchy?: CgroupHierarchy | undefined;
  config?: Readonly<KubeletConfiguration>;
  /** Of huge pages; those of this machine when missing. */
  pageSizes?: readonly string[];
}): Promise<PodCgroups> {
  const { root, log, config = defaultConfiguration() } = options;
  const pageSizes = options.pageSizes ?? (await readPageSizes());
  const hierarchy = options.hierarchy ?? (await findHierarchy());
  let usable = hierarchy !== undefined && hierarchy.mounts.size > 0;
  const mounts = [...new Set(hierarchy?.mounts.values() ?? [])];
  const all = hierarchy?.all ?? [];

  const groupOf = (pod: PodView): string => {
    const qos = podQos(pod);
    const leaf = `pod${pod.metadata.uid}`;
    return qos === "Guaranteed" ? join(root, leaf) : join(root, qos.toLowerCase(), leaf);
  };

  function giveUp(error: unknown): void {
    if (!usable) return;
    usable = false;
    log.warn("no cgroups for pods: the runtime places containers, pods and classes have no limits of their own", {
      root,
      error,
    });
  }

  /** Of v1 only the controllers that hold values of ours; the runtime makes the others as it needs them. */
  const controllers = ["cpu", "memory", "hugetlb", "pids"];
  function places(group: string): string[] {
    const found = controllers.flatMap((name) => hierarchy?.mounts.get(name) ?? []);
    return [...new Set(hierarchy?.version === 2 ? mounts : found)].map((mount) => join(mount, group));
  }

  async function make(group: string): Promise<void> {
    if (hierarchy?.version === 2) for (const mount of mounts) await handDown(mount, group);
    for (const place of places(group)) await mkdir(place, { recursive: true });
  }

  /** In v2 every level must allow its controllers to the next. */
  async function handDown(mount: string, group: string): Promise<void> {
    let at = mount;
    for (const name of group.split("/").filter(Boolean)) {
      const available = (await readFile(join(at, "cgroup.controllers"), "utf8")).trim().split(" ");
      const control = available.filter((one) => wanted.includes(one)).map((one) => `+${one}`);
      await writeFile(join(at, "cgroup.subtree_control"), control.join(" "));
      at = join(at, name);
      await mkdir(at, { recursive: true });
    }
  }

  async function write(group: string, values: GroupValues): Promise<void> {
    for (const [controller, file, value] of filesOf(values, { version: hierarchy?.version ?? 1, pageSizes })) {
      const mount = hierarchy?.mounts.get(controller);
      if (mount) await writeFile(join(mount, group, file), value);
    }
  }

  async function read(group: string, controller: string, file: string): Promise<string | undefined> {
    const mount = hierarchy?.mounts.get(controller);
    return mount && (await readFile(join(mount, group, file), "utf8").catch(() => undefined))?.trim();
  }

  /** Memory that the kernel doesn't take from pods that asked for it: parents must cover their children. */
  async function protectMemory(pods: readonly PodView[]): Promise<void> {
    const asked = { Guaranteed: 0, Burstable: 0, BestEffort: 0 };
    if (config.memoryReservationPolicy === "TieredReservation")
      for (const pod of pods) asked[podQos(pod)] += podTotals(pod, "requests").memory.total;
    await write(root, { unified: { "memory.min": String(asked.Guaranteed + asked.Burstable) } });
    await write(join(root, "burstable"), { unified: { "memory.low": String(asked.Burstable) } });
  }

  return {
    async prepare(limits = {}) {
      if (!usable) return log.warn("this machine has no cgroups that pods could be put in");
      try {
        for (const name of ["", ...classes]) await make(join(root, name));
        const unbounded = pageSizes.map((pageSize) => ({ pageSize, limit: 2 ** 62 }));
        for (const name of classes) await write(join(root, name), { hugepages: unbounded });
        await write(join(root, "besteffort"), { cpuShares: cpuShares(0) });
      } catch (error) {
        return giveUp(error);
      }
      await write(root, limits);
    },

    async setUp(pod, isUnlimited = false) {
      if (!usable) return "";
      const group = groupOf(pod);
      const { cpuQuotaUs, memoryLimitBytes, ...rest } = podCgroupResources(pod, { config, ...versionOf(hierarchy) });
      try {
        await make(group);
      } catch (error) {
        giveUp(error);
        return "";
      }
      try {
        await write(group, {
          ...rest,
          ...(isUnlimited ? { cpuQuotaUs: -1 } : cpuQuotaUs === 0 ? {} : { cpuQuotaUs }),
          ...(memoryLimitBytes > 0 ? { memoryLimitBytes } : {}),
          ...(config.podPidsLimit > 0 ? { pidsMax: config.podPidsLimit } : {}),
        });
      } catch (error) {
        // One pod's limit that the kernel refuses (more is in use already) is nothing against all others' groups.
        log.warn("a pod's limits could not be set", { group, error });
      }
      return group;
    },

    async values(pod) {
      const group = groupOf(pod);
      const isV2 = hierarchy?.version === 2;
      if (!usable) return undefined;
      const [memory, shares, max, period] = await Promise.all(
        isV2
          ? [read(group, "memory", "memory.max"), read(group, "cpu", "cpu.weight"), read(group, "cpu", "cpu.max")]
          : [
              read(group, "memory", "memory.limit_in_bytes"),
              read(group, "cpu", "cpu.shares"),
              read(group, "cpu", "cpu.cfs_quota_us"),
              read(group, "cpu", "cpu.cfs_period_us"),
            ],
      );
      if (memory === undefined || shares === undefined || max === undefined) return undefined;
      const [quota = "max", v2Period = "100000"] = max.split(" ");
      const limit = Number(memory);
      return {
        cpuShares: isV2 ? sharesOf(Number(shares)) : Number(shares),
        cpuQuotaUs: quota === "max" ? -1 : Number(quota),
        cpuPeriodUs: Number(period ?? v2Period),
        // What v1 says when there is no limit: all that pages can count.
        memoryLimitBytes: memory === "max" || limit > 2 ** 62 ? -1 : limit,
      };
    },

    change: (pod, values) => (usable ? write(groupOf(pod), values) : Promise.resolve()),

    async memoryUsage(pod, containerId = "") {
      const file = hierarchy?.version === 2 ? "memory.current" : "memory.usage_in_bytes";
      const text = usable ? await read(join(groupOf(pod), containerId), "memory", file) : undefined;
      return text === undefined ? undefined : Number(text);
    },

    async enforce(group, values) {
      for (const [controller] of filesOf(values, { version: hierarchy?.version ?? 1, pageSizes })) {
        const mount = hierarchy?.mounts.get(controller);
        if (mount) await access(join(mount, group));
      }
      await write(group, values);
    },

    async remove(podUid) {
      for (const mount of all)
        for (const parent of [root, ...classes.map((name) => join(root, name))])
          await removeTree(join(mount, parent, `pod${podUid}`));
    },

    async leftovers() {
      const found = new Set<string>();
      for (const mount of all)
        for (const parent of [root, ...classes.map((name) => join(root, name))])
          for (const name of await readdir(join(mount, parent)).catch(missing))
            if (name.startsWith("pod")) found.add(name.slice("pod".length));
      return [...found];
    },

    async balance(pods) {
      if (!usable) return;
      let milli = 0;
      for (const pod of pods) if (podQos(pod) === "Burstable") milli += podTotals(pod, "requests").cpu.total;
      await write(join(root, "burstable"), { cpuShares: cpuShares(milli) }).catch(giveUp);
      if (hasMemoryQos({ config, ...versionOf(hierarchy) })) await protectMemory(pods).catch(giveUp);
    },

    async close() {
      for (const mount of all) await removeTree(join(mount, root));
    },

    hierarchy,
    pageSizes,
    root,
    groupOf: (pod) => (usable ? groupOf(pod) : undefined),
  };
}

const versionOf = (hierarchy: CgroupHierarchy | undefined) => ({ cgroupVersion: hierarchy?.version ?? 1 }) as const;

/** By controller: the files of a group and what is written to them, in an order that the kernel takes. */
function* filesOf(
  values: GroupValues,
  { version, pageSizes }: { version: 1 | 2; pageSizes: readonly string[] },
): Iterable<readonly [controller: string, file: string, value: string]> {
  const { cpuShares: shares, cpuPeriodUs, cpuQuotaUs, memoryLimitBytes, pidsMax, hugepages, unified = {} } = values;
  const isV2 = version === 2;
  if (shares !== undefined)
    yield isV2 ? ["cpu", "cpu.weight", String(weightOf(shares))] : ["cpu", "cpu.shares", String(shares)];
  if (isV2 && cpuQuotaUs !== undefined)
    yield ["cpu", "cpu.max", `${cpuQuotaUs < 0 ? "max" : cpuQuotaUs} ${cpuPeriodUs ?? 100_000}`];
  if (!isV2 && cpuQuotaUs !== undefined) {
    if (cpuPeriodUs !== undefined) yield ["cpu", "cpu.cfs_period_us", String(cpuPeriodUs)];
    yield ["cpu", "cpu.cfs_quota_us", String(cpuQuotaUs)];
  }
  if (memoryLimitBytes !== undefined)
    yield isV2
      ? ["memory", "memory.max", memoryLimitBytes < 0 ? "max" : String(memoryLimitBytes)]
      : ["memory", "memory.limit_in_bytes", String(memoryLimitBytes)];
  if (pidsMax !== undefined) yield ["pids", "pids.max", String(pidsMax)];
  if (hugepages !== undefined)
    for (const pageSize of pageSizes) {
      const limit = hugepages.find((each) => each.pageSize === pageSize)?.limit ?? 0;
      yield ["hugetlb", `hugetlb.${pageSize}.${isV2 ? "max" : "limit_in_bytes"}`, String(limit)];
    }
  if (isV2) for (const [file, value] of Object.entries(unified)) yield [file.split(".")[0] ?? "", file, value];
}

/** Groups are directories that hold only groups; the files in them are the kernel's. Deepest first. */
async function removeTree(path: string): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true }).catch(missing);
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(path, entry.name));
  await rmdir(path).catch((error: NodeJS.ErrnoException) => {
    // Busy: a process is still in it; the next look tries again.
    if (error.code !== "ENOENT" && error.code !== "EBUSY") throw error;
  });
}

function missing(error: NodeJS.ErrnoException): never[] {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return [];
  throw error;
}
