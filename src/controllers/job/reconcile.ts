/**
 * The next step of a Job. Pure, in two halves: what to do with its pods, and then (status.ts), knowing what came of that, what to
 * write down. Every pod bears a finalizer until it is counted: first its uid is written to `status.uncountedTerminatedPods`, then the
 * finalizer goes, then the uid becomes part of the count. Whatever fails in between is taken up again without counting twice.
 * Upstream: syncJob and manageJob of pkg/controller/job.
 */
import type { Job, JobCondition } from "#api";
import { timeMs } from "#machinery";
import { isDeleting, type Seen, uidOf } from "../lib/objects.ts";
import { isPodActive, isPodTerminating, type SeenPod } from "../lib/pods.ts";
import { type Backoff, backoffAfter, finishedMs, leftMs } from "./backoff.ts";
import { judgeFailure } from "./failure-policy.ts";
import { Indexes } from "./indexes.ts";
import {
  failsIndex,
  hasFailed,
  indexOf,
  isIndexed,
  isTracked,
  type NewPod,
  rankActive,
  replacesOnlyFailed,
  triesOf,
} from "./pods.ts";

/** Pods made, deleted or counted in one go; the uids of so many fit in a status. */
export const burstMax = 500;
/** Upstream looks again no sooner. */
const againMsMin = 1000;

export interface JobState {
  readonly job: Seen<Job>;
  /** Those it controls, ended ones included. */
  readonly pods: readonly SeenPod[];
  /** Uids of pods whose finalizer we have removed though the cache doesn't show it yet. */
  readonly released: ReadonlySet<string>;
  /** Whether the cache shows our own last creations and deletions. */
  readonly mayAct: boolean;
  /** From the pods that were counted before. */
  readonly backoff: Backoff;
  readonly now: number;
}

/** How the Job ends. `FailureTarget` and `SuccessCriteriaMet` are written before its pods are let go, the others after. */
export type Outcome = Pick<JobCondition, "reason" | "message"> & {
  readonly type: "FailureTarget" | "SuccessCriteriaMet" | "Failed" | "Complete";
};

export interface Tally {
  readonly succeeded: number;
  readonly failed: number;
  /** As the status has them. */
  readonly knownIndexes?: Indexes;
  readonly completedIndexes?: Indexes;
  readonly failedIndexes?: Indexes;
  /** By index: the failed pod that stays until its successor is there, which takes over its count of failures. */
  readonly kept: ReadonlyMap<number, SeenPod>;
}

export interface JobPlan {
  readonly tally: Tally;
  readonly backoff: Backoff;
  readonly active: readonly SeenPod[];
  readonly terminating: number;
  readonly outcome?: Outcome;
  /** The Job is over: what still runs is stopped, and counts. */
  readonly stop: readonly SeenPod[];
  /** Surplus: their finalizers go first, so that they don't count as failures. */
  readonly remove: readonly SeenPod[];
  readonly create: readonly NewPod[];
  /** False: the cache is behind, or the Job is going; only counting goes on. */
  readonly isManaged: boolean;
  readonly againMs?: number;
}

export const isFinished = ({ status }: Seen<Job>): boolean =>
  (status?.conditions ?? []).some(
    (condition) => (condition.type === "Complete" || condition.type === "Failed") && condition.status === "True",
  );

export const isSuspended = ({ spec }: Seen<Job>): boolean => spec?.suspend === true;

const conditionOf = ({ status }: Seen<Job>, type: string) =>
  status?.conditions?.find((condition) => condition.type === type && condition.status === "True");

export function planJob(state: JobState): JobPlan {
  const { job, pods, mayAct } = state;
  const active = pods.filter(isPodActive);
  const terminating = pods.filter(isPodTerminating).length;
  const fresh = newlyFinished(state);
  const tally = count(state, { fresh, active });
  const outcome = decideOutcome(state, tally);
  const backoff = backoffAfter(state.backoff, fresh);
  const base = { tally, active, terminating, backoff, stop: [], remove: [], create: [], isManaged: false };
  if (outcome) return { ...base, outcome, stop: active };
  const isManaged = mayAct && !isDeleting(job);
  const managed = isManaged ? manage({ ...base, state }) : { remove: [], create: [] };
  const waits = [leftOfDeadlineMs(state), managed.againMs].filter((ms) => ms !== undefined);
  return { ...base, ...managed, isManaged, ...(waits.length > 0 ? { againMs: Math.min(...waits) } : {}) };
}

interface Fresh {
  readonly succeeded: readonly SeenPod[];
  readonly failed: readonly SeenPod[];
}

