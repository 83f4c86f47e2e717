/**
 * Which pod a shrinking set gives up first: the one that costs least. In this order: not yet on a node, not yet running, not
 * ready, lower deletion cost, more siblings on its node, ready for a shorter time, more restarts (of sidecars last), younger.
 * Times that differ are compared by their binary logarithm, and if that is the same the uid decides: old and older pods are alike, and
 * always taking the youngest would empty the zone that was added last. Upstream: ActivePodsWithRanks.
 */
import type { ContainerStatus } from "#api";
import { timeMs } from "#machinery";
import { type Seen, uidOf } from "./objects.ts";
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
  readonly readyMs: number;
  readonly restarts: number;
  readonly sidecarRestarts: number;
  readonly createdMs: number;
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
        readyMs: isReady ? podReadySinceMs(pod) : 0,
        restarts: mostRestarts(pod.status?.containerStatuses),
        sidecarRestarts: mostRestarts(pod.status?.initContainerStatuses?.filter(({ name }) => isSidecar(pod, name))),
        createdMs: timeMs(pod.metadata.creationTimestamp),
      };
    })
    .sort((a, b) => compare(a, b, now))
    .map(({ pod }) => pod);
}

const mostRestarts = (statuses: Seen<ContainerStatus[]> = []) =>
  Math.max(0, ...statuses.map(({ restartCount }) => restartCount ?? 0));

const isSidecar = ({ spec }: SeenPod, name: string) =>
  spec?.initContainers?.some((container) => container.name === name && container.restartPolicy === "Always");

function compare(a: Candidate, b: Candidate, now: number): number {
  const byUid = uidOf(a.pod) < uidOf(b.pod) ? -1 : 1;
  const byAge = (since: number, other: number) =>
    since === other ? 0 : logarithmicAge(since, now) - logarithmicAge(other, now) || byUid;
  return (
    Number(a.isAssigned) - Number(b.isAssigned) ||
    a.phase - b.phase ||
    Number(a.isReady) - Number(b.isReady) ||
    a.cost - b.cost ||
    b.siblingsOnNode - a.siblingsOnNode ||
    byAge(a.readyMs, b.readyMs) ||
    b.restarts - a.restarts ||
    b.sidecarRestarts - a.sidecarRestarts ||
    byAge(a.createdMs, b.createdMs) ||
    byUid
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
