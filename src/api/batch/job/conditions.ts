/** What a job's conditions say. */
import type { JobCondition } from "../../types.d.ts";

export type JobConditionType = "Complete" | "Failed" | "FailureTarget" | "SuccessCriteriaMet" | "Suspended";

export const isTrue = (conditions: readonly JobCondition[] | undefined, type: JobConditionType): boolean =>
  conditions?.some((each) => each.type === type && each.status === "True") ?? false;

export const isFinished = (conditions: readonly JobCondition[] | undefined): boolean =>
  isTrue(conditions, "Complete") || isTrue(conditions, "Failed");