/** Pods that ended with a finalizer of ours and are in no count yet. */
function newlyFinished({ job, pods, released }: JobState): Fresh {
  const { succeeded = [], failed = [] } = job.status?.uncountedTerminatedPods ?? {};
  const valid = pods.filter(
    (pod) => isTracked(pod) && !released.has(uidOf(pod)) && (!isIndexed(job) || indexOf(pod, job) !== undefined),
  );
  const but = (known: readonly string[], isIt: (pod: SeenPod) => boolean) => {
    const uids = new Set(known);
    return valid.filter((pod) => isIt(pod) && !uids.has(uidOf(pod)));
  };
  return {
    succeeded: but(succeeded, (pod) => pod.status?.phase === "Succeeded"),
    failed: but(failed, (pod) => hasFailed(pod, job)),
  };
}

export const counts = (pod: SeenPod, job: Seen<Job>): boolean => judgeFailure(pod, job).action !== "Ignore";

function count(state: JobState, { fresh, active }: { fresh: Fresh; active: readonly SeenPod[] }): Tally {
  const { job, pods } = state;
  const { succeeded = 0, failed = 0, uncountedTerminatedPods, completedIndexes, failedIndexes } = job.status ?? {};
  const tally = {
    succeeded: succeeded + fresh.succeeded.length + (uncountedTerminatedPods?.succeeded?.length ?? 0),
    failed:
      failed + fresh.failed.filter((pod) => counts(pod, job)).length + (uncountedTerminatedPods?.failed?.length ?? 0),
    kept: new Map<number, SeenPod>(),
  };
  if (!isIndexed(job)) return tally;
  const completions = job.spec?.completions ?? 0;
  const tracked = pods.filter(isTracked);
  const knownIndexes = Indexes.parse(completedIndexes, completions);
  const done = knownIndexes.with(
    indexesOf(
      tracked.filter((pod) => pod.status?.phase === "Succeeded"),
      job,
    ),
  );
  const indexed = { ...tally, succeeded: done.size, knownIndexes, completedIndexes: done };
  if (job.spec?.backoffLimitPerIndex === undefined) return indexed;
  const given = indexesOf(
    tracked.filter((pod) => failsIndex(pod, job)),
    job,
  );
  const lost = Indexes.parse(failedIndexes, completions).with(given);
  const settled = done.with(lost).with(indexesOf(active, job));
  return { ...indexed, failedIndexes: lost, kept: lastFailures(state, settled) };
}

const indexesOf = (pods: readonly SeenPod[], job: Seen<Job>): Indexes =>
  Indexes.of(pods.map((pod) => indexOf(pod, job)).filter((index) => index !== undefined));

function lastFailures({ job, pods, released }: JobState, settled: Indexes): Map<number, SeenPod> {
  const last = new Map<number, SeenPod>();
  for (const pod of pods) {
    const index = indexOf(pod, job);
    if (index === undefined || settled.has(index) || !hasFailed(pod, job)) continue;
    if (!isTracked(pod) || released.has(uidOf(pod))) continue;
    const known = last.get(index);
    if (!known || (triesOf(known) <= triesOf(pod) && finishedMs(known) <= finishedMs(pod))) last.set(index, pod);
  }
  return last;
}

/** In this order: what was decided before, then failures, then successes. All completions reached is decided later. */
function decideOutcome(state: JobState, tally: Tally): Outcome | undefined {
  const { job, pods } = state;
  const { maxFailedIndexes, completions = 0, backoffLimit = 6 } = job.spec ?? {};
  const fail = (reason: string, message: string): Outcome => ({ type: "FailureTarget", reason, message });
  for (const [known, type] of [
    ["SuccessCriteriaMet", "SuccessCriteriaMet"],
    ["FailureTarget", "Failed"],
  ] as const) {
    const { reason, message } = conditionOf(job, known) ?? {};
    if (conditionOf(job, known)) return { type, ...(reason ? { reason } : {}), ...(message ? { message } : {}) };
  }
  for (const pod of job.spec?.podFailurePolicy ? pods : []) {
    const message = hasFailed(pod, job) ? judgeFailure(pod, job).message : undefined;
    if (message) return fail("PodFailurePolicy", message);
  }
  if (tally.failed > backoffLimit || hasRestartedTooOften(job, pods))
    return fail("BackoffLimitExceeded", "Job has reached the specified backoff limit");
  if ((leftOfDeadlineMs(state) ?? 1) <= 0)
    return fail("DeadlineExceeded", "Job was active longer than specified deadline");
  const { failedIndexes, completedIndexes } = tally;
  if (failedIndexes && maxFailedIndexes !== undefined && failedIndexes.size > maxFailedIndexes)
    return fail("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes");
  if (failedIndexes?.size && failedIndexes.size + (completedIndexes?.size ?? 0) >= completions)
    return fail("FailedIndexes", "Job has failed indexes");
  const rule = completedIndexes && matchSuccessPolicy(job, completedIndexes);
  if (rule === undefined) return undefined;
  return { type: "SuccessCriteriaMet", reason: "SuccessPolicy", message: `Matched rules at index ${rule}` };
}

