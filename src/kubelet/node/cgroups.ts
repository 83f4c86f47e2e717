/**
 * The cgroup tree: one group for all pods, one for each quality-of-service class, one for each pod; the runtime makes those of containers
 * inside. Machines differ: one v1 mount per controller, v2, or both with everything in v1. Where a tree can't be made the node says so once
 * and lets the runtime put containers where it likes; limits of containers work all the same.
 */
import { mkdir, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "#base";
import { podQos } from "../core/qos.ts";
import { cpuShares, type KernelResources, podCgroupResources, podTotals } from "../core/resources.ts";
import type { PodView } from "../core/types.ts";

export interface PodCgroups {
  /** Before the first pod. */
  prepare(): Promise<void>;
  /** Makes the pod's group; answers what the runtime is told, "" when there is none. */
  setUp(pod: PodView): Promise<string>;
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
  /** Above all pods, inside the hierarchy. */
  readonly root: string;
  /** Of a pod, inside the hierarchy; undefined when there is no tree. */
  groupOf(pod: PodView): string | undefined;
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

export async function createCgroups(options: {
  /** Absolute path of the tree inside the hierarchy: `/kubepods`. */
  root: string;
  log: Logger;
  hierarchy?: CgroupHierarchy | undefined;
}): Promise<PodCgroups> {
  const { root, log } = options;
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
  function places(group: string): string[] {
    if (hierarchy?.version === 2) return mounts.map((mount) => join(mount, group));
    return ["cpu", "memory"].flatMap((name) => {
      const mount = hierarchy?.mounts.get(name);
      return mount ? [join(mount, group)] : [];
    });
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

  async function apply(
    group: string,
    { cpuShares: shares, cpuPeriodUs, cpuQuotaUs, memoryLimitBytes }: KernelResources,
  ): Promise<void> {
    if (hierarchy?.version === 2) {
      const [at = ""] = places(group);
      await writeFile(join(at, "cpu.weight"), String(weightOf(shares)));
      await writeFile(join(at, "cpu.max"), `${cpuQuotaUs || "max"} ${cpuPeriodUs}`);
      if (memoryLimitBytes > 0) await writeFile(join(at, "memory.max"), String(memoryLimitBytes));
      return;
    }
    const cpu = hierarchy?.mounts.get("cpu");
    const memory = hierarchy?.mounts.get("memory");
    if (cpu) {
      await writeFile(join(cpu, group, "cpu.shares"), String(shares));
      if (cpuQuotaUs > 0) {
        await writeFile(join(cpu, group, "cpu.cfs_period_us"), String(cpuPeriodUs));
        await writeFile(join(cpu, group, "cpu.cfs_quota_us"), String(cpuQuotaUs));
      }
    }
    if (memory && memoryLimitBytes > 0)
      await writeFile(join(memory, group, "memory.limit_in_bytes"), String(memoryLimitBytes));
  }

  async function setShares(group: string, shares: number): Promise<void> {
    if (hierarchy?.version === 2) await writeFile(join(places(group)[0] ?? "", "cpu.weight"), String(weightOf(shares)));
    else {
      const cpu = hierarchy?.mounts.get("cpu");
      if (cpu) await writeFile(join(cpu, group, "cpu.shares"), String(shares));
    }
  }

  return {
    async prepare() {
      if (!usable) return log.warn("this machine has no cgroups that pods could be put in");
      try {
        for (const name of ["", ...classes]) await make(join(root, name));
        await setShares(join(root, "besteffort"), cpuShares(0));
      } catch (error) {
        giveUp(error);
      }
    },

    async setUp(pod) {
      if (!usable) return "";
      const group = groupOf(pod);
      try {
        await make(group);
        await apply(group, podCgroupResources(pod));
        return group;
      } catch (error) {
        giveUp(error);
        return "";
      }
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
      await setShares(join(root, "burstable"), cpuShares(milli)).catch(giveUp);
    },

    async close() {
      for (const mount of all) await removeTree(join(mount, root));
    },

    hierarchy,
    root,
    groupOf: (pod) => (usable ? groupOf(pod) : undefined),
  };
}

/** v2 has weights from 1 to 10000 where v1 has shares from 2 to 262144. */
export const weightOf = (shares: number): number => 1 + Math.floor(((shares - 2) * 9999) / 262_142);

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
