/**
 * One look at a Deployment: which ReplicaSets to create, resize and delete, and what its status says. Pure.
 * Each look takes one step; what the step causes shows up in the cache and leads to the next look.
 */
import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from "#api";
import { jsonEqual } from "#machinery";
import { isDeleting, type Seen } from "../lib/objects.ts";
import { conditionOf, setCondition } from "./conditions.ts";
import { newReplicaSet, setsToDelete, syncNewSet } from "./revisions.ts";
import { planRollback, type Rollback, rollbackRevision } from "./rollback.ts";
import { allSets, isRolling, openRollout, type PlannedSet, progressDeadlineMs, type Rollout } from "./rollout.ts";
import { describeScaling, isScaling, roll, scale, startNewSet, stopOldSets } from "./scaling.ts";
import { isComplete, judgeProgress, progressCheckInMs, statusOf } from "./status.ts";

export interface DeploymentState {
  readonly deployment: Seen<Deployment>;
  /** Those it controls. */
  readonly sets: readonly Seen<ReplicaSet>[];
  /** For Recreate: whether pods of other sets than this one still run. */
  hasOtherPods(setUid: string | undefined): boolean;
  readonly now: number;
}

export interface SetUpdate {
  readonly set: ReplicaSet;
  /** What is said about it, when its size changes. */
  readonly event?: string;
}

export interface DeploymentPlan {
  readonly create?: SetUpdate;
  readonly updates: readonly SetUpdate[];
  readonly deletions: readonly string[];
  /** The Deployment as its status should be written; missing when it is right already. */
  readonly write?: Deployment;
  /** Instead of all the above: the Deployment's spec as a rollback makes it. */
  readonly rollback?: Rollback;
  readonly checkInMs?: number;
}

export function planDeployment(state: DeploymentState): DeploymentPlan {
  const { deployment, sets, now } = state;
  const rollout = openRollout(deployment, sets, now);
  if (isDeleting(deployment)) {
    syncNewSet(rollout, { mayCreate: false });
    return finish(rollout, statusOf(rollout), { deletions: [] });
  }
  notePause(rollout);
  if (deployment.spec?.paused) {
    syncNewSet(rollout, { mayCreate: false });
    scale(rollout);
    return finish(rollout, statusOf(rollout), { deletions: setsToDelete(rollout) });
  }
  const revision = rollbackRevision(deployment);
  if (revision !== undefined) {
    syncNewSet(rollout, { mayCreate: true });
    if (!rollout.newSet?.before) return finish(rollout, statusOf(rollout), { deletions: [] });
    return { updates: [], deletions: [], rollback: planRollback(rollout, revision) };
  }
  if (isScaling(rollout)) {
    syncNewSet(rollout, { mayCreate: false });
    scale(rollout);
    return finish(rollout, statusOf(rollout), { deletions: [] });
  }
  if (isRolling(deployment)) {
    syncNewSet(rollout, { mayCreate: true });
    roll(rollout);
  } else {
    syncNewSet(rollout, { mayCreate: false });
    const mayStart = stopOldSets(rollout, state.hasOtherPods(rollout.newSet?.before?.metadata.uid));
    if (mayStart) {
      syncNewSet(rollout, { mayCreate: true });
      startNewSet(rollout);
    }
  }
  const isDone = isComplete(rollout, deployment.status as DeploymentStatus | undefined);
  const status = statusOf(rollout);
  judgeProgress(rollout, status);
  return finish(rollout, status, { deletions: isDone ? setsToDelete(rollout) : [] });
}

/** A paused roll-out must not be held against its deadline; unless it has been missed before. */
function notePause(rollout: Rollout): void {
  const { deployment } = rollout;
  if (progressDeadlineMs(deployment) === undefined) return;
  const reason = conditionOf(rollout, "Progressing")?.reason;
  if (reason === "ProgressDeadlineExceeded") return;
  const paused = deployment.spec?.paused ?? false;
  if (paused === (reason === "DeploymentPaused")) return;
  setCondition(rollout, {
    type: "Progressing",
    status: "Unknown",
    reason: paused ? "DeploymentPaused" : "DeploymentResumed",
    message: paused ? "Deployment is paused" : "Deployment is resumed",
  });
}

function finish(rollout: Rollout, status: DeploymentStatus, { deletions }: { deletions: string[] }): DeploymentPlan {
  const { deployment, newSet } = rollout;
  const updates = allSets(rollout)
    .map(updateOf)
    .filter((update) => update !== undefined);
  const write = statusWrite(rollout, status);
  const checkInMs = progressCheckInMs(rollout, status);
  return {
    ...(newSet && !newSet.before
      ? {
          create: {
            set: newReplicaSet(rollout, newSet),
            ...(newSet.replicas > 0 ? { event: describeScaling(newSet, 0) } : {}),
          },
        }
      : {}),
    updates,
    deletions,
    ...(write ? { write } : {}),
    ...(checkInMs === undefined || deployment.spec?.paused ? {} : { checkInMs }),
  };
}

function updateOf(set: PlannedSet): SetUpdate | undefined {
  const { before } = set;
  if (!before?.spec) return undefined;
  const sizeBefore = before.spec.replicas ?? 1;
  const isSame =
    sizeBefore === set.replicas &&
    (before.spec.minReadySeconds ?? 0) === set.minReadySeconds &&
    jsonEqual(before.metadata.annotations ?? {}, set.annotations);
  if (isSame) return undefined;
  const changed: Seen<ReplicaSet> = {
    ...before,
    metadata: { ...before.metadata, annotations: set.annotations },
    spec: { ...before.spec, replicas: set.replicas, minReadySeconds: set.minReadySeconds },
  };
  return {
    set: changed as ReplicaSet, // sent, never changed
    ...(sizeBefore === set.replicas ? {} : { event: describeScaling(set, sizeBefore) }),
  };
}

/** The revision travels in an annotation; writing the status may change annotations. */
function statusWrite(rollout: Rollout, status: DeploymentStatus): Deployment | undefined {
  const { deployment, conditions, annotations } = rollout;
  const full: DeploymentStatus = { ...status, conditions };
  const isSame =
    jsonEqual(withoutZeros(deployment.status ?? {}), withoutZeros(full)) &&
    jsonEqual(deployment.metadata.annotations ?? {}, annotations);
  if (isSame) return undefined;
  const changed: Seen<Deployment> = { ...deployment, metadata: { ...deployment.metadata, annotations }, status: full };
  return changed as Deployment; // sent, never changed
}

function withoutZeros(status: Seen<DeploymentStatus>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(status).filter(
      ([key, value]) => value !== undefined && (value !== 0 || key === "terminatingReplicas"),
    ),
  );
}

/** When the new set could not be created: what the status says instead. */
export function creationFailure(deployment: Seen<Deployment>, message: string, now: number): Deployment | undefined {
  if (progressDeadlineMs(deployment) === undefined) return undefined;
  const view: { now: number; conditions: DeploymentCondition[] } = {
    now,
    conditions: (deployment.status?.conditions ?? []).map((condition) => ({ ...condition })),
  };
  setCondition(view, { type: "Progressing", status: "False", reason: "ReplicaSetCreateError", message });
  if (jsonEqual(view.conditions, deployment.status?.conditions ?? [])) return undefined;
  return { ...deployment, status: { ...deployment.status, conditions: view.conditions } } as Deployment; // sent, never changed
}
