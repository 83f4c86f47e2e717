/** What makes a cron job valid. */
import type { FieldError } from "#machinery";
import { validateCount } from "../../counts.ts";
import { Place } from "../../place.ts";
import type { CronJob, CronJobSpec, JobTemplateSpec } from "../../types.d.ts";
import { validateJobSpec } from "../job/validate.ts";
import { readSchedule, ScheduleError } from "./schedule.ts";
import { isTimeZone } from "./time-zone.ts";

const policies = ["Allow", "Forbid", "Replace"];

export function validateCronJob({ spec = { schedule: "", jobTemplate: {} } }: CronJob, old?: CronJob): FieldError[] {
  const at = Place.root("spec");
  const before = old?.spec;
  const { schedule = "", timeZone, concurrencyPolicy = "", jobTemplate = {} } = spec;
  if (schedule === "") at.child("schedule").required();
  else validateSchedule(spec, at.child("schedule"), before);
  validateCount(spec.startingDeadlineSeconds, at.child("startingDeadlineSeconds"));
  if (timeZone !== undefined && timeZone !== before?.timeZone) validateTimeZone(timeZone, at.child("timeZone"));
  const policyAt = at.child("concurrencyPolicy");
  if (concurrencyPolicy === "") policyAt.required();
  else if (!policies.includes(concurrencyPolicy)) policyAt.notSupported(concurrencyPolicy, policies);
  validateJobTemplate(jobTemplate, at.child("jobTemplate").child("spec"), before?.jobTemplate);
  validateCount(spec.successfulJobsHistoryLimit, at.child("successfulJobsHistoryLimit"));
  validateCount(spec.failedJobsHistoryLimit, at.child("failedJobsHistoryLimit"));
  return at.errors;
}

/** The time zone has a field of its own; objects from before that keep it in the schedule. */
function validateSchedule({ schedule, timeZone }: CronJobSpec, at: Place, old: CronJobSpec | undefined): void {
  try {
    readSchedule(schedule);
  } catch (error) {
    if (!(error instanceof ScheduleError)) throw error;
    at.invalid(schedule, error.message);
  }
  if (!schedule.includes("TZ")) return;
  if (!old?.schedule?.includes("TZ")) {
    at.invalid(schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
  } else if (timeZone !== undefined) {
    at.invalid(schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule");
  }
}

const zonePart = /^[A-Za-z._0-9+][A-Za-z._\-0-9+]{0,13}$/;

function validateTimeZone(name: string, at: Place): void {
  if (name === "") {
    at.invalid(name, "timeZone must be nil or non-empty string");
    return;
  }
  const unknown = `unknown time zone ${name}`;
  if (name.split("/").some((part) => part === "." || part === ".." || !zonePart.test(part))) {
    at.invalid(name, unknown);
    return;
  }
  if (name.toLowerCase() === "local") {
    at.invalid(name, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
    // To upstream this spelling is the zone of the server.
    if (name === "Local") return;
  }
  if (!isTimeZone(name)) at.invalid(name, unknown);
}

/** `at` is the job's spec. */
function validateJobTemplate(
  { spec = { template: {} } }: JobTemplateSpec,
  at: Place,
  old: JobTemplateSpec | undefined,
): void {
  validateJobSpec(spec, at, old?.spec);
  if (spec.selector) at.child("selector").invalid(spec.selector, "`selector` will be auto-generated");
  if (spec.manualSelector) at.child("manualSelector").notSupported(true, ["nil", "false"]);
}
