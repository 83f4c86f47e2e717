/** How long a Job waits before it tries again. Pure: the pods say when they ended, so nothing has to be remembered. */
import { timeMs } from "#machinery";
import type { SeenPod } from "../lib/pods.ts";

const backoffMsMin = 10_000;
const backoffMsMax = 600_000;

interface FailureView {
  readonly pods: readonly SeenPod[];
  readonly now: number;
}

/** After failures in a row new pods wait 10 s, 20 s, 40 s, … up to ten minutes; a success starts anew. */
export function backoffLeftMs(failed: readonly SeenPod[], { pods, now }: FailureView): number {
  const lastSuccess = Math.max(
    0,
    ...pods.filter((pod) => pod.status?.phase === "Succeeded").map((pod) => endMs(pod, now)),
  );
  const since = failed.map((pod) => ({ pod, at: endMs(pod, now) })).filter(({ at }) => at > lastSuccess);
  const last = since.sort((a, b) => b.at - a.at)[0];
  return last ? delayAfter(last.pod, since.length, now) : 0;
}

export const delayAfter = (pod: SeenPod, failures: number, now: number): number =>
  Math.max(0, endMs(pod, now) + Math.min(backoffMsMax, backoffMsMin * 2 ** Math.max(0, failures - 1)) - now);

/** When its last container ended; else when it stopped being ready, was told to go, or was made. */
function endMs(pod: SeenPod, now: number): number {
  const ends = (pod.status?.containerStatuses ?? []).map(({ state }) => timeMs(state?.terminated?.finishedAt));
  const known = ends.filter((ms) => !Number.isNaN(ms));
  if (known.length > 0) return Math.max(...known);
  const ready = pod.status?.conditions?.find(({ type }) => type === "Ready");
  const fallback = [ready?.lastTransitionTime, pod.metadata.deletionTimestamp, pod.metadata.creationTimestamp]
    .map(timeMs)
    .find((ms) => !Number.isNaN(ms));
  return Math.min(fallback ?? now, now);
}
