/** Whether a CronJob's time has come, and what its status says about its Jobs. Pure. Upstream: cronjob_controllerv2.go. */
import type { CronJob, CronJobStatus, Job, ObjectReference } from "#api";
import { timeMs } from "#machinery";
import { controllerReference, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import { type Schedule, timeInZone } from "./schedule.ts";

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
  const of = { ...cronJob, status };
  const deadlineMs = startingDeadlineSeconds === undefined ? undefined : startingDeadlineSeconds * 1000;
  const { due, missed, isNever } = mostRecent(schedule, Math.max(earliestMs(of), now - (deadlineMs ?? Infinity)), now);
  const events: CronEvent[] = [];
  const say = (type: "Normal" | "Warning", reason: string, message: string) => events.push({ type, reason, message });
  if (isNever) {
    const why = "time difference between two schedules is less than 1 second";
    say("Warning", "InvalidSchedule", `invalid schedule: ${cronJob.spec?.schedule} : ${why}`);
    return { replace: [], events };
  }
  const plan = { replace: [], events, nextInMs: nextInMs(of, { schedule, now }) };
  if (due === undefined) return plan;
  if (missed > missedMax) {
    const advice = "Set or decrease .spec.startingDeadlineSeconds or check clock skew";
    say("Warning", "TooManyMissedTimes", `too many missed start times. ${advice}`);
  }
  const active = status.active ?? [];
  if (deadlineMs !== undefined && due + deadlineMs < now) {
    const time = new Date(due).toUTCString().replace("GMT", "+0000");
    say("Warning", "MissSchedule", `Missed scheduled time to start a job: ${time}`);
  } else if (due === timeMs(status.lastScheduleTime) || active.some(({ name }) => name === jobName(cronJob, due))) {
    return plan;
  } else if (concurrencyPolicy === "Forbid" && active.length > 0) {
    const message = "Not starting job because prior execution is running and concurrency policy is Forbid";
    say("Normal", "JobAlreadyActive", message);
  } else return { ...plan, startMs: due, replace: concurrencyPolicy === "Replace" ? active : [] };
  return plan;
}

/** Since when times may have been missed. */
const earliestMs = ({ metadata, status }: Seen<CronJob>): number =>
  timeMs(status?.lastScheduleTime ?? metadata.creationTimestamp);

/** When to look again: a little after the next time. Of a changed schedule this time hasn't come yet, whatever was missed. */
export function nextInMs(cronJob: Seen<CronJob>, { schedule, now }: { schedule: Schedule; now: number }): number {
  const earliest = earliestMs(cronJob);
  const { due, missed, isNever } = mostRecent(schedule, earliest, now);
  const next = schedule.next(isNever ? now : (due ?? (missed === 0 ? earliest : now)));
  return next === undefined ? 0 : next + delayMs - now;
}

interface Recent {
  /** The latest time that has come. */
  readonly due?: number;
  /** A guess by the distance of the first two. */
  readonly missed: number;
  /** There is no such day. */
  readonly isNever?: boolean;
}

function mostRecent(schedule: Schedule, earliest: number, now: number): Recent {
  const first = schedule.next(earliest);
  if (first === undefined) return { missed: 0, isNever: true };
  if (now < first) return { missed: 0 };
  const second = schedule.next(first);
  if (second === undefined) return { missed: 0, isNever: true };
  if (now < second) return { missed: 0, due: first };
  const pace = Math.round((second - first) / 1000) * 1000;
  const missed = Math.floor((now - first) / pace) + 1;
  // Not all are walked through, only those after the last but one at this pace.
  let due: number | undefined;
  let next = schedule.next(first + (missed - 2) * pace);
  for (; next !== undefined && next <= now; next = schedule.next(next)) due = next;
  return due === undefined ? { missed } : { missed, due };
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
      annotations: {
        ...metadata?.annotations,
        [scheduledAnnotation]: timeInZone(scheduledMs, cronJob.spec?.timeZone ?? "UTC"),
      },
      ownerReferences: [controllerReference(cronJob, kind)],
    },
    ...(spec ? { spec } : {}),
  };
  return job as Job; // shares the template's parts: sent, never changed
}

/** Finished Jobs beyond the limits, oldest first. */
export function surplusJobs({ spec }: Seen<CronJob>, jobs: readonly Seen<Job>[]): Seen<Job>[] {
  const limits = { Complete: spec?.successfulJobsHistoryLimit, Failed: spec?.failedJobsHistoryLimit };
  /** Those without a start last, names decide between equals. */
  const rank = (job: Seen<Job>) => `${job.status?.startTime ?? "~"} ${nameOf(job)}`;
  return (["Complete", "Failed"] as const).flatMap((outcome) => {
    const limit = limits[outcome];
    if (limit === undefined) return [];
    const ended = jobs.filter((job) => finishedAs(job) === outcome);
    const surplus = Math.max(0, ended.length - limit);
    return ended.sort((a, b) => (rank(a) < rank(b) ? -1 : 1)).slice(0, surplus);
  });
}
