/** What pods use, for whoever chooses one that has to go or checks its limits: groups and disks of just these pods. */
import type { CgroupHierarchy } from "../node/cgroups.ts";
import { allContainers, newestContainer, type PodRuntime, type PodView } from "../core/types.ts";
import type { CriClient } from "../cri/client.ts";
import { readGroup } from "../stats/group-usage.ts";
import { type PodDiskOptions, readLayers, readPodDisk } from "../stats/pod-disk.ts";
import type { ContainerUsage, PodUsage } from "./rank.ts";

export interface PodUsageOptions extends PodDiskOptions {
  readonly cri: CriClient;
  readonly cgroups: {
    readonly hierarchy: CgroupHierarchy | undefined;
    groupOf(pod: PodView): string | undefined;
  };
  readonly now: () => number;
}

export interface MeasuredPod {
  readonly uid: string;
  pod(): PodView;
  runtime(): PodRuntime;
}

/** A volume with so many files takes seconds to count; beyond that it isn't known how large it is. */
const entriesMax = 500_000;
/** So few pods are asked for one by one. */
const singlesMax = 3;

/** By uid. */
export async function readPodUsage(
  pods: readonly MeasuredPod[],
  options: PodUsageOptions,
): Promise<Map<string, PodUsage>> {
  const { cri, cgroups, now } = options;
  const sandboxes = pods.flatMap((each) => each.runtime().sandboxes[0]?.id ?? []);
  const lists =
    sandboxes.length <= singlesMax
      ? await Promise.all(sandboxes.map((id) => readLayers(cri, id)))
      : [await readLayers(cri)];
  const layers = new Map(lists.flatMap((list) => [...list]));
  const measured = new Map<string, PodUsage>();
  for (const each of pods) {
    const pod = each.pod();
    const running = allContainers(pod).flatMap(({ name }) => {
      const found = newestContainer(each.runtime(), name);
      return found?.state === "running" ? [found] : [];
    });
    if (running.length === 0) continue;
    const group = cgroups.groupOf(pod);
    const usageOf = (below: string) =>
      cgroups.hierarchy && group !== undefined ? readGroup(cgroups.hierarchy, `${group}${below}`, { now }) : undefined;
    const disk = await readPodDisk(pod, { containers: running, layers, entriesMax }, options);
    let processes = 0;
    const containers = running.map(({ id, name }): ContainerUsage => {
      const usage = usageOf(`/${id}`);
      processes += usage?.pids.length ?? 0;
      const { rootfs, logs } = disk.containers.get(id) ?? {};
      return {
        name,
        ...(usage && { memoryBytes: usage.memory.workingSetBytes }),
        ...(rootfs && { rootfs }),
        ...(logs && { logs }),
      };
    });
    const memoryBytes = usageOf("")?.memory.workingSetBytes;
    measured.set(each.uid, {
      ...(memoryBytes !== undefined && { memoryBytes }),
      processes,
      containers,
      volumes: new Map(disk.volumes.map(({ name, used }) => [name, used])),
      ephemeral: disk.ephemeral,
    });
  }
  return measured;
}
