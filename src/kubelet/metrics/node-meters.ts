/** The meters of one node, attached to what they count. */
import type { Pod } from "#api";
import type { Clock } from "#base";
import type { Informer } from "#client";
import type { PodView } from "../core/types.ts";
import type { CriClient } from "../cri/client.ts";
import { createKubeletMetrics, type KubeletMetrics } from "./kubelet-metrics.ts";
import { meterRuntime } from "./meter-runtime.ts";
import { followPodStarts } from "./pod-starts.ts";

export interface NodeMeters {
  readonly metrics: KubeletMetrics;
  /** The client that was given, counted. */
  readonly cri: CriClient;
}

export function createNodeMeters(
  cri: CriClient,
  { pods, clock, podOf }: { pods: Informer<Pod>; clock: Clock; podOf(uid: string): PodView | undefined },
): NodeMeters {
  const metrics = createKubeletMetrics();
  const starts = followPodStarts(pods, { metrics, clock });
  return { metrics, cri: meterRuntime(cri, { metrics, podOf, onPull: starts.pulled }) };
}
