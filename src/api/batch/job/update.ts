/** What may change in a job. */
import { type FieldError, fieldImmutableMessage } from "#machinery";
import { semanticEqual } from "../../equality.ts";
import { Place } from "../../place.ts";
import { specOf } from "../../spec-of.ts";
import type { Job, JobSpec } from "../../types.d.ts";
import { hasPrefixedLabels } from "./labels.ts";
import { validateTemplateChange } from "./template-change.ts";
import { validateJob, validateSelectedSpec } from "./validate.ts";

export function validateJobUpdate(job: Job, old: Job): FieldError[] {
  const spec = specOf(job);
  const before = specOf(old);
  const errors = validateJob(job, { prefixed: hasPrefixedLabels(before.template), old: before });
  const at = Place.root("spec", errors);
  // Upstream says this twice.
  validateSelectedSpec(spec, at, before);
  validateCompletions(spec, before, at.child("completions"));
  keep(spec, before, at, ["selector"]);
  validateTemplateChange(job, old, at.child("template"));
  keep(spec, before, at, ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]);
  return errors;
}

function keep(spec: JobSpec, old: JobSpec, at: Place, fields: readonly (keyof JobSpec)[]): void {
  for (const field of fields) {
    if (!same(spec[field], old[field])) at.child(field).invalid(spec[field], fieldImmutableMessage);
  }
}

/** Upstream's pointers tell zero from nothing. */
const same = (a: unknown, b: unknown): boolean => (a === undefined) === (b === undefined) && semanticEqual(a, b);

/** An indexed job grows and shrinks when it runs all its indexes at once. */
function validateCompletions(spec: JobSpec, old: JobSpec, at: Place): void {
  const { completions, parallelism } = spec;
  if (completions === old.completions) return;
  if (spec.completionMode !== "Indexed") at.invalid(completions, fieldImmutableMessage);
  else if (completions !== undefined && completions !== parallelism) {
    at.invalid(completions, "can only be modified in tandem with spec.parallelism");
  }
}
