/** Job: pods that run until enough of them have succeeded. Follows upstream's registry/batch/job. */
import { semanticEqual } from "../equality.ts";
import { defineKind } from "../kind.ts";
import { defaultPodTemplate } from "../pod-spec/defaults.ts";
import { podNameWarnings } from "../pod-spec/warnings.ts";
import { specOf } from "../spec-of.ts";
import { bumpGeneration, firstGeneration, setOrDelete } from "../strategy.ts";
import type { Job, JobSpec } from "../types.d.ts";
import { jobColumns } from "./job/columns.ts";
import { generateSelector } from "./job/labels.ts";
import { jobStatusStrategy } from "./job/status.ts";
import { validateJobUpdate } from "./job/update.ts";
import { validateJob } from "./job/validate.ts";
import { jobSpecWarnings } from "./job/warnings.ts";

const preserved =
  "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";

const noLimit = 2 ** 31 - 1;

function defaultJob(job: Job): void {
  const spec = specOf<JobSpec>(job);
  job.spec = spec;
  spec.template ??= {};
  defaultPodTemplate(spec.template);
  if (spec.parallelism === undefined) spec.completions ??= 1;
  spec.parallelism ??= 1;
  spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? 6 : noLimit;
  labelAsTemplate(job);
  spec.completionMode ??= "NonIndexed";
  spec.suspend ??= false;
  for (const rule of spec.podFailurePolicy?.rules ?? []) {
    for (const pattern of rule.onPodConditions ?? []) pattern.status ||= "True";
  }
  spec.podReplacementPolicy ??= spec.podFailurePolicy ? "Failed" : "TerminatingOrFailed";
  spec.manualSelector ??= false;
}

function labelAsTemplate({ metadata, spec }: Job): void {
  const labels = spec?.template?.metadata?.labels;
  if (labels && Object.keys(metadata.labels ?? {}).length === 0) metadata.labels = { ...labels };
}

export const jobKind = defineKind<Job>({
  group: "batch",
  kind: "Job",
  resource: "jobs",
  storageVersion: "v1",
  resetFields: ["status"],
  // Older than garbage collection.
  defaultPropagation: "Orphan",

  defaults: defaultJob,
  prepareForCreate(job) {
    const { metadata, spec } = job;
    // In upstream's memory labels that were defaulted are the template's own, and get what those get. A job whose template
    // had none gets them when it is read back.
    const labels = spec?.template?.metadata?.labels;
    const shared = labels !== undefined && semanticEqual(metadata.labels, labels);
    generateSelector(job);
    if (shared) {
      delete metadata.labels;
      labelAsTemplate(job);
    }
    job.status = {};
    firstGeneration(job);
  },
  prepareForUpdate(job, old) {
    setOrDelete(job, { status: old.status });
    bumpGeneration(job, old);
  },
  validate: (job) => validateJob(job, { prefixed: true }),
  validateUpdate: validateJobUpdate,
  warningsOnCreate: ({ metadata, spec }) => [...podNameWarnings(metadata.name ?? ""), ...jobSpecWarnings(spec, "spec")],
  warningsOnUpdate: ({ metadata, spec }, old) =>
    metadata.generation === old.metadata.generation ? [] : jobSpecWarnings(spec, "spec"),

  warningsOnDelete: ({ propagationPolicy, orphanDependents }) =>
    propagationPolicy === undefined && orphanDependents === undefined ? [preserved] : [],

  subresources: { status: jobStatusStrategy },
  selectableFieldNames: ["status.successful"],
  selectableFields: ({ status }) => ({ "status.successful": String(status?.succeeded ?? 0) }),
  unknownField: (field) => `field label ${JSON.stringify(field)} not supported for Job`,
  columns: jobColumns,
});
