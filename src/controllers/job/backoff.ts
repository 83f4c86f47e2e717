/**
 * How long a Job waits before it tries again: after failures in a row 10 s, 20 s, 40 s, … up to ten minutes; a success starts
 * anew. Pure. What is counted is remembered by the shell, because pods that were deleted say nothing any more.
 */
import { timeMs } from "#machinery";
import { isDeleting } from "../lib/objects.ts";
import { podCondition, type SeenPod } from "../lib/pods.ts";

const backoffMsMin = 10_000;
const backoffMsMax = 600_000;

export interface Backoff {
  /** Since the last success. */
  readonly failures: number;
  readonly lastFailureMs: number;
}

export const noBackoff: Backoff = { failures: 0, lastFailureMs: 0 };

/** What is known, and the pods that ended since. */
export function backoffAfter(
  known: Backoff,
  { succeeded, failed }: { succeeded: readonly SeenPod[]; failed: readonly SeenPod[] },
): Backoff {
  if (succeeded.length + failed.length === 0) return known;
  const lastSuccessMs = Math.max(...succeeded.map(finishedMs), Number.NEGATIVE_INFINITY);
  const failures = failed.map(finishedMs).filter((ms) => ms > lastSuccessMs);
  if (failures.length === 0) return noBackoff;
  return {
    failures: failures.length + (succeeded.length > 0 ? 0 : known.failures),
    lastFailureMs: Math.max(...failures),
  };
}

export const leftMs = ({ failures, lastFailureMs }: Backoff, now: number): number =>
  failures === 0 ? 0 : Math.max(0, Math.min(backoffMsMax, backoffMsMin * 2 ** (failures - 1)) - (now - lastFailureMs));

/** When its last container ended (sidecars too); else when it stopped being ready, was told to go, or was made. */
export function finishedMs(pod: SeenPod): number {
  const sidecars = new Set(
    (pod.spec?.initContainers ?? []).filter((each) => each.restartPolicy === "Always").map(({ name }) => name),
  );
  const ends = [
    ...(pod.status?.containerStatuses ?? []),
    ...(pod.status?.initContainerStatuses ?? []).filter(({ name }) => sidecars.has(name)),
  ].map(({ state }) => timeMs(state?.terminated?.finishedAt));
  if (ends.length > 0 && !ends.some(Number.isNaN)) return Math.max(...ends);
  const ready = podCondition(pod, "Ready");
  const unreadyMs = ready?.status === "False" ? timeMs(ready.lastTransitionTime) : Number.NaN;
  if (!Number.isNaN(unreadyMs)) return unreadyMs;
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, creationTimestamp } = pod.metadata;
  return isDeleting(pod) ? timeMs(deletionTimestamp) - deletionGracePeriodSeconds * 1000 : timeMs(creationTimestamp);
}
