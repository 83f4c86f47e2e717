/** Which indexes a job's controller reports as done or failed. */
import type { Place } from "../../place.ts";
import type { JobSpec } from "../../types.d.ts";
import { countIndexes, findOverlap } from "./indexes.ts";
import type { StatusChange } from "./status-change.ts";

export function validateIndexStatus({ now, changed }: StatusChange, at: Place, spec: JobSpec): void {
  const { completedIndexes = "", failedIndexes } = now;
  const { completions, backoffLimitPerIndex } = spec;
  const completedAt = at.child("completedIndexes");
  const failedAt = at.child("failedIndexes");
  const completedChanged = changed("completedIndexes");
  const failedChanged = changed("failedIndexes");
  if (completedChanged && completions !== undefined) {
    const { problem } = countIndexes(completedIndexes, completions);
    if (problem !== "") completedAt.invalid(completedIndexes, `error parsing completedIndexes: ${problem}`);
  }
  if (failedChanged && completions !== undefined && backoffLimitPerIndex !== undefined && failedIndexes !== undefined) {
    const { problem } = countIndexes(failedIndexes, completions);
    if (problem !== "") failedAt.invalid(failedIndexes, `error parsing failedIndexes: ${problem}`);
  }
  if (completedChanged && completedIndexes !== "" && spec.completionMode !== "Indexed") {
    completedAt.invalid(completedIndexes, "cannot set non-empty completedIndexes when non-indexed completion mode");
  }
  if (failedIndexes === undefined) return;
  if (failedChanged && backoffLimitPerIndex === undefined) {
    failedAt.invalid(failedIndexes, "cannot set non-null failedIndexes when backoffLimitPerIndex is null");
  }
  if ((failedChanged || completedChanged) && completions !== undefined) {
    const overlap = findOverlap(completedIndexes, failedIndexes, completions);
    if (overlap === undefined) return;
    failedAt.invalid(failedIndexes, `failedIndexes and completedIndexes overlap at index: ${overlap}`);
  }
}
