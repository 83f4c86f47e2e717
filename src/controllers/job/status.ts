/** The status of a Job before and after finalizers are taken off its pods. Pure. */
import type { Job, JobCondition, JobStatus } from "#api";
import { formatTime } from "#machinery";
import { draft, type Seen } from "../lib/objects.ts";
import { countReleased, isSuspended, type JobPlan, type Outcome } from "./reconcile.ts";

export interface JobEvent {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

export interface Progress {
  readonly job: Seen<Job>;
  readonly plan: JobPlan;
  /** What became of the plan: pods made and told to go. */
  readonly created: number;
  readonly removed: number;
  readonly stopped: number;
  readonly now: number;
}

/** What is written first: uids that are about to be counted, and that the Job is about to end. */
export function statusBefore(progress: Progress): { status: JobStatus; events: JobEvent[] } {
  const { job, plan, created, removed, stopped, now } = progress;
  const status = draft<JobStatus>(job.status ?? {});
  const events: JobEvent[] = [];
  if (status.startTime === undefined && !isSuspended(job)) status.startTime = formatTime(now);
  status.active = plan.active + created - removed - stopped;
  status.ready = Math.min(plan.ready, status.active);
  status.terminating = plan.terminating + stopped;
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {};
  status.uncountedTerminatedPods = lists([...succeeded, ...plan.newlySucceeded], [...failed, ...plan.newlyFailed]);
  if (plan.completedIndexes) {
    status.succeeded = plan.completedIndexes.size;
    status.completedIndexes = plan.completedIndexes.toString();
  }
  if (plan.failedIndexes) status.failedIndexes = plan.failedIndexes.toString();
  if (plan.suspended !== undefined) noteSuspension(status, { suspended: plan.suspended, now, events });
  const { outcome } = plan;
  if (outcome && outcome.type !== "Failed") setCondition(status, { ...outcome, status: "True" }, now);
  return { status: tidy(status), events };
}

const lists = (succeeded: string[], failed: string[]) => ({
  ...(succeeded.length > 0 ? { succeeded } : {}),
  ...(failed.length > 0 ? { failed } : {}),
});

function noteSuspension(
  status: JobStatus,
  { suspended, now, events }: { suspended: boolean; now: number; events: JobEvent[] },
): void {
  const known = status.conditions?.find(({ type }) => type === "Suspended");
  if (!known && !suspended) return;
  const [reason, message] = suspended ? ["JobSuspended", "Job suspended"] : ["JobResumed", "Job resumed"];
  const changed = setCondition(
    status,
    { type: "Suspended", status: suspended ? "True" : "False", reason, message },
    now,
  );
  if (!changed) return;
  events.push({ type: "Normal", reason: suspended ? "Suspended" : "Resumed", message });
  // The deadline counts time in which the Job could run.
  if (!suspended) status.startTime = formatTime(now);
}

function setCondition(
  status: JobStatus,
  condition: Omit<JobCondition, "lastProbeTime" | "lastTransitionTime">,
  now: number,
): boolean {
  const known = status.conditions?.find(({ type }) => type === condition.type);
  const time = formatTime(now);
  if (!known) {
    status.conditions = [...(status.conditions ?? []), { ...condition, lastProbeTime: time, lastTransitionTime: time }];
    return true;
  }
  if (known.status === condition.status && known.reason === condition.reason && known.message === condition.message)
    return false;
  Object.assign(known, condition, { lastTransitionTime: time });
  return true;
}

export interface Released {
  readonly plan: JobPlan;
  /** Whether a pod still has our finalizer. */
  hasFinalizer(uid: string): boolean;
  /** Pods that still have one: the Job is not over before all are counted. */
  readonly tracked: number;
  readonly completions: number | undefined;
  readonly now: number;
}

/** What is written then: counts, and the end when nothing is left to be counted and nothing runs. */
export function statusAfter(
  before: JobStatus,
  { plan, hasFinalizer, tracked, completions, now }: Released,
): { status: JobStatus; events: JobEvent[] } {
  const isIndexed = plan.completedIndexes !== undefined;
  const counted = countReleased(before, hasFinalizer);
  const status = draft<JobStatus>(isIndexed ? { ...counted, succeeded: before.succeeded ?? 0 } : counted);
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {};
  const waits = succeeded.length + failed.length + tracked + (status.terminating ?? 0) + (status.active ?? 0) > 0;
  const { outcome } = plan;
  if (!outcome || waits) return { status: tidy(status), events: [] };
  return { status: tidy(status), events: end(status, outcome, { completions, now }) };
}

function end(
  status: JobStatus,
  outcome: Outcome,
  { completions, now }: { completions: number | undefined; now: number },
): JobEvent[] {
  const { reason, message } = outcome;
  if (outcome.type !== "SuccessCriteriaMet") {
    setCondition(status, { type: "Failed", status: "True", reason, message }, now);
    return [{ type: "Warning", reason, message }];
  }
  setCondition(status, { type: "Complete", status: "True", reason, message }, now);
  status.completionTime = formatTime(now);
  const events: JobEvent[] = [];
  if (completions !== undefined && (status.succeeded ?? 0) > completions) {
    const tooMany = "Too many succeeded pods running after completion count reached";
    events.push({ type: "Warning", reason: "TooManySucceededPods", message: tooMany });
  }
  events.push({ type: "Normal", reason: "Completed", message: "Job completed" });
  return events;
}

/** Counts of zero are left out, as the server shows them. */
function tidy(status: JobStatus): JobStatus {
  for (const field of ["active", "succeeded", "failed"] as const) if (status[field] === 0) delete status[field];
  for (const field of ["completedIndexes"] as const) if (status[field] === "") delete status[field];
  return status;
}
