/** That a job's status goes forward: what has ended stays so, and counters don't fall. */
import type { Place } from "../../place.ts";
import type { JobSpec } from "../../types.d.ts";
import type { StatusChange } from "./status-change.ts";

export function validateProgress(change: StatusChange, at: Place, spec: JobSpec): void {
  const { now, before, is, was, changed, finished, finishedChanged } = change;
  const conditionsAt = at.child("conditions");
  const { active = 0, ready, terminating = 0, failed = 0, succeeded = 0 } = now;
  if ((finishedChanged || changed("terminating")) && terminating > 0 && finished) {
    at.child("terminating").invalid(terminating, "terminating>0 is invalid for finished job");
  }
  if (changed("ready", "active") && ready !== undefined && ready > active) {
    at.child("ready").invalid(ready, "cannot set more ready pods than active");
  }
  if (is("SuccessCriteriaMet")) {
    for (const other of ["Failed", "FailureTarget"] as const) {
      if (is(other)) conditionsAt.wrong(`cannot set SuccessCriteriaMet=True and ${other}=true conditions`);
    }
  } else if (spec.successPolicy && is("Complete")) {
    conditionsAt.wrong("cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True");
  }
  for (const type of ["Failed", "Complete", "FailureTarget"] as const) {
    if (was(type) && !is(type)) conditionsAt.wrong(`cannot disable the terminal ${type}=True condition`);
  }
  if (failed < (before.failed ?? 0)) at.child("failed").invalid(failed, "cannot decrease the failed counter");
  const mayShrink = spec.completionMode === "Indexed" && spec.completions === spec.parallelism;
  if (!mayShrink && succeeded < (before.succeeded ?? 0)) {
    at.child("succeeded").invalid(succeeded, "cannot decrease the succeeded counter");
  }
  if (now.completionTime && before.completionTime && changed("completionTime")) {
    at.child("completionTime").invalid(now.completionTime, "completionTime cannot be mutated");
  }
  if (before.startTime && changed("startTime") && !spec.suspend) {
    at.child("startTime").required("startTime cannot be removed for unsuspended job");
  }
  if (was("SuccessCriteriaMet") && !is("SuccessCriteriaMet")) {
    conditionsAt.wrong("cannot disable the SuccessCriteriaMet=True condition");
  }
  if (was("Complete") && !was("SuccessCriteriaMet") && is("SuccessCriteriaMet")) {
    conditionsAt.wrong("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions");
  }
}
