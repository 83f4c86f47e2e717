/** How long pods take to start, as the "pod startup latency" objective counts it: from their creation until the API shows all containers running. */
import type { Pod } from "#api";
import type { Clock } from "#base";
import type { Informer } from "#client";
import { timeMs } from "#machinery";
import { isHostNetwork, isSidecar, isTerminalPhase, type PodView } from "../core/types.ts";
import type { KubeletMetrics } from "./kubelet-metrics.ts";

export interface PodStarts {
  pulled(podUid: string, seconds: number): void;
  close(): void;
}

interface Starting {
  readonly seenMs: number;
  pullMs: number;
  wasRunning: boolean;
}

export function followPodStarts(
  pods: Informer<Pod>,
  { metrics, clock }: { metrics: KubeletMetrics; clock: Clock },
): PodStarts {
  const starting = new Map<string, Starting>();
  let firstSeen = false;
  const close = pods.addHandler({
    added(pod) {
      const { uid = "" } = pod.metadata;
      // It was here before this process: nobody knows how long it took.
      if (pod.status?.startTime || isTerminalPhase(pod.status?.phase)) return;
      metrics.containersPerPod.observe(pod.spec?.containers.length ?? 0);
      starting.set(uid, { seenMs: clock.now(), pullMs: 0, wasRunning: false });
    },
    updated(pod) {
      const { uid = "" } = pod.metadata;
      const known = starting.get(uid);
      if (!known) return;
      if (isTerminalPhase(pod.status?.phase)) starting.delete(uid);
      if (pod.status?.phase === "Running" && !known.wasRunning) {
        known.wasRunning = true;
        metrics.startSeconds.observe((clock.now() - known.seenMs) / 1000);
      }
      if (!hasStarted(pod)) return;
      starting.delete(uid);
      const tookMs = Math.max(0, clock.now() - timeMs(pod.metadata.creationTimestamp));
      metrics.startTotalSeconds.with().observe(tookMs / 1000);
      const seconds = Math.max(0, tookMs - known.pullMs - initMs(pod)) / 1000;
      if (isStateful(pod)) return;
      metrics.startSliSeconds.with().observe(seconds);
      if (firstSeen || isHostNetwork(pod)) return;
      firstSeen = true;
      metrics.firstStartSliSeconds.set(seconds);
    },
    deleted: (pod) => void starting.delete(pod.metadata.uid ?? ""),
  });
  return {
    pulled(podUid, seconds) {
      const known = starting.get(podUid);
      if (known) known.pullMs += seconds * 1000;
    },
    close,
  };
}

function hasStarted({ status, spec }: PodView): boolean {
  const statuses = status?.containerStatuses ?? [];
  return statuses.length === (spec?.containers.length ?? 0) && statuses.every(({ state }) => state?.running?.startedAt);
}

const initMs = ({ spec, status }: PodView): number => {
  const sidecars = new Set((spec?.initContainers ?? []).filter(isSidecar).map(({ name }) => name));
  return (status?.initContainerStatuses ?? []).reduce((sum, { name, state }) => {
    const { startedAt, finishedAt } = state?.terminated ?? {};
    return sidecars.has(name) || !startedAt || !finishedAt ? sum : sum + timeMs(finishedAt) - timeMs(startedAt);
  }, 0);
};

/** Mounts something that isn't made for the pod alone. */
const isStateful = ({ spec }: PodView): boolean =>
  (spec?.volumes ?? []).some(
    ({ secret, configMap, downwardAPI, emptyDir, projected }) =>
      !(secret || configMap || downwardAPI || emptyDir || projected),
  );
