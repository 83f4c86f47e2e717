/** What the node's containers have used, for whoever tells rates from it: the resource metrics API, or a collector. */
import type { NodeUsage, UsagePoint } from "#api";
import type { GroupUsage } from "./group-usage.ts";
import type { NodeLook } from "./sampler.ts";

export const usageOf = ({ node, pods }: NodeLook): NodeUsage => ({
  node: node && pointOf(node),
  containers: pods.flatMap(({ pod, containers }) =>
    containers.flatMap(({ name: container, container: { startedAt: startedMs }, usage }) => {
      const { name = "", namespace = "" } = pod.metadata;
      return usage ? [{ ...pointOf(usage), namespace, pod: name, container, startedMs }] : [];
    }),
  ),
});

const pointOf = ({ timeMs, cpuNanoSeconds, memory }: GroupUsage): UsagePoint => ({
  timeMs,
  cpuNanoSeconds,
  memoryBytes: memory.workingSetBytes,
});
