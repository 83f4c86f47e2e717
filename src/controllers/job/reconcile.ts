/**
 * The state of a Job and its next step. Pure. Every pod bears a finalizer until it is counted: first its uid is written to
 * `status.uncountedTerminatedPods`, then the finalizer goes, then the uid becomes part of the count. Whatever fails in between is
 * taken up again without counting twice. Upstream: pkg/controller/job.
 */
import type { Job, JobStatus } from "#api";
import { timeMs } from "#machinery";
import { isDeleting, type Seen, uidOf } from "../lib/objects.ts";
import { rankForDeletion } from "../lib/pod-ranking.ts";
import { isPodActive, isPodReady, isPodTerminating, type SeenPod } from "../lib/pods.ts";
import { backoffLeftMs, delayAfter } from "./backoff.ts";
import { judgeFailure } from "./failure-policy.ts";
import { Indexes } from "./indexes.ts";
import { failsIndex, failuresOf, hasFailed, indexOf, isIndexed, isTracked, replacesOnlyFailed } from "./pods.ts";

/** Pods made, deleted or counted in one go; the uids of so many fit in a status. */
export const burstMax = 500;

export interface JobState {
  readonly job: Seen<Job>;
  /** Those it controls, ended ones included. */
  readonly pods: readonly SeenPod[];
  /** Uids of pods whose finalizer we have removed though the cache doesn't show it yet. */
  readonly released: ReadonlySet<string>;
  /** Whether the cache shows our own last creations and deletions. */
  readonly mayAct: boolean;
  readonly now: number;
}

export interface Outcome {
  readonly type: "FailureTarget" | "SuccessCriteriaMet" | "Failed";
  readonly reason: string;
  readonly message: string;
}

export interface NewJobPod {
  readonly index?: number;
  readonly replaces?: SeenPod;
}

export interface JobPlan {
  readonly active: number;
  readonly ready: number;
  readonly terminating: number;
  readonly create: readonly NewJobPod[];
  /** Surplus: their finalizers go first, so that they don't count as failures. */
  readonly remove: readonly SeenPod[];
  /** The Job is over: what still runs is stopped, and counts. */
  readonly stop: readonly SeenPod[];
  readonly outcome?: Outcome;
  readonly suspended?: boolean;
  /** Uids to be written down before finalizers go. */
  readonly newlySucceeded: readonly string[];
  readonly newlyFailed: readonly string[];
  readonly release: readonly SeenPod[];
  readonly completedIndexes?: Indexes;
  readonly failedIndexes?: Indexes;
  readonly againMs?: number;
}

interface Tally {
  readonly succeeded: number;
  readonly failed: number;
  readonly completed?: Indexes;
  readonly failedIndexes?: Indexes;
}

export const isFinished = ({ status }: Seen<Job>): boolean =>
  (status?.conditions ?? []).some(
    (condition) => (condition.type === "Complete" || condition.type === "Failed") && condition.status === "True",
  );

export const isSuspended = ({ spec }: Seen<Job>): boolean => spec?.suspend === true;

const conditionOf = ({ status }: Seen<Job>, type: string) =>
  status?.conditions?.find((condition) => condition.type === type && condition.status === "True");

/** Pods that end with a finalizer of ours and are in no count yet. */
const uncounted = ({ job, pods, released }: JobState): SeenPod[] => {
  const { succeeded = [], failed = [] } = job.status?.uncountedTerminatedPods ?? {};
  const known = new Set([...succeeded, ...failed]);
  return pods.filter((pod) => isTracked(pod) && !released.has(uidOf(pod)) && !known.has(uidOf(pod)));
};

export function planJob(state: JobState): JobPlan {
  const { job, pods } = state;
  const active = pods.filter(isPodActive);
  const tally = count(state);
  const outcome = decideOutcome(state, { active, tally });
  const base = {
    active: active.length,
    ready: active.filter(isPodReady).length,
    terminating: pods.filter(isPodTerminating).length,
    create: [],
    remove: [],
    stop: [],
    ...(tally.completed ? { completedIndexes: tally.completed } : {}),
    ...(tally.failedIndexes ? { failedIndexes: tally.failedIndexes } : {}),
    ...(outcome ? { outcome } : {}),
  };
  if (outcome)
    return {
      ...base,
      stop: active,
      ...settle(state, { isOver: outcome.type !== "SuccessCriteriaMet", isEnding: true }),
    };
  const counted = settle(state, { isOver: false, isEnding: false });
  const againMs = deadlineInMs(state);
  const later = againMs === undefined ? {} : { againMs };
  if (!state.mayAct || isDeleting(job)) return { ...base, ...counted, ...later };
  const managed = manage(state, { active, tally });
  const soonest = [againMs, managed.againMs].filter((ms) => ms !== undefined);
  return {
    ...base,
    ...counted,
    ...managed,
    suspended: isSuspended(job),
    ...(soonest.length > 0 ? { againMs: Math.min(...soonest) } : {}),
  };
}

