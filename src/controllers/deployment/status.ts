/** The status of a Deployment from the statuses of its sets, and whether its roll-out progresses. */
import type { DeploymentStatus } from "#api";
import { formatTime, goQuote, timeMs } from "#machinery";
import { conditionOf, dropCondition, type ProgressReason, putCondition, setCondition } from "./conditions.ts";
import {
  actualOf,
  allSets,
  availableOf,
  type PlannedSet,
  progressDeadlineMs,
  type Rollout,
  sizeOf,
  sum,
} from "./rollout.ts";

/** Counts, and whether enough pods are available. */
export function statusOf(rollout: Rollout): DeploymentStatus {
  const { deployment, desired, maxUnavailable, newSet } = rollout;
  const sets = allSets(rollout);
  const available = sum(sets, availableOf);
  const isAvailable = available >= desired - maxUnavailable;
  setCondition(rollout, {
    type: "Available",
    status: isAvailable ? "True" : "False",
    reason: isAvailable ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
    message: isAvailable ? "Deployment has minimum availability." : "Deployment does not have minimum availability.",
  });
  const terminating = terminatingReplicas(sets);
  const { collisionCount } = deployment.status ?? {};
  return {
    observedGeneration: deployment.metadata.generation ?? 0,
    replicas: sum(sets, actualOf),
    updatedReplicas: newSet ? actualOf(newSet) : 0,
    readyReplicas: sum(sets, (set) => set.before?.status?.readyReplicas ?? 0),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, sum(sets, sizeOf) - available),
    ...(terminating === undefined ? {} : { terminatingReplicas: terminating }),
    ...(collisionCount === undefined ? {} : { collisionCount }),
  };
}

/** Unknown as long as a set that was looked at hasn't counted. */
function terminatingReplicas(sets: readonly PlannedSet[]): number | undefined {
  let total = 0;
  for (const { before } of sets) {
    if (!before) continue;
    const { observedGeneration = 0, terminatingReplicas: count } = before.status ?? {};
    if (count === undefined && observedGeneration > 0) return undefined;
    total += count ?? 0;
  }
  return total;
}

export function isComplete({ deployment, desired }: Rollout, status: DeploymentStatus | undefined): boolean {
  return (
    (status?.updatedReplicas ?? 0) === desired &&
    (status?.replicas ?? 0) === desired &&
    (status?.availableReplicas ?? 0) === desired &&
    (status?.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
  );
}

/** Sets the Progressing condition by comparing what is with what was, and shows the sets' failures. */
export function judgeProgress(rollout: Rollout, status: DeploymentStatus): void {
  const deadlineMs = progressDeadlineMs(rollout.deployment);
  if (deadlineMs === undefined) dropCondition(rollout, "Progressing");
  const current = conditionOf(rollout, "Progressing");
  const isDone = status.replicas === status.updatedReplicas && current?.reason === "NewReplicaSetAvailable";
  if (deadlineMs !== undefined && !isDone) {
    if (isComplete(rollout, status)) {
      set(rollout, "True", "NewReplicaSetAvailable", "has successfully progressed.");
    } else if (hasProgressed(rollout, status)) {
      // Progress moves the deadline, so the condition is renewed although status and reason stay.
      dropCondition(rollout, "Progressing");
      set(rollout, "True", "ReplicaSetUpdated", "is progressing.");
      const renewed = conditionOf(rollout, "Progressing");
      if (renewed && current?.status === "True") renewed.lastTransitionTime = current.lastTransitionTime;
    } else if (hasTimedOut(rollout, deadlineMs)) {
      set(rollout, "False", "ProgressDeadlineExceeded", "has timed out progressing.");
    }
  }
  showFailures(rollout);
}

function set(rollout: Rollout, status: "True" | "False", reason: ProgressReason, what: string): void {
  const { newSet, deployment } = rollout;
  const who = newSet ? `ReplicaSet ${goQuote(newSet.name)}` : `Deployment ${goQuote(deployment.metadata.name ?? "")}`;
  setCondition(rollout, { type: "Progressing", status, reason, message: `${who} ${what}` });
}

function hasProgressed({ deployment }: Rollout, status: DeploymentStatus): boolean {
  const before = deployment.status ?? {};
  const count = (value: number | undefined) => value ?? 0;
  const oldPods = (of: DeploymentStatus | typeof before) => count(of.replicas) - count(of.updatedReplicas);
  return (
    count(status.updatedReplicas) > count(before.updatedReplicas) ||
    oldPods(status) < oldPods(before) ||
    count(status.readyReplicas) > count(before.readyReplicas) ||
    count(status.availableReplicas) > count(before.availableReplicas)
  );
}

function hasTimedOut(rollout: Rollout, deadlineMs: number): boolean {
  const condition = conditionOf(rollout, "Progressing");
  if (!condition || condition.reason === "NewReplicaSetAvailable") return false;
  if (condition.reason === "ProgressDeadlineExceeded") return true;
  return timeMs(condition.lastUpdateTime) + deadlineMs < rollout.now;
}

/** When to look again whether the deadline has passed: nothing else may happen until then. */
export function progressCheckInMs(rollout: Rollout, status: DeploymentStatus): number | undefined {
  const deadlineMs = progressDeadlineMs(rollout.deployment);
  const condition = conditionOf(rollout, "Progressing");
  if (deadlineMs === undefined || !condition || condition.reason === "ProgressDeadlineExceeded") return undefined;
  if (isComplete(rollout, status) || condition.reason === "NewReplicaSetAvailable") return undefined;
  // A second more, because times on the wire have no fractions.
  return Math.max(0, timeMs(condition.lastUpdateTime) + deadlineMs - rollout.now) + 1000;
}

/** One failure is shown; that of the newest set matters most. */
function showFailures(rollout: Rollout): void {
  const { newSet, oldSets } = rollout;
  const failure = [...(newSet ? [newSet] : []), ...oldSets]
    .flatMap((each) => each.before?.status?.conditions ?? [])
    .find(({ type }) => type === "ReplicaFailure");
  if (!failure) {
    dropCondition(rollout, "ReplicaFailure");
    return;
  }
  const { type, status, reason, message, lastTransitionTime } = failure;
  const time = lastTransitionTime ?? formatTime(rollout.now);
  putCondition(rollout, {
    type,
    status,
    lastUpdateTime: time,
    lastTransitionTime: time,
    ...(reason ? { reason } : {}),
    ...(message ? { message } : {}),
  });
}
