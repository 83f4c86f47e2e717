/** What the node gives its containers beyond what their specs say: numbers for the kernel, cpus, devices. */
import { access, readFile } from "node:fs/promises";
import type { KubeletConfiguration } from "../config/configuration.ts";
import { linuxResources, type ResourceFacts } from "../core/resources.ts";
import { unitsOf } from "../core/quantity.ts";
import type { ContainerSpec, PodView } from "../core/types.ts";
import type { LinuxContainerResources } from "../cri/types.d.ts";
import type { CgroupHierarchy, PodCgroups } from "../node/cgroups.ts";
import type { MachineFacts } from "../node/machine.ts";

export interface NodeResources {
  readonly facts: ResourceFacts;
  /** What the runtime is told of a container. */
  linux(pod: PodView, container: ContainerSpec): LinuxContainerResources;
  /** Has it cpus that nobody else uses? */
  hasOwnCpus(pod: PodView): boolean;
}

/** Can the kernel limit the swap of a group? */
export async function hasSwapControl(
  hierarchy: CgroupHierarchy | undefined,
  ownGroup = "/proc/self/cgroup",
): Promise<boolean> {
  const mount = hierarchy?.mounts.get("memory");
  if (!mount) return false;
  let path = `${mount}/memory.memsw.limit_in_bytes`;
  if (hierarchy?.version === 2) {
    const own = /^0::(.*)$/m.exec(await readFile(ownGroup, "utf8"))?.[1] ?? "";
    path = `${mount}${own}/memory.swap.max`;
  }
  return access(path).then(
    () => true,
    () => false,
  );
}

export async function createNodeResources(options: {
  config: Readonly<KubeletConfiguration>;
  machine: MachineFacts;
  cgroups: PodCgroups;
  allocatable(): Readonly<Record<string, string>>;
}): Promise<NodeResources> {
  const { config, machine, cgroups } = options;
  const facts: ResourceFacts = {
    config,
    memoryBytes: machine.memoryBytes,
    swapBytes: machine.swapBytes,
    cgroupVersion: cgroups.hierarchy?.version ?? 1,
    hasSwapControl: await hasSwapControl(cgroups.hierarchy),
    pageSizes: cgroups.pageSizes,
    allocatableMemory: () => unitsOf(options.allocatable().memory),
  };
  return {
    facts,
    linux: (pod, container) => linuxResources(pod, container, facts),
    hasOwnCpus: () => false,
  };
}
