/** Whether a CronJob's time has come, and what its status says about its Jobs. Pure. Upstream: cronjob_controllerv2.go. */
import type { CronJob, CronJobStatus, Job, ObjectReference } from "#api";
import { formatTime, timeMs } from "#machinery";
import { byCreation, controllerReference, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import type { Schedule } from "./schedule.ts";

export const kind = { apiVersion: "batch/v1", kind: "CronJob" };
const scheduledAnnotation = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/** Missed times that are counted: after a long sleep nobody wants them all. */
const missedMax = 100;
/** A little late is better than a little early. */
const delayMs = 100;

export interface CronEvent {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

export const finishedAs = (job: Seen<Job>): "Complete" | "Failed" | undefined => {
  const found = (job.status?.conditions ?? []).find(
    ({ type, status }) => (type === "Complete" || type === "Failed") && status === "True",
  );
  return found?.type as "Complete" | "Failed" | undefined; // one of the two, as found
};

/**
 * The status with Jobs that ended taken off; Jobs that nobody wrote down, and those written down that are not there. Of the last two the
 * server must be asked: one cache may be behind the other.
 */
export function followJobs(
  cronJob: Seen<CronJob>,
  jobs: readonly Seen<Job>[],
): { status: CronJobStatus; events: CronEvent[]; unexpected: Seen<Job>[]; missing: ObjectReference[] } {
  const status: CronJobStatus = {
    ...cronJob.status,
    active: (cronJob.status?.active ?? []).map((reference) => ({ ...reference })),
  };
  const events: CronEvent[] = [];
  const unexpected: Seen<Job>[] = [];
  const known = new Set(jobs.map(uidOf));
  for (const job of jobs) {
    const isActive = status.active?.some(({ uid }) => uid === uidOf(job)) ?? false;
    const outcome = finishedAs(job);
    if (!outcome) {
      if (!isActive) unexpected.push(job);
      continue;
    }
    if (isActive) {
      status.active = status.active?.filter(({ uid }) => uid !== uidOf(job)) ?? [];
      const message = `Saw completed job: ${nameOf(job)}, condition: ${outcome}`;
      events.push({ type: "Normal", reason: "SawCompletedJob", message });
    }
    const completedAt = job.status?.completionTime;
    const isLater = !(timeMs(status.lastSuccessfulTime) >= timeMs(completedAt));
    if (outcome === "Complete" && completedAt && isLater) status.lastSuccessfulTime = completedAt;
  }
  const missing = (status.active ?? []).filter(({ uid }) => uid === undefined || !known.has(uid));
  if (status.active?.length === 0) delete status.active;
  return { status, events, unexpected, missing };
}

export function withoutJob(status: CronJobStatus, uid: string | undefined): CronJobStatus {
  const { active = [], ...rest } = status;
  const left = active.filter((reference) => reference.uid !== uid);
  return left.length > 0 ? { ...rest, active: left } : rest;
}

export interface CronPlan {
  /** The time for which a Job is to be started. */
  readonly startMs?: number;
  /** Active Jobs that make way. */
  readonly replace: readonly Seen<ObjectReference>[];
  readonly events: readonly CronEvent[];
  readonly nextInMs?: number;
}

export function planRun(
  cronJob: Seen<CronJob>,
  status: CronJobStatus,
  { schedule, now }: { schedule: Schedule; now: number },
): CronPlan {
  const { startingDeadlineSeconds, concurrencyPolicy } = cronJob.spec ?? {};
  const created = timeMs(cronJob.metadata.creationTimestamp);
  const last = timeMs(status.lastScheduleTime);
  let since = Number.isNaN(last) ? created : last;
  if (startingDeadlineSeconds !== undefined) since = Math.max(since, now - startingDeadlineSeconds * 1000);
  const { due, missed } = dueTime(schedule, since, now);
  const events: CronEvent[] = [];
  if (missed > missedMax) {
    const message = `too many missed start times: ${missed}. Set or decrease .spec.startingDeadlineSeconds or check clock skew`;
    events.push({ type: "Warning", reason: "TooManyMissedTimes", message });
  }
  const next = schedule.next(now);
  const plan = { replace: [], events, ...(next === undefined ? {} : { nextInMs: next - now + delayMs }) };
  if (due === undefined || due === last) return plan;
  const active = status.active ?? [];
  if (active.some(({ name }) => name === jobName(cronJob, due))) return plan;
  if (startingDeadlineSeconds !== undefined && due + startingDeadlineSeconds * 1000 < now) {
    const message = `Missed scheduled time to start a job: ${new Date(due).toUTCString().replace("GMT", "+0000")}`;
    events.push({ type: "Warning", reason: "MissSchedule", message });
    return plan;
  }
  if (concurrencyPolicy === "Forbid" && active.length > 0) {
    const message = "Not starting job because prior execution is running and concurrency policy is Forbid";
    events.push({ type: "Normal", reason: "JobAlreadyActive", message });
    return plan;
  }
  return { ...plan, startMs: due, replace: concurrencyPolicy === "Replace" ? active : [] };
}

/** The latest time that has come since then. */
function dueTime(schedule: Schedule, since: number, now: number): { due: number | undefined; missed: number } {
  const first = schedule.next(since);
  if (first === undefined || first > now) return { due: undefined, missed: 0 };
  const second = schedule.next(first);
  if (second === undefined || second > now) return { due: first, missed: 1 };
  // After a long time the first ones tell the pace, and only the last ones are walked through.
  const pace = second - first;
  const estimate = Math.floor((now - first) / pace) + 1;
  let due = second;
  if (estimate > missedMax) {
    for (let back = pace; ; back *= 2) {
      const found = schedule.next(Math.max(first, now - back));
      if (found !== undefined && found <= now) {
        due = found;
        break;
      }
      if (now - back <= first) break;
    }
  }
  let missed = Math.max(2, estimate);
  if (estimate <= missedMax) missed = 2;
  for (let next = schedule.next(due); next !== undefined && next <= now; next = schedule.next(due)) {
    due = next;
    if (estimate <= missedMax) missed++;
  }
  return { due, missed };
}

/** The same time makes the same name, so that it is started once. */
export const jobName = (cronJob: Seen<CronJob>, scheduledMs: number): string =>
  `${nameOf(cronJob)}-${Math.floor(scheduledMs / 60_000)}`;

export function newJob(cronJob: Seen<CronJob>, scheduledMs: number): Job {
  const { metadata, spec } = cronJob.spec?.jobTemplate ?? {};
  const job: Seen<Job> = {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: {
      name: jobName(cronJob, scheduledMs),
      namespace: namespaceOf(cronJob),
      ...(metadata?.labels ? { labels: metadata.labels } : {}),
      annotations: { ...metadata?.annotations, [scheduledAnnotation]: formatTime(scheduledMs) },
      ownerReferences: [controllerReference(cronJob, kind)],
    },
    ...(spec ? { spec } : {}),
  };
  return job as Job; // shares the template's parts: sent, never changed
}

/** Finished Jobs beyond the limits, oldest first. */
export function surplusJobs({ spec }: Seen<CronJob>, jobs: readonly Seen<Job>[]): Seen<Job>[] {
  const limits = { Complete: spec?.successfulJobsHistoryLimit, Failed: spec?.failedJobsHistoryLimit };
  const startOf = (job: Seen<Job>) => job.status?.startTime ?? "";
  return (["Complete", "Failed"] as const).flatMap((outcome) => {
    const limit = limits[outcome];
    if (limit === undefined) return [];
    const ended = jobs.filter((job) => finishedAs(job) === outcome);
    const surplus = Math.max(0, ended.length - limit);
    return ended
      .sort((a, b) => (startOf(a) < startOf(b) ? -1 : startOf(a) > startOf(b) ? 1 : byCreation(a, b)))
      .slice(0, surplus);
  });
}
