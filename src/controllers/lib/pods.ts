/** Facts about a pod that several controllers ask for. */
import type { Pod, PodCondition } from "#api";
import { timeMs } from "#machinery";
import { isDeleting, type Seen } from "./objects.ts";

export type SeenPod = Seen<Pod>;

export function podCondition(pod: SeenPod, type: string): Seen<PodCondition> | undefined {
  return pod.status?.conditions?.find((condition) => condition.type === type);
}

export const isPodReady = (pod: SeenPod): boolean => podCondition(pod, "Ready")?.status === "True";

/** Since when it is ready; NaN when it isn't. */
export function podReadySinceMs(pod: SeenPod): number {
  const ready = podCondition(pod, "Ready");
  return ready?.status === "True" ? timeMs(ready.lastTransitionTime) : Number.NaN;
}

/** Ready for long enough to be relied on. */
export function isPodAvailable(pod: SeenPod, { minReadySeconds = 0, now }: { minReadySeconds?: number; now: number }) {
  if (!isPodReady(pod)) return false;
  return minReadySeconds === 0 || podReadySinceMs(pod) + minReadySeconds * 1000 <= now;
}

/** In how many ms a ready pod becomes available; undefined when it is, or isn't ready. */
export function availableInMs(pod: SeenPod, { minReadySeconds = 0, now }: { minReadySeconds?: number; now: number }) {
  const since = podReadySinceMs(pod);
  if (Number.isNaN(since)) return undefined;
  const left = since + minReadySeconds * 1000 - now;
  return left > 0 ? left : undefined;
}

/** Its containers have ended for good. */
export const isPodFinished = (pod: SeenPod): boolean =>
  pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";

/** Counts as a replica. */
export const isPodActive = (pod: SeenPod): boolean => !isPodFinished(pod) && !isDeleting(pod);

/** Still running, but going. */
export const isPodTerminating = (pod: SeenPod): boolean => !isPodFinished(pod) && isDeleting(pod);