function count(state: JobState): Tally {
  const { job, pods } = state;
  const { status = {} } = job;
  const fresh = uncounted(state);
  const failedNow = fresh.filter((pod) => hasFailed(pod, job) && (!isIndexed(job) || indexOf(pod, job) !== undefined));
  const failed =
    (status.failed ?? 0) +
    (status.uncountedTerminatedPods?.failed?.length ?? 0) +
    failedNow.filter((pod) => judgeFailure(pod, job).action !== "Ignore").length;
  if (!isIndexed(job)) {
    const succeededNow = fresh.filter((pod) => pod.status?.phase === "Succeeded").length;
    const waiting = status.uncountedTerminatedPods?.succeeded?.length ?? 0;
    return { succeeded: (status.succeeded ?? 0) + waiting + succeededNow, failed };
  }
  const completions = job.spec?.completions ?? 0;
  const indexesOf = (some: readonly SeenPod[]) =>
    some.map((pod) => indexOf(pod, job)).filter((index) => index !== undefined);
  const done = indexesOf(fresh.filter((pod) => pod.status?.phase === "Succeeded"));
  const completed = Indexes.parse(status.completedIndexes, completions).with(done);
  const tally = { succeeded: completed.size, failed, completed };
  if (job.spec?.backoffLimitPerIndex === undefined) return tally;
  const given = indexesOf(pods.filter((pod) => isTracked(pod) && failsIndex(pod, job))).filter(
    (index) => !completed.has(index),
  );
  return { ...tally, failedIndexes: Indexes.parse(status.failedIndexes, completions).with(given) };
}

interface Counted {
  readonly active: readonly SeenPod[];
  readonly tally: Tally;
}

