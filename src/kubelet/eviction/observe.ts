/** How much is left on this node, read from /proc, the cgroup tree and the disks: a dozen small reads, no process, nothing of single pods. */
import { stat } from "node:fs/promises";
import type { CgroupHierarchy } from "../node/cgroups.ts";
import { readDisk, readProcesses } from "../node/machine.ts";
import { readGroup } from "../stats/group-usage.ts";
import type { Observation, Observations } from "./state.ts";
import type { FileSystemLayout, Signal } from "./thresholds.ts";

export interface ObserveOptions {
  /** On the disk that counts as the node's. */
  readonly rootDir: string;
  readonly memoryBytes: number;
  readonly cgroups: { readonly hierarchy: CgroupHierarchy | undefined; readonly root: string };
  /** Where the runtime keeps images; "": it doesn't say. */
  imagePath(): Promise<string>;
  readonly now: () => number;
}

export interface Observed {
  readonly observations: Observations;
  readonly layout: FileSystemLayout;
}

export function createObserver(options: ObserveOptions): () => Promise<Observed> {
  const { rootDir, memoryBytes, cgroups, now } = options;
  let image: { readonly path: string; readonly dedicated: boolean } | undefined;

  /** Disks don't change under a runtime. */
  async function imageDisk() {
    if (image) return image;
    const path = await options.imagePath();
    if (path === "") return { path: rootDir, dedicated: false };
    const [own, of] = await Promise.all([stat(rootDir), stat(path)]);
    image = { path, dedicated: own.dev !== of.dev };
    return image;
  }

  return async () => {
    const { path, dedicated } = await imageDisk();
    const [disk, images, processes] = await Promise.all([readDisk(rootDir), readDisk(path), readProcesses()]);
    const timeMs = now();
    const seen = new Map<Signal, Observation>();
    const put = (signal: Signal, available: number, capacity: number) =>
      seen.set(signal, { available, capacity, timeMs });
    const group = (name: string) => cgroups.hierarchy && readGroup(cgroups.hierarchy, name, { now });
    const whole = group("/");
    if (whole) put("memory.available", Math.max(0, memoryBytes - whole.memory.workingSetBytes), memoryBytes);
    const pods = group(cgroups.root)?.memory;
    // Without a limit of their own pods are as short as the machine.
    if (pods?.limitBytes !== undefined)
      put("allocatableMemory.available", Math.max(0, pods.limitBytes - pods.workingSetBytes), pods.limitBytes);
    for (const [name, each] of [
      ["nodefs", disk],
      ["imagefs", images],
      ["containerfs", images],
    ] as const) {
      put(`${name}.available`, each.availableBytes, each.capacityBytes);
      // Some file systems don't count them.
      if (each.inodes > 0) put(`${name}.inodesFree`, each.inodesFree, each.inodes);
    }
    if (processes.max > 0) put("pid.available", processes.max - processes.running, processes.max);
    return { observations: seen, layout: { dedicated, split: false } };
  };
}
