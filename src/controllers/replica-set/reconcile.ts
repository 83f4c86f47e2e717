/**
 * How many pods a ReplicaSet or ReplicationController makes or deletes, which ones, and what its status says. Pure.
 */
import type { PodTemplateSpec } from "#api";
import { formatTime, type KubernetesObject, semanticEqual } from "#machinery";
import type { Seen } from "../lib/objects.ts";
import { rankForDeletion } from "../lib/pod-ranking.ts";
import { availableInMs, isPodAvailable, isPodReady, type SeenPod } from "../lib/pods.ts";

export interface ReplicaCondition {
  type: string;
  status: string;
  lastTransitionTime?: string;
  reason?: string;
  message?: string;
}

export interface ReplicaStatus {
  replicas: number;
  fullyLabeledReplicas?: number;
  readyReplicas?: number;
  availableReplicas?: number;
  terminatingReplicas?: number;
  observedGeneration?: number;
  conditions?: ReplicaCondition[];
}

/** What a ReplicaSet and a ReplicationController have in common; they differ in their selector's form. */
export interface ReplicaOwner extends KubernetesObject {
  metadata: NonNullable<KubernetesObject["metadata"]>;
  spec?: { replicas?: number; minReadySeconds?: number; template?: PodTemplateSpec };
  status?: ReplicaStatus;
}

/** Pods made or deleted in one go; more only after those were seen, so that one huge set doesn't starve the others. */
export const burstMax = 500;

export interface ReplicaPlan {
  readonly create: number;
  readonly delete: readonly SeenPod[];
}

export interface ReplicaState {
  readonly owner: Seen<ReplicaOwner>;
  /** Active ones. */
  readonly pods: readonly SeenPod[];
  /** Pods of all sets of the same Deployment, asked for only when pods must be chosen. */
  related(): readonly SeenPod[];
  readonly now: number;
}

export const wantedReplicas = (owner: Seen<ReplicaOwner>): number => owner.spec?.replicas ?? 1;

export function planReplicas({ owner, pods, related, now }: ReplicaState): ReplicaPlan {
  const surplus = pods.length - wantedReplicas(owner);
  if (surplus < 0) return { create: Math.min(-surplus, burstMax), delete: [] };
  if (surplus === 0) return { create: 0, delete: [] };
  const count = Math.min(surplus, burstMax);
  const ranked = count < pods.length ? rankForDeletion(pods, { related: related(), now }) : pods;
  return { create: 0, delete: ranked.slice(0, count) };
}

export interface ReplicaObservation {
  readonly owner: Seen<ReplicaOwner>;
  readonly pods: readonly SeenPod[];
  /** Undefined for kinds whose status doesn't count them. */
  readonly terminating?: number;
  /** Why pods could not be made or deleted just now. */
  readonly failure?: string;
  readonly now: number;
}

/** The status as it should be. */
export function replicaStatus({ owner, pods, terminating, failure, now }: ReplicaObservation): ReplicaStatus {
  const { minReadySeconds } = owner.spec ?? {};
  const templateLabels = Object.entries(owner.spec?.template?.metadata?.labels ?? {});
  let fullyLabeled = 0;
  let ready = 0;
  let available = 0;
  for (const pod of pods) {
    const labels = pod.metadata.labels ?? {};
    if (templateLabels.every(([key, value]) => labels[key] === value)) fullyLabeled++;
    if (!isPodReady(pod)) continue;
    ready++;
    if (isPodAvailable(pod, { ...(minReadySeconds ? { minReadySeconds } : {}), now })) available++;
  }
  const conditions = failureConditions({ owner, pods, now, ...(failure === undefined ? {} : { failure }) });
  return {
    replicas: pods.length,
    fullyLabeledReplicas: fullyLabeled,
    readyReplicas: ready,
    availableReplicas: available,
    ...(terminating === undefined ? {} : { terminatingReplicas: terminating }),
    observedGeneration: owner.metadata.generation ?? 0,
    ...(conditions.length > 0 ? { conditions } : {}),
  };
}

function failureConditions({ owner, pods, failure, now }: ReplicaObservation): ReplicaCondition[] {
  const before = (owner.status?.conditions ?? []).map((condition) => ({ ...condition }));
  const known = before.some(({ type }) => type === "ReplicaFailure");
  if (failure === undefined) return before.filter(({ type }) => type !== "ReplicaFailure");
  if (known) return before;
  const surplus = pods.length - wantedReplicas(owner);
  const reason = surplus < 0 ? "FailedCreate" : surplus > 0 ? "FailedDelete" : "";
  before.push({
    type: "ReplicaFailure",
    status: "True",
    lastTransitionTime: formatTime(now),
    ...(reason ? { reason } : {}),
    message: failure,
  });
  return before;
}

/** Counts of zero are not always printed: missing is the same, except where it says that nobody has counted. */
const counts = [
  "observedGeneration",
  "replicas",
  "fullyLabeledReplicas",
  "readyReplicas",
  "availableReplicas",
] as const;

export function isStatusCurrent({ status: before = { replicas: 0 } }: Seen<ReplicaOwner>, status: ReplicaStatus) {
  return (
    counts.every((count) => (before[count] ?? 0) === (status[count] ?? 0)) &&
    before.terminatingReplicas === status.terminatingReplicas &&
    semanticEqual(before.conditions ?? [], status.conditions ?? [])
  );
}

/** When the next ready pod will have been ready for long enough. */
export function nextAvailabilityMs(
  owner: Seen<ReplicaOwner>,
  pods: readonly SeenPod[],
  now: number,
): number | undefined {
  const { minReadySeconds } = owner.spec ?? {};
  if (!minReadySeconds) return undefined;
  let next: number | undefined;
  for (const pod of pods) {
    const left = availableInMs(pod, { minReadySeconds, now });
    if (left !== undefined && (next === undefined || left < next)) next = left;
  }
  return next;
}
