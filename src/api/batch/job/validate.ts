/** What makes a job's spec valid; cron jobs have the same inside them. */
import { type FieldError, isDns1123Label, longerThan } from "#machinery";
import { readSelector, validateTemplateLabels } from "../../apps/selector.ts";
import { validateCount, validateCounts } from "../../counts.ts";
import { validateDomainPath } from "../../domain-path.ts";
import { Place } from "../../place.ts";
import { validatePodTemplateSpec } from "../../pod-spec/template.ts";
import { hasInvalidSelectorValue, validateLabelSelector } from "../../selectors.ts";
import { specOf } from "../../spec-of.ts";
import type { Job, JobSpec } from "../../types.d.ts";
import { validateFailurePolicy } from "./failure-policy.ts";
import { validateGenerated } from "./labels.ts";
import { validateSuccessPolicy } from "./success-policy.ts";

const parallelismMax = 100_000;
const failedIndexesMax = 100_000;
/** From here on the indexes that failed take room. */
const manyCompletions = 100_000;
const manyCompletionsMax = 10_000;
const managedByBytesMax = 63;
const modes = ["NonIndexed", "Indexed"];
const endings = ["OnFailure", "Never"];

/** All of a job. `old` is its spec before an update: what was wrong in it may stay. */
export function validateJob(
  job: Job,
  { prefixed, old }: { prefixed: boolean; old?: JobSpec | undefined },
): FieldError[] {
  const errors: FieldError[] = [];
  const at = Place.root("spec", errors);
  const metadataAt = Place.root("metadata", errors);
  const spec = specOf(job);
  validateGenerated(job, { spec: at, metadata: metadataAt }, { prefixed });
  validateSelectedSpec(spec, at, old);
  const { completionMode, completions = 0 } = spec;
  if (completionMode === "Indexed" && completions > 0) {
    const name = job.metadata.name ?? "";
    const hostname = `${name}-${completions - 1}`;
    if (isDns1123Label(hostname).length > 0) {
      metadataAt.child("name").invalid(name, `will not able to create pod with invalid DNS label: ${hostname}`);
    }
  }
  return errors;
}

export function validateSelectedSpec(spec: JobSpec, at: Place, old: JobSpec | undefined): void {
  validateJobSpec(spec, at, old);
  const { selector } = spec;
  const selectorAt = at.child("selector");
  if (selector) validateLabelSelector(selector, selectorAt, { anyValue: hasInvalidSelectorValue(old?.selector) });
  else selectorAt.required();
  const matcher = readSelector(selector);
  if (matcher) validateTemplateLabels(spec.template, at.child("template"), matcher);
}

/** Without the selector, which the jobs of a cron job get later. */
export function validateJobSpec(spec: JobSpec, at: Place, old: JobSpec | undefined): void {
  validateCounts(spec, at, [
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
  ]);
  const { maxFailedIndexes, managedBy, completionMode, podFailurePolicy, successPolicy } = spec;
  validateCount(maxFailedIndexes, at.child("maxFailedIndexes"));
  if (maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined) {
    at.child("backoffLimitPerIndex").required("when maxFailedIndexes is specified");
  }
  if (managedBy !== undefined) {
    validateDomainPath(managedBy, at.child("managedBy"));
    if (longerThan(managedBy, managedByBytesMax)) at.child("managedBy").tooLong(managedByBytesMax);
  }
  validateCompletionMode(spec, at);
  if (podFailurePolicy) validateFailurePolicy(podFailurePolicy, at.child("podFailurePolicy"), spec);
  if (successPolicy) {
    const place = at.child("successPolicy");
    if (completionMode === "Indexed") validateSuccessPolicy(successPolicy, place, spec.completions ?? 0);
    else place.invalid(successPolicy, "requires indexed completion mode");
  }
  validateReplacement(spec, at.child("podReplacementPolicy"));
  validatePodTemplateSpec(spec.template ?? {}, at.child("template"), old?.template);
  validateRestartPolicy(spec, at.child("template").child("spec").child("restartPolicy"));
}

function validateCompletionMode(spec: JobSpec, at: Place): void {
  const { completionMode = "NonIndexed", completions, parallelism = 0, maxFailedIndexes } = spec;
  if (!modes.includes(completionMode)) at.child("completionMode").notSupported(completionMode, modes);
  const failedAt = at.child("maxFailedIndexes");
  if (completionMode === "NonIndexed") {
    const why = "requires indexed completion mode";
    if (spec.backoffLimitPerIndex !== undefined) {
      at.child("backoffLimitPerIndex").invalid(spec.backoffLimitPerIndex, why);
    }
    if (maxFailedIndexes !== undefined) failedAt.invalid(maxFailedIndexes, why);
  }
  if (completionMode !== "Indexed") return;
  const atMost = "must be less than or equal to";
  if (completions === undefined) at.child("completions").required("when completion mode is Indexed");
  if (parallelism > parallelismMax) {
    at.child("parallelism").invalid(parallelism, `${atMost} ${parallelismMax} when completion mode is Indexed`);
  }
  if (maxFailedIndexes !== undefined) {
    if (completions !== undefined && maxFailedIndexes > completions) {
      failedAt.invalid(maxFailedIndexes, `${atMost} completions`);
    }
    if (maxFailedIndexes > failedIndexesMax) failedAt.invalid(maxFailedIndexes, `${atMost} ${failedIndexesMax}`);
  }
  if (completions === undefined || completions <= manyCompletions || spec.backoffLimitPerIndex === undefined) return;
  const why = `when completions are above ${manyCompletions} and used with backoff limit per index`;
  const limit = `${atMost} ${manyCompletionsMax} ${why}`;
  if (maxFailedIndexes === undefined)
    failedAt.required(`must be specified when completions is above ${manyCompletions}`);
  if (parallelism > manyCompletionsMax) at.child("parallelism").invalid(parallelism, limit);
  if (maxFailedIndexes !== undefined && maxFailedIndexes > manyCompletionsMax)
    failedAt.invalid(maxFailedIndexes, limit);
}

function validateReplacement({ podReplacementPolicy: policy, podFailurePolicy }: JobSpec, at: Place): void {
  if (policy === undefined) return;
  const supported = podFailurePolicy ? ["Failed"] : ["Failed", "TerminatingOrFailed"];
  if (!supported.includes(policy)) at.notSupported(policy, supported);
}

function validateRestartPolicy({ template, podFailurePolicy }: JobSpec, at: Place): void {
  const policy = template?.spec?.restartPolicy ?? "";
  if (policy === "" || policy === "Always") at.required('valid values: "OnFailure", "Never"');
  else if (!endings.includes(policy)) at.notSupported(policy, endings);
  else if (podFailurePolicy && policy !== "Never") {
    at.invalid(policy, 'only "Never" is supported when podFailurePolicy is specified');
  }
}
