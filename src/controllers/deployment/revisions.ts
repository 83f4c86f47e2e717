/**
 * The set that has today's template: its revision number, the annotations it takes over from its Deployment, its creation when
 * there is none yet, and the end of sets beyond the history limit.
 */
import type { ReplicaSet } from "#api";
import { goQuote } from "#machinery";
import { contentHash } from "../lib/hash.ts";
import { byCreation, controllerReference, isDeleting, type Seen } from "../lib/objects.ts";
import { conditionOf, setCondition } from "./conditions.ts";
import {
  byNumber,
  actualOf,
  allSets,
  desiredReplicasAnnotation,
  hashLabel,
  isRolling,
  maxReplicasAnnotation,
  type PlannedSet,
  progressDeadlineMs,
  readRevision,
  revisionAnnotation,
  revisionHistoryAnnotation,
  revisionOf,
  type Rollout,
  sizeOf,
  sum,
} from "./rollout.ts";

export const deploymentKind = { apiVersion: "apps/v1", kind: "Deployment" };

const lastAppliedAnnotation = "kubectl.kubernetes.io/last-applied-configuration";
export const rollbackAnnotation = "deprecated.deployment.rollback.to";

/** They say something about one object only, so neither sets nor Deployments inherit them. */
const ownAnnotations = new Set([
  lastAppliedAnnotation,
  revisionAnnotation,
  revisionHistoryAnnotation,
  desiredReplicasAnnotation,
  maxReplicasAnnotation,
  rollbackAnnotation,
]);

/** Keeps an annotation that grows with every rollback from filling the object. */
const historyCharactersMax = 2000;

/** The API server takes no longer names. */
const nameCharactersMax = 253;

export const isInherited = (annotation: string): boolean => !ownAnnotations.has(annotation);

/** Brings the newest set's annotations, and the Deployment's revision, up to date; creates the set if `mayCreate`. */
export function syncNewSet(rollout: Rollout, { mayCreate }: { mayCreate: boolean }): void {
  const [latest = 0n] = rollout.oldSets.map((set) => revisionOf(set.annotations)).sort((a, b) => byNumber(b, a));
  const revision = (latest > 0n ? latest : 0n) + 1n;
  const hasDeadline = progressDeadlineMs(rollout.deployment) !== undefined;
  const { newSet } = rollout;
  if (newSet?.before) {
    inheritAnnotations(rollout, newSet);
    raiseRevision(newSet, revision);
    newSet.minReadySeconds = rollout.deployment.spec?.minReadySeconds ?? 0;
    rollout.annotations[revisionAnnotation] = newSet.annotations[revisionAnnotation] ?? String(revision);
    if (hasDeadline && !conditionOf(rollout, "Progressing")) {
      setCondition(rollout, {
        type: "Progressing",
        status: "True",
        reason: "FoundNewReplicaSet",
        message: `Found new replica set ${goQuote(newSet.name)}`,
      });
    }
    return;
  }
  if (newSet || !mayCreate) return;
  const hash = contentHash(rollout.deployment.spec?.template, rollout.deployment.status?.collisionCount);
  const created: PlannedSet = {
    name: `${(rollout.deployment.metadata.name ?? "").slice(0, nameCharactersMax - 1 - hash.length)}-${hash}`,
    hash,
    replicas: 0,
    annotations: {},
    minReadySeconds: rollout.deployment.spec?.minReadySeconds ?? 0,
  };
  rollout.newSet = created;
  created.replicas = newSetSize(rollout, created);
  inheritAnnotations(rollout, created);
  raiseRevision(created, revision);
  noteSizes(rollout, created);
  rollout.annotations[revisionAnnotation] = String(revision);
  if (hasDeadline) {
    setCondition(rollout, {
      type: "Progressing",
      status: "True",
      reason: "NewReplicaSetCreated",
      message: `Created new replica set ${goQuote(created.name)}`,
    });
  }
}

function inheritAnnotations({ deployment }: Rollout, set: PlannedSet): void {
  // Somebody's revision that is no number: upstream leaves such a set's annotations alone.
  if (readRevision(set.annotations[revisionAnnotation] || "0") === undefined) return;
  for (const [key, value] of Object.entries(deployment.metadata.annotations ?? {})) {
    if (isInherited(key)) set.annotations[key] = value;
  }
}

/** A set that is used again gets a new revision; the ones it had are remembered. */
function raiseRevision({ annotations }: PlannedSet, revision: bigint): void {
  const text = annotations[revisionAnnotation];
  const before = readRevision(text);
  if (before === undefined || before >= revision) return;
  annotations[revisionAnnotation] = String(revision);
  if (text === undefined) return;
  const history = (annotations[revisionHistoryAnnotation] ?? "").split(",").filter((entry) => entry !== "");
  history.push(text);
  while (history.join(",").length > historyCharactersMax && history.length > 1) history.shift();
  annotations[revisionHistoryAnnotation] = history.join(",");
}

export function noteSizes({ desired, maxSurge }: Rollout, { annotations }: PlannedSet): void {
  annotations[desiredReplicasAnnotation] = String(desired);
  annotations[maxReplicasAnnotation] = String(desired + maxSurge);
}

/** How large the newest set may be while the others still have pods. */
export function newSetSize(rollout: Rollout, set: PlannedSet): number {
  const { deployment, desired, maxSurge } = rollout;
  if (!isRolling(deployment)) return desired;
  const room = desired + maxSurge - sum(allSets(rollout), sizeOf);
  return room <= 0 ? set.replicas : set.replicas + Math.min(room, desired - set.replicas);
}

/** The new set as it is sent. */
export function newReplicaSet({ deployment }: Rollout, set: PlannedSet): ReplicaSet {
  const { template, selector } = deployment.spec ?? {};
  const { hash = "" } = set;
  const labels = { ...template?.metadata?.labels, [hashLabel]: hash };
  const created: Seen<ReplicaSet> = {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: {
      name: set.name,
      namespace: deployment.metadata.namespace ?? "",
      labels,
      annotations: set.annotations,
      ownerReferences: [controllerReference(deployment, deploymentKind)],
    },
    spec: {
      replicas: set.replicas,
      ...(set.minReadySeconds ? { minReadySeconds: set.minReadySeconds } : {}),
      selector: { ...selector, matchLabels: { ...selector?.matchLabels, [hashLabel]: hash } },
      template: { ...template, metadata: { ...template?.metadata, labels } },
    },
  };
  return created as ReplicaSet; // shares the template's parts: sent, never changed
}

/** Old sets beyond the history limit, oldest revision first, that have no pods and know it. */
export function setsToDelete({ deployment, oldSets }: Rollout): string[] {
  const limit = deployment.spec?.revisionHistoryLimit;
  if (limit === undefined || limit === 2 ** 31 - 1) return [];
  const kept = oldSets.filter((set) => set.before && !isDeleting(set.before));
  const surplus = kept.length - limit;
  if (surplus <= 0) return [];
  return kept
    .sort(
      (a, b) =>
        byNumber(revisionOf(a.annotations), revisionOf(b.annotations)) || byCreation(a.before ?? {}, b.before ?? {}),
    )
    .slice(0, surplus)
    .filter((set) => actualOf(set) === 0 && set.replicas === 0 && hasObserved(set))
    .map((set) => set.name);
}

const hasObserved = ({ before }: PlannedSet): boolean =>
  (before?.metadata.generation ?? 0) <= (before?.status?.observedGeneration ?? 0);