function decideOutcome(state: JobState, { active, tally }: Counted): Outcome | undefined {
  const { job, pods, now } = state;
  const { backoffLimit = 6, completions, activeDeadlineSeconds, maxFailedIndexes } = job.spec ?? {};
  const failure = (reason: string, message: string): Outcome => ({ type: "FailureTarget", reason, message });
  const target = conditionOf(job, "FailureTarget");
  if (target) return { type: "Failed", reason: target.reason ?? "", message: target.message ?? "" };
  const met = conditionOf(job, "SuccessCriteriaMet");
  if (met) return { type: "SuccessCriteriaMet", reason: met.reason ?? "", message: met.message ?? "" };
  if (job.spec?.podFailurePolicy) {
    for (const pod of uncounted(state)) {
      const verdict = hasFailed(pod, job) ? judgeFailure(pod, job) : undefined;
      if (verdict?.message !== undefined) return failure("PodFailurePolicy", verdict.message);
    }
  }
  if (tally.failed > backoffLimit || hasRestartedTooOften(job, pods)) {
    return failure("BackoffLimitExceeded", "Job has reached the specified backoff limit");
  }
  const startMs = timeMs(job.status?.startTime);
  if (activeDeadlineSeconds !== undefined && !isSuspended(job) && now - startMs >= activeDeadlineSeconds * 1000) {
    return failure("DeadlineExceeded", "Job was active longer than specified deadline");
  }
  if (tally.failedIndexes && tally.failedIndexes.size > 0) {
    if (maxFailedIndexes !== undefined && tally.failedIndexes.size > maxFailedIndexes) {
      return failure("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes");
    }
    if (tally.failedIndexes.size + tally.succeeded >= (completions ?? 0)) {
      return failure("FailedIndexes", "Job has failed indexes");
    }
  }
  const rule = matchSuccessPolicy(job, tally);
  if (rule !== undefined) {
    return { type: "SuccessCriteriaMet", reason: "SuccessPolicy", message: `Matched rules at index ${rule}` };
  }
  const isDone = completions === undefined ? tally.succeeded > 0 : tally.succeeded >= completions;
  if (!isDone || active.length > 0) return undefined;
  const message = "Reached expected number of succeeded pods";
  return { type: "SuccessCriteriaMet", reason: "CompletionsReached", message };
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

function matchSuccessPolicy({ spec }: Seen<Job>, { completed }: Tally): number | undefined {
  if (!completed) return undefined;
  const completions = spec?.completions ?? 0;
  const index = (spec?.successPolicy?.rules ?? []).findIndex(({ succeededIndexes, succeededCount }) => {
    if (succeededIndexes === undefined) return succeededCount !== undefined && completed.size >= succeededCount;
    const wanted = Indexes.parse(succeededIndexes, completions);
    let found = 0;
    for (let at = 0; at < completions; at++) if (wanted.has(at) && completed.has(at)) found++;
    return found >= (succeededCount ?? wanted.size);
  });
  return index < 0 ? undefined : index;
}

function deadlineInMs({ job, now }: JobState): number | undefined {
  const { activeDeadlineSeconds } = job.spec ?? {};
  if (activeDeadlineSeconds === undefined || isSuspended(job)) return undefined;
  const startMs = timeMs(job.status?.startTime);
  return Math.max(0, (Number.isNaN(startMs) ? now : startMs) + activeDeadlineSeconds * 1000 - now);
}

/** Which pods are counted now, and which lose their finalizer. */
function settle(
  state: JobState,
  { isOver, isEnding }: { isOver: boolean; isEnding: boolean },
): Pick<JobPlan, "newlySucceeded" | "newlyFailed" | "release"> {
  const { job, pods, released } = state;
  const { succeeded = [], failed = [] } = job.status?.uncountedTerminatedPods ?? {};
  const knownSucceeded = new Set(succeeded);
  const knownFailed = new Set(failed);
  const newlySucceeded: string[] = [];
  const newlyFailed: string[] = [];
  const release: SeenPod[] = [];
  const kept = isEnding ? new Set<string>() : keptForCount(state);
  for (const pod of pods) {
    const uid = uidOf(pod);
    if (!isTracked(pod) || released.has(uid) || kept.has(uid)) continue;
    if (release.length >= burstMax) break;
    const isDone = pod.status?.phase === "Succeeded";
    const isLost = hasFailed(pod, job) || (isOver && !isDone && (isDeleting(pod) || pod.status?.phase === "Failed"));
    if (!isDone && !isLost && !isDeleting(job)) continue;
    release.push(pod);
    const isOurs = !isIndexed(job) || indexOf(pod, job) !== undefined;
    if (isDone) {
      if (!isIndexed(job) && !knownSucceeded.has(uid) && !knownFailed.has(uid)) newlySucceeded.push(uid);
    } else if (isLost && isOurs && !knownFailed.has(uid) && judgeFailure(pod, job).action !== "Ignore") {
      newlyFailed.push(uid);
    }
  }
  return { newlySucceeded, newlyFailed, release };
}

/** With a limit for each index the last failed pod of an index stays until its successor is there: it bears the count. */
function keptForCount({ job, pods }: JobState): Set<string> {
  const kept = new Set<string>();
  if (job.spec?.backoffLimitPerIndex === undefined) return kept;
  for (const pod of lastFailures({ job, pods }).values()) kept.add(uidOf(pod));
  return kept;
}

/** By index: the failed pod that will be replaced. */
function lastFailures({ job, pods }: Pick<JobState, "job" | "pods">): Map<number, SeenPod> {
  const last = new Map<number, SeenPod>();
  const isAnswered = new Map<number, number>();
  for (const pod of pods) {
    const index = indexOf(pod, job);
    if (index === undefined) continue;
    if (isPodActive(pod) || pod.status?.phase === "Succeeded") {
      isAnswered.set(index, Math.max(isAnswered.get(index) ?? 0, failuresOf(pod)));
    } else if (hasFailed(pod, job) && isTracked(pod) && !failsIndex(pod, job)) {
      const known = last.get(index);
      if (!known || failuresOf(pod) >= failuresOf(known)) last.set(index, pod);
    }
  }
  for (const index of isAnswered.keys()) last.delete(index);
  return last;
}

function manage(
  state: JobState,
  { active, tally }: Counted,
): { create: NewJobPod[]; remove: SeenPod[]; againMs?: number } {
  const { job, pods, now } = state;
  const { parallelism = 1, completions } = job.spec ?? {};
  if (isSuspended(job)) return { create: [], remove: [...active] };
  const remaining =
    completions === undefined ? undefined : completions - tally.succeeded - (tally.failedIndexes?.size ?? 0);
  const wanted =
    remaining === undefined
      ? tally.succeeded > 0
        ? active.length
        : parallelism
      : Math.max(0, Math.min(parallelism, remaining));
  const surplus = surplusPods(state, { active, tally }, Math.max(0, active.length - wanted));
  if (surplus.length > 0) return { create: [], remove: surplus.slice(0, burstMax) };
  const going = replacesOnlyFailed(job) ? pods.filter(isPodTerminating).length : 0;
  const lacking = Math.min(burstMax, wanted - active.length - going);
  if (lacking <= 0) return { create: [], remove: [] };
  if (!isIndexed(job)) {
    const waitMs = backoffLeftMs(
      pods.filter((pod) => hasFailed(pod, job)),
      state,
    );
    if (waitMs > 0) return { create: [], remove: [], againMs: waitMs };
    return { create: Array.from({ length: lacking }, () => ({})), remove: [] };
  }
  return pickIndexes(state, { active, tally, lacking, now });
}

interface IndexChoice extends Counted {
  readonly lacking: number;
  readonly now: number;
}

function pickIndexes(
  state: JobState,
  { active, tally, lacking }: IndexChoice,
): { create: NewJobPod[]; remove: SeenPod[]; againMs?: number } {
  const { job, pods } = state;
  const perIndex = job.spec?.backoffLimitPerIndex !== undefined;
  const busy = replacesOnlyFailed(job) ? [...active, ...pods.filter(isPodTerminating)] : active;
  const indexes = (some: readonly SeenPod[]) =>
    some.map((pod) => indexOf(pod, job)).filter((index) => index !== undefined);
  const isTaken = (tally.completed ?? new Indexes()).with(indexes(busy));
  const missing = isTaken
    .missing(job.spec?.completions ?? 0, job.spec?.completions ?? 0)
    .filter((index) => !tally.failedIndexes?.has(index));
  const create: NewJobPod[] = [];
  let againMs: number | undefined;
  const waitFor = (ms: number) => {
    againMs = Math.min(againMs ?? ms, ms);
  };
  if (!perIndex) {
    const waitMs = backoffLeftMs(
      pods.filter((pod) => hasFailed(pod, job)),
      state,
    );
    if (waitMs > 0) return { create: [], remove: [], againMs: waitMs };
    return { create: missing.slice(0, lacking).map((index) => ({ index })), remove: [] };
  }
  const failed = lastFailures(state);
  for (const index of missing) {
    if (create.length >= lacking) break;
    const replaces = failed.get(index);
    const waitMs = replaces ? delayAfter(replaces, failuresOf(replaces) + 1, state.now) : 0;
    if (waitMs > 0) waitFor(waitMs);
    else create.push({ index, ...(replaces ? { replaces } : {}) });
  }
  return { create, remove: [], ...(againMs === undefined ? {} : { againMs }) };
}

/** Pods of an index that another pod has too, or that is none, go first. */
function surplusPods(state: JobState, { active }: Counted, atLeast: number): SeenPod[] {
  const { job, now } = state;
  const surplus: SeenPod[] = [];
  let left = [...active];
  if (isIndexed(job)) {
    const byIndex = new Map<number, SeenPod[]>();
    for (const pod of active) {
      const index = indexOf(pod, job);
      if (index === undefined) surplus.push(pod);
      else byIndex.set(index, [...(byIndex.get(index) ?? []), pod]);
    }
    for (const same of byIndex.values()) surplus.push(...rankForDeletion(same, { related: [], now }).slice(0, -1));
    left = active.filter((pod) => !surplus.includes(pod));
  }
  if (surplus.length < atLeast) {
    surplus.push(...rankForDeletion(left, { related: [], now }).slice(0, atLeast - surplus.length));
  }
  return surplus;
}

/** Uids whose pods have no finalizer any more become part of the count. */
export function countReleased(status: JobStatus, hasFinalizer: (uid: string) => boolean): JobStatus {
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {};
  const left = { succeeded: succeeded.filter(hasFinalizer), failed: failed.filter(hasFinalizer) };
  return {
    ...status,
    succeeded: (status.succeeded ?? 0) + succeeded.length - left.succeeded.length,
    failed: (status.failed ?? 0) + failed.length - left.failed.length,
    uncountedTerminatedPods: {
      ...(left.succeeded.length > 0 ? { succeeded: left.succeeded } : {}),
      ...(left.failed.length > 0 ? { failed: left.failed } : {}),
    },
  };
}
