/**
 * What a job's controller may report. Since jobs can have other controllers than the built-in one, the rules are strict, but
 * each only counts when the update changes what the rule is about: a status that was wrong before must not block others.
 */
import { validateCount } from "../../counts.ts";
import type { Strategy } from "../../kind.ts";
import { Place } from "../../place.ts";
import { specOf } from "../../spec-of.ts";
import { setOrDelete } from "../../strategy.ts";
import type { Job, JobStatus, UncountedTerminatedPods } from "../../types.d.ts";

import { validateIndexStatus } from "./index-status.ts";
import { validateProgress } from "./progress.ts";
import { compareStatus, type StatusChange } from "./status-change.ts";

function validateCounters(status: JobStatus, at: Place): void {
  validateCount(status.active, at.child("active"));
  validateCount(status.succeeded, at.child("succeeded"));
  validateCount(status.failed, at.child("failed"));
  validateCount(status.ready, at.child("ready"));
  validateCount(status.terminating, at.child("terminating"));
  if (status.uncountedTerminatedPods) {
    validateUncounted(status.uncountedTerminatedPods, at.child("uncountedTerminatedPods"));
  }
}

/** Each pod once, in either list. */
function validateUncounted(pods: UncountedTerminatedPods, at: Place): void {
  const seen = new Set<string>();
  for (const list of ["succeeded", "failed"] as const) {
    pods[list]?.forEach((uid, i) => {
      const place = at.child(list).index(i);
      if (uid === "") place.invalid(uid, "must not be empty");
      else if (seen.has(uid)) place.duplicate(uid);
      seen.add(uid);
    });
  }
}

function validateConditions({ is, turned }: StatusChange, at: Place): void {
  if (turned("Complete", "Failed") && is("Complete") && is("Failed")) {
    at.wrong("cannot set Complete=True and Failed=true conditions");
  }
  if (turned("Complete", "FailureTarget") && is("Complete") && is("FailureTarget")) {
    at.wrong("cannot set Complete=True and FailureTarget=true conditions");
  }
}

function validateTimes({ now, is, turned, changed }: StatusChange, at: Place): void {
  const { startTime, completionTime } = now;
  const place = at.child("completionTime");
  if (turned("Complete") || changed("completionTime")) {
    if (completionTime && !is("Complete")) {
      place.invalid(completionTime, "cannot set completionTime when there is no Complete=True condition");
    }
    if (!completionTime && is("Complete")) place.required("completionTime is required for Complete jobs");
  }
  if (!changed("startTime", "completionTime") || !startTime || !completionTime) return;
  if (Date.parse(completionTime) < Date.parse(startTime)) {
    place.invalid(completionTime, "completionTime cannot be set before startTime");
  }
}

function validateEnding(change: StatusChange, at: Place): void {
  const { now, is, turned, changed, finished, finishedChanged } = change;
  const conditionsAt = at.child("conditions");
  if (turned("Failed", "FailureTarget") && is("Failed") && !is("FailureTarget")) {
    conditionsAt.wrong("cannot set Failed=True condition without the FailureTarget=true condition");
  }
  if (turned("Complete", "SuccessCriteriaMet") && is("Complete") && !is("SuccessCriteriaMet")) {
    conditionsAt.wrong("cannot set Complete=True condition without the SuccessCriteriaMet=true condition");
  }
  if (!finished) return;
  if ((finishedChanged || changed("active")) && now.active) {
    at.child("active").invalid(now.active, "active>0 is invalid for finished job");
  }
  if ((finishedChanged || changed("startTime")) && !now.startTime) {
    at.child("startTime").required("startTime is required for finished job");
  }
  const pods = now.uncountedTerminatedPods;
  if ((finishedChanged || changed("uncountedTerminatedPods")) && (pods?.failed?.length || pods?.succeeded?.length)) {
    at.child("uncountedTerminatedPods").invalid(pods, "uncountedTerminatedPods needs to be empty for finished job");
  }
}

export const jobStatusStrategy: Strategy<Job> = {
  resetFields: ["spec"],
  prepareForUpdate(job, old) {
    setOrDelete(job, { spec: old.spec });
  },
  validateUpdate(job, old) {
    const at = Place.root("status");
    const spec = specOf(job);
    const change = compareStatus(job.status ?? {}, old.status ?? {});
    validateCounters(change.now, at);
    validateConditions(change, at.child("conditions"));
    validateTimes(change, at);
    validateEnding(change, at);
    validateIndexStatus(change, at, spec);
    validateProgress(change, at, spec);
    return at.errors;
  },
};
