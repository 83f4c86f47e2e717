/** What the node's containers have used, for whoever tells rates from it: the resource metrics API, or a collector. */
import type { GroupUsage } from "./group-usage.ts";
import type { NodeLook } from "./sampler.ts";

export interface UsagePoint {
  readonly timeMs: number;
  /** Since it was started. */
  readonly cpuNanoSeconds: number;
  readonly memoryBytes: number;
}

export interface ContainerPoint extends UsagePoint {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly startedMs: number;
}

export interface NodeUsage {
  readonly node: UsagePoint | undefined;
  readonly containers: readonly ContainerPoint[];
}

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
