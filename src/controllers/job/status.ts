/** What is written of a Job: before finalizers are taken off its pods, and after. Pure. */
import type { JobCondition, JobStatus } from "#api";
import { formatTime } from "#machinery";
import { draft, isDeleting, type Seen, uidOf } from "../lib/objects.ts";
import { isPodReady, type SeenPod } from "../lib/pods.ts";
import { Indexes } from "./indexes.ts";
import { hasFailed, indexOf, isIndexed, isTracked } from "./pods.ts";
import { burstMax, counts, isSuspended, type JobPlan, type JobState, type Outcome } from "./reconcile.ts";

export interface JobEvent {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

/** What came of the plan. */
export interface Done {
  readonly created: number;
  /** Pods told to go, of those planned to be stopped or removed. */
  readonly deleted: number;
  readonly deletedReady: number;
}

export interface Settlement {
  readonly status: JobStatus;
  readonly events: readonly JobEvent[];
  /** Pods that lose their finalizer once the status is written. */
  readonly release: readonly SeenPod[];
  /** How the Job ends when nothing is left to count. */
  readonly outcome?: Outcome;
}

/** What is written first: uids that are about to be counted, and that the Job is about to end. */
export function settle(state: JobState, plan: JobPlan, done: Done): Settlement {
  const { job, now } = state;
  const { tally } = plan;
  const status = draft<JobStatus>(job.status ?? {});
  const events: JobEvent[] = [];
  if (status.startTime === undefined && !isSuspended(job)) status.startTime = formatTime(now);
  const active = plan.active.length + done.created - done.deleted;
  let outcome = plan.outcome;
  if (outcome) {
    // Not over while a pod may be left that isn't seen yet or couldn't be deleted.
    if (done.deleted < plan.active.length || !state.mayAct) outcome = undefined;
  } else if (active === 0 && tally.succeeded >= (job.spec?.completions ?? 1)) {
    const message = "Reached expected number of succeeded pods";
    outcome = { type: "SuccessCriteriaMet", reason: "CompletionsReached", message };
  } else if (plan.isManaged) noteSuspension(status, { suspended: isSuspended(job), now, events });
  Object.assign(status, {
    active,
    ready: plan.active.filter(isPodReady).length - done.deletedReady,
    terminating: plan.terminating + done.deleted,
  });
  const { uncounted, release, isCut, newIndexes } = collect(state, plan, outcome);
  Object.assign(
    status,
    countReleased(status, (uid) => uncounted.isBound(uid)),
  );
  status.uncountedTerminatedPods = lists(
    [...(status.uncountedTerminatedPods?.succeeded ?? []), ...uncounted.succeeded],
    [...(status.uncountedTerminatedPods?.failed ?? []), ...uncounted.failed],
  );
  if (tally.completedIndexes) {
    const completed = tally.completedIndexes.with(Indexes.of(newIndexes));
    status.succeeded = completed.size;
    status.completedIndexes = completed.toString();
    if (tally.failedIndexes) status.failedIndexes = tally.failedIndexes.toString();
  }
  const isInterim = outcome?.type === "FailureTarget" || outcome?.type === "SuccessCriteriaMet";
  if (outcome && isInterim) {
    setCondition(status, { ...outcome, status: "True" }, now);
    outcome = { ...outcome, type: outcome.type === "FailureTarget" ? "Failed" : "Complete" };
  }
  return { status: tidy(status), events, release, ...(outcome && !isCut ? { outcome } : {}) };
}

const lists = (succeeded: readonly string[], failed: readonly string[]) => ({
  ...(succeeded.length > 0 ? { succeeded: [...succeeded] } : {}),
  ...(failed.length > 0 ? { failed: [...failed] } : {}),
});

interface Collected {
  readonly uncounted: { succeeded: string[]; failed: string[]; isBound(uid: string): boolean };
  readonly newIndexes: number[];
  readonly release: SeenPod[];
  /** There are more for the next time. */
  readonly isCut: boolean;
}

/** Which pods are counted now, and which lose their finalizer: no more at once than fit in a status. */
function collect({ job, pods, released }: JobState, { tally }: JobPlan, outcome: Outcome | undefined): Collected {
  const known = job.status?.uncountedTerminatedPods ?? {};
  const [knownSucceeded, knownFailed] = [new Set(known.succeeded), new Set(known.failed)];
  const tracked = pods.filter((pod) => isTracked(pod) && !released.has(uidOf(pod)));
  const bound = new Set(tracked.map(uidOf));
  const uncounted = { succeeded: [] as string[], failed: [] as string[], isBound: (uid: string) => bound.has(uid) };
  const waiting = [...knownSucceeded, ...knownFailed].filter((uid) => bound.has(uid)).length;
  const newIndexes: number[] = [];
  const release: SeenPod[] = [];
  const indexed = isIndexed(job);
  const ordered = indexed ? tracked.toSorted((a, b) => (indexOf(a, job) ?? -1) - (indexOf(b, job) ?? -1)) : tracked;
  for (const pod of ordered) {
    const uid = uidOf(pod);
    const index = indexOf(pod, job);
    const isDone = pod.status?.phase === "Succeeded";
    const isLost = hasFailed(pod, job);
    const isKept = index !== undefined && tally.kept.get(index) === pod;
    if (!isDeleting(job) && !outcome && !isDone && (!isLost || isKept)) continue;
    release.push(pod);
    if (isDone && !knownFailed.has(uid)) {
      if (!indexed) {
        if (!knownSucceeded.has(uid)) uncounted.succeeded.push(uid);
      } else if (index !== undefined && !tally.knownIndexes?.has(index)) newIndexes.push(index);
    } else if (isLost || (outcome && outcome.type !== "SuccessCriteriaMet")) {
      // A Job that failed takes every pod that hasn't ended for one that failed.
      const isOurs = !indexed || index !== undefined;
      if (isOurs && !knownFailed.has(uid) && counts(pod, job)) uncounted.failed.push(uid);
    }
    if (waiting + newIndexes.length + uncounted.succeeded.length + uncounted.failed.length >= burstMax)
      return { uncounted, newIndexes, release, isCut: true };
  }
  return { uncounted, newIndexes, release, isCut: false };
}

function noteSuspension(
  status: JobStatus,
  { suspended, now, events }: { suspended: boolean; now: number; events: JobEvent[] },
): void {
  const isKnown = status.conditions?.some(({ type }) => type === "Suspended");
  if (!isKnown && !suspended) return;
  const [reason, message] = suspended ? ["JobSuspended", "Job suspended"] : ["JobResumed", "Job resumed"];
  if (!setCondition(status, { type: "Suspended", status: suspended ? "True" : "False", reason, message }, now)) return;
  events.push({ type: "Normal", reason: suspended ? "Suspended" : "Resumed", message });
  // The deadline counts time in which the Job could run.
  if (suspended) delete status.startTime;
  else status.startTime = formatTime(now);
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
  Object.assign(known, condition, { lastProbeTime: time, lastTransitionTime: time });
  return true;
}

/** Uids whose pods have no finalizer any more become part of the count. */
export function countReleased(status: Seen<JobStatus>, isBound: (uid: string) => boolean): JobStatus {
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {};
  const left = { succeeded: succeeded.filter(isBound), failed: failed.filter(isBound) };
  return tidy({
    ...draft<JobStatus>(status),
    succeeded: (status.succeeded ?? 0) + succeeded.length - left.succeeded.length,
    failed: (status.failed ?? 0) + failed.length - left.failed.length,
    uncountedTerminatedPods: lists(left.succeeded, left.failed),
  });
}

/** The end, when nothing is left to be counted and nothing runs; undefined while something is. */
export function end(
  counted: JobStatus,
  { outcome, completions, now }: { outcome: Outcome; completions: number | undefined; now: number },
): { status: JobStatus; events: JobEvent[] } | undefined {
  const { succeeded = [], failed = [] } = counted.uncountedTerminatedPods ?? {};
  if (succeeded.length + failed.length + (counted.terminating ?? 0) > 0) return undefined;
  const status = draft<JobStatus>(counted);
  const { type, reason = "", message = "" } = outcome;
  setCondition(status, { ...outcome, status: "True" }, now);
  if (type === "Failed") return { status, events: [{ type: "Warning", reason, message }] };
  status.completionTime = formatTime(now);
  const events: JobEvent[] = [];
  if (completions !== undefined && (status.succeeded ?? 0) > completions) {
    const tooMany = "Too many succeeded pods running after completion count reached";
    events.push({ type: "Warning", reason: "TooManySucceededPods", message: tooMany });
  }
  events.push({ type: "Normal", reason: "Completed", message: "Job completed" });
  return { status, events };
}

/** Counts of zero are left out, as the server shows them. */
function tidy(status: JobStatus): JobStatus {
  for (const field of ["active", "succeeded", "failed"] as const) if (status[field] === 0) delete status[field];
  if (status.completedIndexes === "") delete status.completedIndexes;
  return status;
}