function leftOfDeadlineMs(state: JobState): number | undefined {
  const { activeDeadlineSeconds } = state.job.spec ?? {};
  if (activeDeadlineSeconds === undefined || isSuspended(state.job)) return undefined;
  const { startTime } = state.job.status ?? {};
  return activeDeadlineSeconds * 1000 - (startTime ? state.now - timeMs(startTime) : 0);
}

/** Pods that restart in place are not made anew, so their restarts count. */
function hasRestartedTooOften({ spec }: Seen<Job>, pods: readonly SeenPod[]): boolean {
  if (spec?.template.spec?.restartPolicy !== "OnFailure") return false;
  const { backoffLimit = 6 } = spec;
  let restarts = 0;
  for (const { status } of pods) {
    if (status?.phase !== "Running" && status?.phase !== "Pending") continue;
    for (const each of [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])])
      restarts += each.restartCount ?? 0;
  }
  return backoffLimit === 0 ? restarts > 0 : restarts >= backoffLimit;
}

function matchSuccessPolicy({ spec }: Seen<Job>, completed: Indexes): number | undefined {
  if (completed.size === 0) return undefined;
  const index = (spec?.successPolicy?.rules ?? []).findIndex(({ succeededIndexes, succeededCount }) => {
    if (succeededIndexes === undefined) return succeededCount !== undefined && completed.size >= succeededCount;
    const wanted = Indexes.parse(succeededIndexes, spec?.completions ?? 0);
    return wanted.size > 0 && wanted.overlap(completed) >= Math.min(wanted.size, succeededCount ?? wanted.size);
  });
  return index < 0 ? undefined : index;
}

type Managed = Pick<JobPlan, "create" | "remove" | "againMs">;

interface ManageView extends Pick<JobPlan, "tally" | "active" | "terminating" | "backoff"> {
  readonly state: JobState;
}

/** Either deletes or creates: deleting goes first. */
function manage({ state: { job, pods, now }, tally, active, terminating, backoff }: ManageView): Managed {
  const { parallelism = 1, completions, backoffLimitPerIndex } = job.spec ?? {};
  if (isSuspended(job)) return { create: [], remove: surplusPods(job, active, active.length) };
  const wanted =
    completions === undefined
      ? tally.succeeded > 0
        ? active.length
        : parallelism
      : Math.max(0, Math.min(parallelism, completions - tally.succeeded));
  const remove = surplusPods(job, active, active.length - wanted).slice(0, burstMax);
  const lacking = Math.min(burstMax, wanted - active.length - (replacesOnlyFailed(job) ? terminating : 0));
  if (remove.length > 0 || lacking <= 0) return { create: [], remove };
  const later = (ms: number): Managed => ({ create: [], remove, againMs: Math.max(againMsMin, ms) });
  const waitMs = backoffLimitPerIndex === undefined ? leftMs(backoff, now) : 0;
  if (waitMs > 0) return later(waitMs);
  if (!isIndexed(job)) return { create: Array.from({ length: lacking }, () => ({})), remove };
  const busy = replacesOnlyFailed(job) ? [...active, ...pods.filter(isPodTerminating)] : active;
  const { kept, completedIndexes = Indexes.of([]), failedIndexes = Indexes.of([]) } = tally;
  const taken = completedIndexes.with(failedIndexes).with(indexesOf(busy, job));
  const tries = taken.missing(completions ?? 0, lacking).map((index) => {
    const replaces = kept.get(index);
    if (!replaces) return { index, waitMs: 0 };
    const failures = { failures: triesOf(replaces) + 1, lastFailureMs: finishedMs(replaces) };
    return { index, replaces, waitMs: leftMs(failures, now) };
  });
  const create = tries.filter((each) => each.waitMs === 0).map(({ waitMs: _, ...pod }) => pod);
  return create.length > 0 || tries.length === 0
    ? { create, remove }
    : later(Math.min(...tries.map((each) => each.waitMs)));
}

/** At least so many; pods of an index that another pod has too, or that is none, go in any case, and first. */
function surplusPods(job: Seen<Job>, active: readonly SeenPod[], atLeast: number): SeenPod[] {
  const surplus: SeenPod[] = [];
  let left = active;
  if (isIndexed(job)) {
    const byIndex = Map.groupBy(active, (pod) => indexOf(pod, job) ?? -1);
    for (const [index, same] of [...byIndex].sort(([a], [b]) => a - b))
      surplus.push(...(index < 0 ? same : rankActive(same).slice(0, -1)));
    const gone = new Set(surplus);
    left = active.filter((pod) => !gone.has(pod));
  }
  if (surplus.length < atLeast) surplus.push(...rankActive(left).slice(0, atLeast - surplus.length));
  return surplus;
}
