/** What changed between two statuses of a job, asked for in the words of the rules. */
import { semanticEqual } from "../../equality.ts";
import type { JobStatus } from "../../types.d.ts";
import { type JobConditionType, isFinished, isTrue } from "./conditions.ts";

/** A status beside the one before. */
export interface StatusChange {
  readonly now: JobStatus;
  readonly before: JobStatus;
  /** Whether one of these fields is another. */
  changed(...fields: readonly (keyof JobStatus)[]): boolean;
  is(type: JobConditionType): boolean;
  was(type: JobConditionType): boolean;
  /** Whether one of these conditions came or went. */
  turned(...types: readonly JobConditionType[]): boolean;
  readonly finished: boolean;
  /** It just finished, or upstream's way back. */
  readonly finishedChanged: boolean;
}

export function compareStatus(now: JobStatus, before: JobStatus): StatusChange {
  const is = (type: JobConditionType) => isTrue(now.conditions, type);
  const was = (type: JobConditionType) => isTrue(before.conditions, type);
  const differs = (field: keyof JobStatus) =>
    (now[field] === undefined) !== (before[field] === undefined) || !semanticEqual(now[field], before[field]);
  const finished = isFinished(now.conditions);
  return {
    now,
    before,
    is,
    was,
    changed: (...fields) => fields.some(differs),
    turned: (...types) => types.some((type) => is(type) !== was(type)),
    finished,
    finishedChanged: finished !== isFinished(before.conditions),
  };
}
