/** The meters of one node, attached to what they count. */
import type { Pod } from "#api";
import type { Clock } from "#base";
import type { Informer } from "#client";
import type { PodView } from "../core/types.ts";
import type { CriClient } from "../cri/client.ts";
import type { RuntimeObserver } from "../runtime/observe.ts";
import { createKubeletMetrics, type KubeletMetrics } from "./kubelet-metrics.ts";
import { meterRuntime } from "./meter-runtime.ts";
import { followPodStarts } from "./pod-starts.ts";

/** The observer that was given, with what a list of the runtime's pods costs. */
export function meterObserver(
  observer: RuntimeObserver,
  { metrics, clock }: { metrics: KubeletMetrics; clock: Clock },
) {
  const timed = async <T>(work: Promise<T>, observe: (seconds: number) => void): Promise<T> => {
    const started = performance.now();
    const answer = await work;
    observe((performance.now() - started) / 1000);
    return answer;
  };
  const metered: RuntimeObserver = {
    ...observer,
    all: () =>
      timed(observer.all(), (seconds) => {
        metrics.listSeconds.observe(seconds);
        metrics.listSeen.set(clock.now() / 1000);
      }),
    pod: (uid, about) => timed(observer.pod(uid, about), (seconds) => metrics.listedPodSeconds.observe(seconds)),
  };
  return metered;
}

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
