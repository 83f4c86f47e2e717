/** What a node and its containers have used since they were started: the kubelet tells it, the resource metrics API makes rates of it. */
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
