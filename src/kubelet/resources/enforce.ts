/** Puts limits on the groups of the machine: that of all pods, and those of the system and of this program where the settings want it. */
import type { KubeletConfiguration } from "../config/configuration.ts";
import type { PodCgroups } from "../node/cgroups.ts";
import { readProcesses } from "../node/machine.ts";
import { type NodeAmountsInput, podsLimits, reservedGroups } from "./amounts.ts";

/** Rejects when a group can't be limited as the settings say: the node shouldn't start then. */
export async function prepareGroups(
  cgroups: PodCgroups,
  {
    config,
    event,
    ...input
  }: Omit<NodeAmountsInput, "config"> & {
    config: Readonly<KubeletConfiguration>;
    /** About the node. */
    event(type: "Normal" | "Warning", reason: string, message: string): void;
  },
): Promise<void> {
  const { max } = await readProcesses();
  try {
    await cgroups.prepare(config.cgroupsPerQOS ? podsLimits({ ...input, config }, max) : {});
    event("Normal", "NodeAllocatableEnforced", "Updated Node Allocatable limit across pods");
  } catch (error) {
    // More is in use already; pods that are asked to go make room for the next start.
    const message = `Failed to update Node Allocatable Limits ${JSON.stringify(cgroups.root)}: ${(error as Error).message}`; // files fail with errors
    event("Warning", "FailedNodeAllocatableEnforcement", message);
  }
  for (const { title, group, values } of reservedGroups(config)) {
    try {
      await cgroups.enforce(group, values);
    } catch (error) {
      const message = `Failed to enforce ${title} Cgroup Limits on ${JSON.stringify(group)}: ${(error as Error).message}`; // files fail with errors
      event("Warning", "FailedNodeAllocatableEnforcement", message);
      throw new Error(message, { cause: error });
    }
    const kind = title.toLowerCase().replace(" compressible", "");
    event("Normal", "NodeAllocatableEnforced", `Updated limits on ${kind} cgroup ${group}`);
  }
}
