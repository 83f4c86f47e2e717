/** CronJob: jobs by the clock. Follows upstream's registry/batch/cronjob. */
import { printLabelSelector } from "#machinery";
import { templateColumns } from "../apps/template-columns.ts";
import { ageColumn, none, printAge } from "../columns.ts";
import { type Column, defineKind, type Strategy } from "../kind.ts";
import { Place } from "../place.ts";
import { defaultPodTemplate } from "../pod-spec/defaults.ts";
import { podNameWarnings } from "../pod-spec/warnings.ts";
import { specOf } from "../spec-of.ts";
import { bumpGeneration, firstGeneration, setOrDelete } from "../strategy.ts";
import type { CronJob, CronJobSpec, JobSpec } from "../types.d.ts";
import { validateCronJob } from "./cron-job/validate.ts";
import { selectorDescription } from "./job/columns.ts";
import { jobSpecWarnings } from "./job/warnings.ts";

/** Jobs get the time of their run after the name, and have to be labels. */
const nameLengthMax = 63 - 11;

/** The job itself gets its defaults when it is made. */
function defaultCronJob(cronJob: CronJob): void {
  const spec = specOf<CronJobSpec>(cronJob);
  cronJob.spec = spec;
  spec.concurrencyPolicy ||= "Allow";
  spec.suspend ??= false;
  spec.successfulJobsHistoryLimit ??= 3;
  spec.failedJobsHistoryLimit ??= 1;
  spec.jobTemplate ??= {};
  spec.jobTemplate.metadata ??= {};
  const job = specOf<JobSpec>(spec.jobTemplate);
  spec.jobTemplate.spec = job;
  job.template ??= {};
  defaultPodTemplate(job.template);
  for (const rule of job.podFailurePolicy?.rules ?? []) {
    for (const pattern of rule.onPodConditions ?? []) pattern.status ||= "True";
  }
}

const warningsOf = ({ spec }: CronJob): string[] => jobSpecWarnings(spec.jobTemplate?.spec, "spec.jobTemplate.spec");

const statusStrategy: Strategy<CronJob> = {
  resetFields: ["spec"],
  prepareForUpdate(cronJob, old) {
    cronJob.spec = old.spec;
  },
};

const columns: readonly Column<CronJob>[] = [
  {
    name: "Schedule",
    type: "string",
    description: { field: "V1CronJobSpec.schedule" },
    of: ({ spec }) => spec.schedule ?? "",
  },
  {
    name: "Timezone",
    type: "string",
    description: { field: "V1CronJobSpec.timeZone" },
    of: ({ spec }) => spec.timeZone ?? none,
  },
  {
    name: "Suspend",
    type: "boolean",
    description: { field: "V1CronJobSpec.suspend", gaps: { "17": "  " } },
    of: ({ spec }) => (spec.suspend === undefined ? "<unset>" : spec.suspend ? "True" : "False"),
  },
  {
    name: "Active",
    type: "integer",
    description: { field: "V1CronJobStatus.active" },
    of: ({ status }) => status?.active?.length ?? 0,
  },
  {
    name: "Last Schedule",
    type: "string",
    description: { field: "V1CronJobStatus.lastScheduleTime" },
    of: ({ status }, now) => (status?.lastScheduleTime ? printAge(status.lastScheduleTime, now) : none),
  },
  ageColumn,
  ...templateColumns<CronJob>(({ spec }) => spec.jobTemplate?.spec?.template),
  {
    name: "Selector",
    type: "string",
    priority: 1,
    description: selectorDescription,
    of: ({ spec }) => printLabelSelector(spec.jobTemplate?.spec?.selector),
  },
];

export const cronJobKind = defineKind<CronJob>({
  group: "batch",
  kind: "CronJob",
  resource: "cronjobs",
  storageVersion: "v1",
  resetFields: ["status"],

  defaults: defaultCronJob,
  prepareForCreate(cronJob) {
    cronJob.status = {};
    firstGeneration(cronJob);
  },
  prepareForUpdate(cronJob, old) {
    setOrDelete(cronJob, { status: old.status });
    bumpGeneration(cronJob, old);
  },
  validate(cronJob) {
    const errors = validateCronJob(cronJob);
    const { name = "" } = cronJob.metadata;
    if (Buffer.byteLength(name) > nameLengthMax) {
      Place.root("metadata", errors).child("name").invalid(name, `must be no more than ${nameLengthMax} characters`);
    }
    return errors;
  },
  validateUpdate: (cronJob, old) => validateCronJob(cronJob, old),
  warningsOnCreate: (cronJob) => [...podNameWarnings(cronJob.metadata.name ?? ""), ...warningsOf(cronJob)],
  warningsOnUpdate(cronJob, old) {
    const warnings = cronJob.metadata.generation === old.metadata.generation ? [] : warningsOf(cronJob);
    if (cronJob.spec.schedule?.includes("TZ")) {
      const more = "see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details";
      warnings.push(`cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, ${more}`);
    }
    return warnings;
  },

  subresources: { status: statusStrategy },
  columns,
});
