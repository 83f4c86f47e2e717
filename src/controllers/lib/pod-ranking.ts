/**
 * Which pod a shrinking set gives up first: the one that costs least. In this order: not yet on a node, not yet running, not
 * ready, lower deletion cost, more siblings on its node, ready for a shorter time, more restarts, younger.
 * Times are compared by their binary logarithm, and the uid decides between equals: old and older pods are alike, and
 * always taking the youngest would empty the zone that was added last. Upstream: ActivePodsWithRanks.
 */
import { timeMs } from "#machinery";
import { uidOf } from "./objects.ts";
import { isPodActive, isPodReady, podReadySinceMs, type SeenPod } from "./pods.ts";

const deletionCostAnnotation = "controller.kubernetes.io/pod-deletion-cost";
const phaseOrder: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };

interface Candidate {
  readonly pod: SeenPod;
  readonly isAssigned: boolean;
  readonly phase: number;
  readonly isReady: boolean;
  readonly cost: number;
  readonly siblingsOnNode: number;
  readonly readyRank: number;
  readonly restarts: number;
  readonly ageRank: number;
}

export interface RankingOptions {
  /** Pods of the same origin (all sets of a Deployment), counted by node. */
  readonly related: readonly SeenPod[];
  readonly now: number;
}

/** The pods that go first, first. */
export function rankForDeletion(pods: readonly SeenPod[], { related, now }: RankingOptions): SeenPod[] {
  const onNode = new Map<string, number>();
  for (const pod of related) {
    if (!isPodActive(pod)) continue;
    const node = pod.spec?.nodeName ?? "";
    onNode.set(node, (onNode.get(node) ?? 0) + 1);
  }
  return pods
    .map((pod): Candidate => {
      const isReady = isPodReady(pod);
      return {
        pod,
        isAssigned: Boolean(pod.spec?.nodeName),
        phase: phaseOrder[pod.status?.phase ?? ""] ?? 0,
        isReady,
        cost: deletionCost(pod),
        siblingsOnNode: onNode.get(pod.spec?.nodeName ?? "") ?? 0,
        readyRank: isReady ? logarithmicAge(podReadySinceMs(pod), now) : -1,
        restarts: Math.max(0, ...(pod.status?.containerStatuses ?? []).map((status) => status.restartCount ?? 0)),
        ageRank: logarithmicAge(timeMs(pod.metadata.creationTimestamp), now),
      };
    })
    .sort(compare)
    .map(({ pod }) => pod);
}

function compare(a: Candidate, b: Candidate): number {
  return (
    Number(a.isAssigned) - Number(b.isAssigned) ||
    a.phase - b.phase ||
    Number(a.isReady) - Number(b.isReady) ||
    a.cost - b.cost ||
    b.siblingsOnNode - a.siblingsOnNode ||
    a.readyRank - b.readyRank ||
    b.restarts - a.restarts ||
    a.ageRank - b.ageRank ||
    (uidOf(a.pod) < uidOf(b.pod) ? -1 : 1)
  );
}

/** -1: no time, or one that lies ahead. Upstream takes the logarithm of nanoseconds. */
function logarithmicAge(sinceMs: number, now: number): number {
  const age = (now - sinceMs) * 1e6;
  return age > 0 ? Math.floor(Math.log2(age)) : -1;
}

/** Zero for what is missing or no 32-bit integer; admission has refused such annotations already. */
function deletionCost(pod: SeenPod): number {
  const text = pod.metadata.annotations?.[deletionCostAnnotation];
  if (text === undefined || !/^(0|[1-9][0-9]*|-[1-9][0-9]*)$/.test(text)) return 0;
  const cost = Number(text);
  return Math.abs(cost) <= 2 ** 31 ? cost : 0;
}
