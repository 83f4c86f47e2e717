/** Conditions of a Deployment: a condition of the same status and reason stays as it is, times included. */
import type { DeploymentCondition } from "#api";
import { formatTime } from "#machinery";
import type { Rollout } from "./rollout.ts";

export type ProgressReason =
  | "NewReplicaSetCreated"
  | "FoundNewReplicaSet"
  | "ReplicaSetUpdated"
  | "NewReplicaSetAvailable"
  | "ReplicaSetCreateError"
  | "ProgressDeadlineExceeded"
  | "DeploymentPaused"
  | "DeploymentResumed";

export interface ConditionChange {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
}

export const conditionOf = (
  { conditions }: Pick<Rollout, "conditions">,
  type: string,
): DeploymentCondition | undefined => conditions.find((condition) => condition.type === type);

export function setCondition(rollout: Pick<Rollout, "conditions" | "now">, change: ConditionChange): void {
  const time = formatTime(rollout.now);
  putCondition(rollout, { ...change, lastUpdateTime: time, lastTransitionTime: time });
}

export function putCondition(rollout: Pick<Rollout, "conditions">, condition: DeploymentCondition): void {
  const known = conditionOf(rollout, condition.type);
  if (known && known.status === condition.status && known.reason === condition.reason) return;
  if (known?.status === condition.status) condition.lastTransitionTime = known.lastTransitionTime;
  dropCondition(rollout, condition.type);
  rollout.conditions.push(condition);
}

export function dropCondition(rollout: Pick<Rollout, "conditions">, type: string): void {
  rollout.conditions = rollout.conditions.filter((condition) => condition.type !== type);
}
