/** Eviction with this node's parts: where its signals are read, who is measured, what frees space. */
import type { Clock, Logger } from "#base";
import type { EventRecorder } from "#client";
import type { KubeletConfiguration } from "../config/configuration.ts";
import type { CriClient } from "../cri/client.ts";
import type { KubeletMetrics } from "../metrics/kubelet-metrics.ts";
import type { PodCgroups } from "../node/cgroups.ts";
import type { PodManager } from "../pods/pod-manager.ts";
import type { PodDiskOptions } from "../stats/pod-disk.ts";
import { createEvictionManager, type EvictionManager } from "./manager.ts";
import { createObserver } from "./observe.ts";
import { readPodUsage } from "./pod-usage.ts";

export interface NodeEvictionOptions extends PodDiskOptions {
  readonly config: Readonly<KubeletConfiguration>;
  readonly nodeName: string;
  readonly rootDir: string;
  readonly memoryBytes: number;
  readonly cri: CriClient;
  readonly cgroups: PodCgroups;
  readonly pods: PodManager;
  readonly clock: Clock;
  readonly log: Logger;
  readonly recorder: EventRecorder;
  readonly metrics: KubeletMetrics;
  removeImages(): Promise<unknown>;
  onConditions(): void;
}

export function createNodeEviction(options: NodeEvictionOptions): EvictionManager {
  const { cri, pods, clock } = options;
  const now = () => clock.now();
  return createEvictionManager({
    ...options,
    observe: createObserver({
      ...options,
      now,
      imagePath: async () => (await cri.image.imageFsInfo({})).imageFilesystems[0]?.fsId?.mountpoint ?? "",
    }),
    workers: () => pods.workers(),
    usage: (workers) => readPodUsage(workers, { ...options, now }),
    reclaim: {
      containers: async () => {
        for (const worker of pods.workers()) await worker.removeRuns();
      },
      images: options.removeImages,
    },
  });
}
