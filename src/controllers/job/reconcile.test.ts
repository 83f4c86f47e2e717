import assert from "node:assert/strict";
import { test } from "node:test";
import type { Job, JobStatus, Pod } from "#api";
import { ago, type PodShape, testNow, testPod } from "../lib/fixture.ts";
import { backoffAfter, finishedMs, leftMs, noBackoff } from "./backoff.ts";
import { judgeFailure } from "./failure-policy.ts";
import { Indexes } from "./indexes.ts";
import { jobPod, trackingFinalizer } from "./pods.ts";
import { type JobState, planJob } from "./reconcile.ts";
import { type Done, countReleased, end, settle } from "./status.ts";

function job(change: Partial<Job["spec"]> & object = {}, status: JobStatus = { startTime: ago(60) }): Job {
  return {
    metadata: { name: "j", namespace: "default", uid: "uid-j" },
    spec: {
      parallelism: 2,
      completions: 3,
      backoffLimit: 2,
      completionMode: "NonIndexed",
      template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "c" }], restartPolicy: "Never" } },
      ...change,
    },
    status,
  };
}

interface JobPodShape extends Partial<PodShape> {
  index?: number;
  exitCode?: number;
  /** Seconds ago. */
  ended?: number;
  free?: boolean;
  failures?: number;
  ignored?: number;
  /** Types of conditions that are true. */
  has?: string;
}

function pod(name: string, { index, exitCode, ended, free, failures, ignored, has, ...shape }: JobPodShape = {}): Pod {
  const made = testPod({ name, ...shape });
  return {
    ...made,
    metadata: {
      ...made.metadata,
      finalizers: free ? [] : [trackingFinalizer],
      annotations: {
        ...(index === undefined ? {} : { "batch.kubernetes.io/job-completion-index": String(index) }),
        ...(failures === undefined ? {} : { "batch.kubernetes.io/job-index-failure-count": String(failures) }),
        ...(ignored === undefined ? {} : { "batch.kubernetes.io/job-index-ignored-failure-count": String(ignored) }),
      },
    },
    status: {
      ...made.status,
      ...(has ? { conditions: [...(made.status?.conditions ?? []), { type: has, status: "True" }] } : {}),
      ...(ended === undefined && exitCode === undefined
        ? {}
        : {
            containerStatuses: [
              {
                name: "c",
                image: "i",
                imageID: "",
                ready: false,
                restartCount: 0,
                state: { terminated: { exitCode: exitCode ?? 1, finishedAt: ago(ended ?? 1000) } },
              },
            ],
          }),
    },
  };
}

const state = (of: Job, pods: Pod[], change: Partial<JobState> = {}): JobState => ({
  job: of,
  pods,
  released: new Set(),
  mayAct: true,
  backoff: noBackoff,
  now: testNow,
  ...change,
});
const done = (name: string, change: JobPodShape = {}) => pod(name, { phase: "Succeeded", ended: 1000, ...change });
const failed = (name: string, change: JobPodShape = {}) => pod(name, { phase: "Failed", ended: 1000, ...change });
const names = (pods: readonly { metadata: { name?: string | undefined } }[]) =>
  pods.map(({ metadata }) => metadata.name);

/** One look at a Job, as if every write succeeded: the conditions, what was done and what is written at last. */
function look(of: JobState, change: Partial<Done> & { stuck?: string[] } = {}) {
  const plan = planJob(of);
  const gone = [...plan.stop, ...plan.remove];
  const done = { created: plan.create.length, deleted: gone.length, deletedReady: 0, ...change };
  const { status: before, events, release, outcome } = settle(of, plan, done);
  const bound = new Set(of.pods.map(({ metadata }) => metadata.uid ?? ""));
  for (const { metadata } of release)
    if (!change.stuck?.includes(metadata.name ?? "")) bound.delete(metadata.uid ?? "");
  const counted = countReleased(before, (uid) => bound.has(uid));
  const ended = outcome && end(counted, { outcome, completions: of.job.spec?.completions, now: testNow });
  return {
    plan,
    before,
    release: names(release),
    status: ended?.status ?? counted,
    events: [...events, ...(ended?.events ?? [])],
  };
}

/** What matters of a look, in a line: `create 2, free a b, active 2, Failed BackoffLimitExceeded`. Zeroes are left out. */
function line(of: JobState, change: Partial<Done> & { stuck?: string[] } = {}): string {
  const { plan, release, status } = look(of, change);
  const indexes = plan.create.map(({ index }) => index).filter((index) => index !== undefined);
  const {
    active,
    succeeded,
    failed: lost,
    terminating,
    completedIndexes,
    failedIndexes,
    uncountedTerminatedPods,
  } = status;
  const waiting = [...(uncountedTerminatedPods?.succeeded ?? []), ...(uncountedTerminatedPods?.failed ?? [])];
  const parts: [string, unknown][] = [
    ["create", indexes.length > 0 ? `#${indexes}` : plan.create.length],
    ["remove", names(plan.remove).join(" ")],
    ["stop", names(plan.stop).join(" ")],
    ["again", plan.againMs],
    ["free", release.join(" ")],
    ["active", active],
    ["going", terminating],
    ["succeeded", succeeded],
    ["failed", lost],
    ["uncounted", waiting.join(" ")],
    ["done", completedIndexes && `#${completedIndexes}`],
    ["lost", failedIndexes && `#${failedIndexes}`],
    ...(status.conditions ?? []).map((each): [string, unknown] => [
      `${each.type}${each.status === "True" ? "" : "=no"}`,
      each.reason,
    ]),
  ];
  return parts
    .filter(([, value]) => value)
    .map((part) => part.join(" "))
    .join(", ");
}

const since: JobStatus = { startTime: ago(60) };
const queue = (change: Partial<Job["spec"]> & object = {}, status?: JobStatus) => {
  const made = job(change, status);
  delete made.spec?.completions;
  return made;
};
const indexed = (change: Partial<Job["spec"]> & object = {}, status: JobStatus = since) =>
  job({ completionMode: "Indexed", completions: 5, parallelism: 3, ...change }, status);
const perIndex = (change: Partial<Job["spec"]> & object = {}, status: JobStatus = since) =>
  indexed({ backoffLimitPerIndex: 1, backoffLimit: 2 ** 31 - 1, completions: 2, parallelism: 2, ...change }, status);
const onExit = (action: string, values = [42], operator = "In") => ({
  podFailurePolicy: { rules: [{ action, onExitCodes: { operator, values } }] },
});
const deleted = (of: Job): Job => ({ ...of, metadata: { ...of.metadata, deletionTimestamp: ago(1) } });
const condition = (type: string, reason: string, status = "True") => ({ type, status, reason, message: "m" });
const onFailure = (backoffLimit: number) =>
  job({ backoffLimit, template: { spec: { containers: [{ name: "c" }], restartPolicy: "OnFailure" } } });
const complete = "SuccessCriteriaMet CompletionsReached, Complete CompletionsReached";
const failure = (reason: string) => `FailureTarget ${reason}, Failed ${reason}`;

for (const [why, of, expected] of [
  ["as many as may run", state(job(), []), "create 2, active 2"],
  ["no more than remain", state(job(), [done("1"), done("2")]), "create 1, free 1 2, active 1, succeeded 2"],
  ["those counted count", state(job({}, { succeeded: 2, ...since }), [pod("3")]), "active 1, succeeded 2"],
  ["waits for its own last writes", state(job(), [], { mayAct: false }), ""],
  ["counts while it waits", state(job(), [done("1")], { mayAct: false }), "free 1, succeeded 1"],
  [
    "too many: the one that isn't ready goes",
    state(job({ parallelism: 1 }), [pod("1"), pod("2", { readySince: 5 })]),
    "remove 1, active 1, going 1",
  ],
  [
    "too many: more than remain",
    state(job({}, { succeeded: 2, ...since }), [pod("1"), pod("2")]),
    "remove 1, active 1, going 1, succeeded 2",
  ],
  ["none in parallel", state(job({ parallelism: 0 }), [pod("1")]), "remove 1, going 1"],
  ["no completions wanted: over at once", state(job({ completions: 0 }), []), complete],
  [
    "more in parallel than 500: in bursts",
    state(job({ parallelism: 700, completions: 700 }), []),
    "create 500, active 500",
  ],
  [
    "pods that are going don't count as active",
    state(job(), [pod("1", { deleting: true }), pod("2")], { backoff: noBackoff }),
    "again 10000, free 1, active 1, going 1, failed 1",
  ],
  [
    "replaced only when failed: waits for what is going",
    state(job({ podReplacementPolicy: "Failed" }), [pod("1", { deleting: true }), pod("2")]),
    "active 1, going 1",
  ],
  [
    "replaced only when failed: and then not",
    state(job({ podReplacementPolicy: "Failed" }), [failed("1", { deleting: true }), pod("2")]),
    "create 1, free 1, active 2, failed 1",
  ],
  [
    "a failure policy replaces only what failed",
    state(job(onExit("Count")), [pod("1", { deleting: true }), pod("2")]),
    "active 1, going 1",
  ],
  ["suspended", state(job({ suspend: true }), [pod("1")]), "remove 1, going 1, Suspended JobSuspended"],
  [
    "suspended and done is done",
    state(job({ suspend: true, completions: 1 }), [done("1")]),
    `free 1, succeeded 1, ${complete}`,
  ],
  [
    "resumed",
    state(job({}, { conditions: [condition("Suspended", "JobSuspended")] }), []),
    "create 2, active 2, Suspended=no JobResumed",
  ],
  ["never suspended isn't resumed", state(job({}, {}), []), "create 2, active 2"],
  ["done", state(job({ completions: 1 }), [done("1")]), `free 1, succeeded 1, ${complete}`],
  [
    "done, and one too many runs",
    state(job({ completions: 1 }), [done("1"), pod("2")]),
    "remove 2, free 1 2, going 1, succeeded 1, SuccessCriteriaMet CompletionsReached",
  ],
  [
    "done, and one is going",
    state(job({ completions: 1, podReplacementPolicy: "Failed" }), [done("1"), pod("2", { deleting: true })]),
    "free 1 2, going 1, succeeded 1, SuccessCriteriaMet CompletionsReached",
  ],
  [
    "done was decided before",
    state(job({}, { conditions: [condition("SuccessCriteriaMet", "SuccessPolicy")], ...since }), [pod("1")]),
    "stop 1, free 1, going 1, SuccessCriteriaMet SuccessPolicy",
  ],
  [
    "failing was decided before",
    state(job({}, { conditions: [condition("FailureTarget", "DeadlineExceeded")], ...since }), []),
    failure("DeadlineExceeded"),
  ],
  [
    "failing: waits for what is going, which failed",
    state(job({}, { conditions: [condition("FailureTarget", "X")], ...since }), [pod("1", { deleting: true })]),
    "free 1, going 1, failed 1, FailureTarget X",
  ],
  ["work queue: as many as may run", state(queue(), []), "create 2, active 2"],
  ["work queue: after a success nothing new", state(queue(), [done("1"), pod("2")]), "free 1, active 1, succeeded 1"],
  [
    "work queue: after a success nothing goes",
    state(queue({ parallelism: 1 }), [done("1"), pod("2"), pod("3")]),
    "free 1, active 2, succeeded 1",
  ],
  [
    "work queue: over when nothing runs",
    state(queue(), [done("1"), failed("2")]),
    `free 1 2, succeeded 1, failed 1, ${complete}`,
  ],
  [
    "failed too often",
    state(job(), [failed("1"), failed("2"), failed("3")]),
    `free 1 2 3, failed 3, ${failure("BackoffLimitExceeded")}`,
  ],
  [
    "failed too often: what runs is stopped, and counts",
    state(job({ backoffLimit: 0 }), [failed("1"), pod("2")]),
    "stop 2, free 1 2, going 1, failed 2, FailureTarget BackoffLimitExceeded",
  ],
  [
    "failed: not before its own writes are seen",
    state(job({ backoffLimit: 0 }), [failed("1")], { mayAct: false }),
    "free 1, failed 1",
  ],
  ["not yet", state(job(), [failed("1"), failed("2")]), "create 2, free 1 2, active 2, failed 2"],
  ["waits after a failure", state(job(), [failed("1", { ended: 4 })]), "again 6000, free 1, failed 1"],
  [
    "waits longer after each",
    state(job(), [failed("1", { ended: 30 }), failed("2", { ended: 4 })]),
    "again 16000, free 1 2, failed 2",
  ],
  [
    "waits at least a second",
    state(job(), [failed("1", { ended: 9 })], { now: testNow + 500 }),
    "again 1000, free 1, failed 1",
  ],
  [
    "what runs meanwhile runs",
    state(job(), [failed("1", { ended: 4 }), pod("2", { readySince: 3 })]),
    "again 6000, free 1, active 1, failed 1",
  ],
  [
    "restarts count as failures",
    state(onFailure(3), [pod("1", { restarts: 2 }), pod("2", { restarts: 1 })]),
    "stop 1 2, free 1 2, going 2, failed 2, FailureTarget BackoffLimitExceeded",
  ],
  ["restarts: not yet", state(onFailure(4), [pod("1", { restarts: 2 }), pod("2", { restarts: 1 })]), "active 2"],
  ["restarts: none wanted, none seen", state(onFailure(0), [pod("1", { restarts: 0 }), pod("2")]), "active 2"],
  [
    "too long",
    state(job({ activeDeadlineSeconds: 60 }), [pod("1")]),
    "stop 1, free 1, going 1, failed 1, FailureTarget DeadlineExceeded",
  ],
  ["not too long yet", state(job({ activeDeadlineSeconds: 61 }), [pod("1"), pod("2")]), "again 1000, active 2"],
  ["a deadline of none", state(job({ activeDeadlineSeconds: 0 }, {}), []), failure("DeadlineExceeded")],
  [
    "no deadline while suspended",
    state(job({ activeDeadlineSeconds: 1, suspend: true }), []),
    "Suspended JobSuspended",
  ],
  [
    "a Job that is deleted frees all and makes none",
    state(deleted(job()), [done("1"), pod("2")]),
    "free 1 2, active 1, succeeded 1",
  ],
  [
    "nothing is counted twice while the cache is behind",
    state(job({}, { succeeded: 1, ...since }), [done("1")], { released: new Set(["uid-1"]) }),
    "create 2, active 2, succeeded 1",
  ],
  [
    "written down before: freed and counted once",
    state(job({}, { uncountedTerminatedPods: { succeeded: ["uid-1"] }, ...since }), [done("1")]),
    "create 2, free 1, active 2, succeeded 1",
  ],
  [
    "written down before, and gone since",
    state(job({}, { uncountedTerminatedPods: { succeeded: ["uid-1"], failed: ["uid-2"] }, ...since }), []),
    "create 2, active 2, succeeded 1, failed 1",
  ],
  [
    "written down as failed, though it shows a success",
    state(job({}, { uncountedTerminatedPods: { failed: ["uid-1"] }, ...since }), [done("1")]),
    "create 2, free 1, active 2, failed 1",
  ],
  ["indexed: the lowest that are missing", state(indexed(), []), "create #0,1,2, active 3"],
  [
    "indexed: each once",
    state(indexed({}, { completedIndexes: "0,2", succeeded: 2, ...since }), [
      pod("a", { index: 1 }),
      done("b", { index: 3 }),
    ]),
    "create #4, free b, active 2, succeeded 3, done #0,2,3",
  ],
  [
    "indexed: twice the same, and one that is none",
    state(indexed(), [pod("a", { index: 1 }), pod("b", { index: 1, readySince: 5 }), pod("c", { index: 9 }), pod("d")]),
    "remove c d a, active 1, going 3",
  ],
  [
    "indexed: a success without an index is none",
    state(indexed({ completions: 1 }), [done("a"), done("b", { index: 7 })]),
    "create #0, free a b, active 1",
  ],
  [
    "indexed: two successes of one index are one",
    state(indexed(), [done("a", { index: 0 }), done("b", { index: 0 })]),
    "create #1,2,3, free a b, active 3, succeeded 1, done #0",
  ],
  [
    "indexed: a failure without an index isn't counted",
    state(indexed(), [failed("a")]),
    "create #0,1,2, free a, active 3",
  ],
  [
    "indexed: fewer completions",
    state(indexed({ completions: 2, parallelism: 2 }, { completedIndexes: "0,3,4", succeeded: 3, ...since }), [
      pod("a", { index: 1 }),
      pod("b", { index: 2 }),
    ]),
    "remove b, active 1, going 1, succeeded 1, done #0",
  ],
  [
    "indexed: over",
    state(indexed({ completions: 2 }, { completedIndexes: "0", succeeded: 1, ...since }), [done("a", { index: 1 })]),
    `free a, succeeded 2, done #0,1, ${complete}`,
  ],
  [
    "indexed: what is going keeps its index when only failed ones are replaced",
    state(indexed({ podReplacementPolicy: "Failed" }), [pod("a", { index: 0, deleting: true })]),
    "create #1,2, active 2, going 1",
  ],
  [
    "per index: tried again, and the failed pod stays for its count",
    state(perIndex(), [failed("a", { index: 0, failures: 0 })]),
    "create #0,1, active 2",
  ],
  [
    "per index: waits for that one only",
    state(perIndex(), [failed("a", { index: 0, failures: 0, ended: 4 })]),
    "create #1, active 1",
  ],
  [
    "per index: all wait",
    state(perIndex(), [
      failed("a", { index: 0, failures: 0, ended: 4 }),
      failed("b", { index: 1, failures: 0, ended: 7 }),
    ]),
    "again 3000",
  ],
  [
    "per index: ignored tries make it wait longer",
    state(perIndex({ completions: 1 }), [failed("a", { index: 0, failures: 0, ignored: 1, ended: 4 })]),
    "again 16000",
  ],
  [
    "per index: freed when its successor is there",
    state(perIndex(), [
      failed("a", { index: 0, failures: 0 }),
      pod("b", { index: 0, failures: 1 }),
      pod("c", { index: 1 }),
    ]),
    "free a, active 2, failed 1",
  ],
  [
    "per index: of several failures the last stays",
    state(perIndex({ backoffLimitPerIndex: 2 }), [
      failed("a", { index: 0, failures: 0 }),
      failed("b", { index: 0, failures: 1, ended: 900 }),
    ]),
    "create #0,1, free a, active 2, failed 1",
  ],
  [
    "per index: failed for good, others go on",
    state(perIndex(), [failed("a", { index: 0, failures: 1 }), pod("b", { index: 1, failures: 0 })]),
    "free a, active 1, failed 1, lost #0",
  ],
  [
    "per index: all have ended, some failed",
    state(perIndex(), [failed("a", { index: 0, failures: 1 }), done("b", { index: 1, failures: 0 })]),
    `free a b, succeeded 1, failed 1, done #1, lost #0, ${failure("FailedIndexes")}`,
  ],
  [
    "per index: too many failed",
    state(perIndex({ maxFailedIndexes: 0 }), [failed("a", { index: 0, failures: 1 })]),
    `free a, failed 1, lost #0, ${failure("MaxFailedIndexesExceeded")}`,
  ],
  [
    "per index: as many failed as may",
    state(perIndex({ maxFailedIndexes: 1 }), [failed("a", { index: 0, failures: 1 })]),
    "create #1, free a, active 1, failed 1, lost #0",
  ],
  [
    "per index: a limit of none",
    state(perIndex({ backoffLimitPerIndex: 0 }), [failed("a", { index: 1, failures: 0 })]),
    "create #0, free a, active 1, failed 1, lost #1",
  ],
  [
    "per index: nonsense in the annotation is none",
    state(perIndex(), [failed("a", { index: 0, failures: -3 })]),
    "create #0,1, active 2",
  ],
  [
    "per index: a rule fails the index",
    state(perIndex({ backoffLimitPerIndex: 6, ...onExit("FailIndex") }), [
      failed("a", { index: 0, failures: 0, exitCode: 42 }),
    ]),
    "create #1, free a, active 1, failed 1, lost #0",
  ],
  [
    "per index: an ignored failure doesn't fail it",
    state(perIndex({ backoffLimitPerIndex: 0, ...onExit("Ignore") }), [
      failed("a", { index: 0, failures: 0, exitCode: 42 }),
    ]),
    "create #0,1, active 2",
  ],
  [
    "policy: fails the Job",
    state(job(onExit("FailJob")), [failed("1", { exitCode: 42 }), pod("2")]),
    "stop 2, free 1 2, going 1, failed 2, FailureTarget PodFailurePolicy",
  ],
  [
    "policy: another code",
    state(job({ ...onExit("FailJob"), backoffLimit: 0 }), [failed("1", { exitCode: 1 })]),
    `free 1, failed 1, ${failure("BackoffLimitExceeded")}`,
  ],
  [
    "policy: ignores",
    state(job({ ...onExit("Ignore"), backoffLimit: 0 }), [failed("1", { exitCode: 42 })]),
    "create 2, free 1, active 2",
  ],
  [
    "policy: counts",
    state(job({ ...onExit("Count"), backoffLimit: 0 }), [failed("1", { exitCode: 42 })]),
    `free 1, failed 1, ${failure("BackoffLimitExceeded")}`,
  ],
  [
    "policy: a pod that is only going has not failed",
    state(
      job({
        podFailurePolicy: {
          rules: [{ action: "FailJob", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] }],
        },
      }),
      [pod("1", { deleting: true, has: "DisruptionTarget" })],
    ),
    "create 1, active 1, going 1",
  ],
  [
    "success policy: enough is enough",
    state(indexed({ successPolicy: { rules: [{ succeededIndexes: "0-1", succeededCount: 1 }] } }), [
      done("a", { index: 1 }),
      pod("b", { index: 2 }),
    ]),
    "stop b, free a b, going 1, succeeded 1, done #1, SuccessCriteriaMet SuccessPolicy",
  ],
  [
    "success policy: not those",
    state(indexed({ successPolicy: { rules: [{ succeededIndexes: "0-1" }] } }), [done("a", { index: 1 })]),
    "create #0,2,3, free a, active 3, succeeded 1, done #1",
  ],
  [
    "success policy: any two",
    state(indexed({ successPolicy: { rules: [{ succeededCount: 2 }] } }), [
      done("a", { index: 1 }),
      done("b", { index: 4 }),
    ]),
    "free a b, succeeded 2, done #1,4, SuccessCriteriaMet SuccessPolicy, Complete SuccessPolicy",
  ],
  [
    "success policy: a failure decides first",
    state(indexed({ backoffLimit: 0, successPolicy: { rules: [{ succeededCount: 1 }] } }), [
      done("a", { index: 1 }),
      failed("b", { index: 0 }),
    ]),
    `free b a, succeeded 1, failed 1, done #1, ${failure("BackoffLimitExceeded")}`,
  ],
] satisfies [string, JobState, string][])
  test(`job: ${why}`, () => assert.equal(line(of), expected));

test("job: pods that couldn't be deleted keep it from being over", () => {
  const of = state(job({ backoffLimit: 0 }), [failed("1"), pod("2"), pod("3")]);
  assert.equal(line(of, { deleted: 1 }), "stop 2 3, free 1, active 1, going 1, failed 1");
});

test("job: a finalizer that can't be taken off keeps it from being counted, and the Job from being over", () => {
  const of = state(job({ completions: 1 }), [done("1")]);
  assert.equal(line(of, { stuck: ["1"] }), "free 1, uncounted uid-1, SuccessCriteriaMet CompletionsReached");
});

test("job: first what is to be counted is written, then it is freed and counted", () => {
  const { before, status, events } = look(state(job({ completions: 1 }), [done("1")]));
  assert.deepEqual([before.uncountedTerminatedPods, before.succeeded], [{ succeeded: ["uid-1"] }, undefined]);
  assert.deepEqual([status.uncountedTerminatedPods, status.succeeded, status.completionTime], [{}, 1, ago(0)]);
  assert.deepEqual([status.ready, status.terminating], [0, 0]);
  assert.deepEqual(
    status.conditions?.map(({ message }) => message),
    ["Reached expected number of succeeded pods", "Reached expected number of succeeded pods"],
  );
  assert.deepEqual(events, [{ type: "Normal", reason: "Completed", message: "Job completed" }]);
});

for (const [why, of, expected] of [
  [
    "too many succeeded",
    state(job({ completions: 1 }), [done("1"), done("2")]),
    [
      "TooManySucceededPods: Too many succeeded pods running after completion count reached",
      "Completed: Job completed",
    ],
  ],
  [
    "failed",
    state(job({ backoffLimit: 0 }), [failed("1")]),
    ["BackoffLimitExceeded: Job has reached the specified backoff limit"],
  ],
  [
    "too long",
    state(job({ activeDeadlineSeconds: 1 }), []),
    ["DeadlineExceeded: Job was active longer than specified deadline"],
  ],
  ["suspended", state(job({ suspend: true }), []), ["Suspended: Job suspended"]],
  ["resumed", state(job({}, { conditions: [condition("Suspended", "JobSuspended")] }), []), ["Resumed: Job resumed"]],
  [
    "rule",
    state(job(onExit("FailJob")), [failed("1", { exitCode: 42 })]),
    ["PodFailurePolicy: Container c for pod default/1 failed with exit code 42 matching FailJob rule at index 0"],
  ],
] satisfies [string, JobState, string[]][])
  test(`job: events: ${why}`, () =>
    assert.deepEqual(
      look(of).events.map(({ reason, message }) => `${reason}: ${message}`),
      expected,
    ));

test("job: startTime is when it could run: none while suspended, anew when resumed", () => {
  assert.equal(look(state(job({ suspend: true }, since), [])).status.startTime, undefined);
  const resumed = job({}, { ...since, conditions: [condition("Suspended", "JobSuspended")] });
  assert.equal(look(state(resumed, [])).status.startTime, ago(0));
  assert.equal(look(state(job({}, {}), [])).status.startTime, ago(0));
});

test("job: no more than 500 pods are counted at once, and it isn't over before all are", () => {
  const pods = Array.from({ length: 600 }, (_, at) => done(`${at}`));
  const { release, status } = look(state(job({ completions: 600 }), pods));
  assert.deepEqual([release.length, status.succeeded, status.completionTime], [500, 500, undefined]);
});

test("job, indexed: a pod knows its index, whatever host name the template has", () => {
  const template = { spec: { hostname: "h", containers: [{ name: "c" }], initContainers: [{ name: "i" }] } };
  const made = jobPod(indexed({ template }), { index: 4 });
  assert.equal(made.metadata.generateName, "j-4-");
  assert.equal(made.spec?.hostname, "j-4");
  assert.equal(made.metadata.labels?.["batch.kubernetes.io/job-completion-index"], "4");
  assert.deepEqual(made.metadata.finalizers, [trackingFinalizer]);
  for (const container of [...(made.spec?.containers ?? []), ...(made.spec?.initContainers ?? [])])
    assert.deepEqual(container.env, [
      {
        name: "JOB_COMPLETION_INDEX",
        valueFrom: { fieldRef: { fieldPath: "metadata.labels['batch.kubernetes.io/job-completion-index']" } },
      },
    ]);
});

test("job, limit for each index: the next try bears the count on", () => {
  const counts = (of: Job, replaces?: Pod) =>
    Object.entries(jobPod(of, { index: 0, ...(replaces ? { replaces } : {}) }).metadata.annotations ?? {})
      .filter(([key]) => key.includes("failure-count"))
      .map(([, value]) => value);
  assert.deepEqual(counts(perIndex()), ["0"]);
  assert.deepEqual(counts(perIndex(), failed("a", { index: 0, failures: 1, ignored: 2 })), ["2", "2"]);
  assert.deepEqual(counts(perIndex(onExit("Ignore")), failed("a", { failures: 1, exitCode: 42 })), ["1", "1"]);
});

for (const [why, of, change, expected] of [
  ["nothing new", { failures: 2, lastFailureMs: 5 }, {}, [2, 5]],
  ["one more", { failures: 2, lastFailureMs: 5 }, { failed: [failed("1", { ended: 3 })] }, [3, testNow - 3000]],
  ["a success", { failures: 2, lastFailureMs: 5 }, { succeeded: [done("1", { ended: 3 })] }, [0, 0]],
  [
    "failures after a success",
    noBackoff,
    {
      succeeded: [done("1", { ended: 5 })],
      failed: [failed("2", { ended: 9 }), failed("3", { ended: 4 }), failed("4", { ended: 2 })],
    },
    [2, testNow - 2000],
  ],
  [
    "failures before a success",
    { failures: 1, lastFailureMs: 5 },
    { succeeded: [done("1", { ended: 1 })], failed: [failed("2", { ended: 9 })] },
    [0, 0],
  ],
] as const)
  test(`job, back-off: ${why}`, () => {
    const after = backoffAfter(of, { succeeded: [], failed: [], ...change });
    assert.deepEqual([after.failures, after.lastFailureMs], expected);
  });

for (const [failures, secondsAgo, expected] of [
  [0, 0, 0],
  [1, 4, 6],
  [1, 11, 0],
  [2, 0, 20],
  [3, 0, 40],
  [6, 0, 320],
  [7, 0, 600],
  [2000, 0, 600],
] as const)
  test(`job, back-off: ${failures} failures, ${secondsAgo} s ago`, () =>
    assert.equal(leftMs({ failures, lastFailureMs: testNow - secondsAgo * 1000 }, testNow), expected * 1000));

const ready = (status: string, seconds: number) => [{ type: "Ready", status, lastTransitionTime: ago(seconds) }];
for (const [why, of, expected] of [
  ["its last container", failed("1", { ended: 7 }), 7],
  ["not ready since", { ...pod("1"), status: { conditions: ready("False", 4) } }, 4],
  ["ready says nothing", { ...pod("1", { created: 50 }), status: { conditions: ready("True", 4) } }, 50],
  [
    "told to go, less the grace",
    { ...pod("1"), metadata: { deletionTimestamp: ago(1), deletionGracePeriodSeconds: 30 } },
    31,
  ],
  ["made", pod("1", { created: 20 }), 20],
] satisfies [string, Pod, number][])
  test(`job: when a pod ended: ${why}`, () => assert.equal(finishedMs(of), testNow - expected * 1000));

const rule = (action: string, change: object) => ({ action, ...change });
const conditions = (...types: string[]) => ({ onPodConditions: types.map((type) => ({ type, status: "True" })) });
const codes = (operator: string, values: number[], containerName?: string) => ({
  onExitCodes: { operator, values, ...(containerName ? { containerName } : {}) },
});
for (const [why, rules, of, action] of [
  [
    "the first that fits",
    [rule("Ignore", codes("In", [2])), rule("FailJob", codes("In", [1, 3])), rule("Ignore", codes("In", [3]))],
    failed("1", { exitCode: 3 }),
    "FailJob",
  ],
  ["not in", [rule("FailJob", codes("NotIn", [1, 2]))], failed("1", { exitCode: 3 }), "FailJob"],
  ["zero never fits", [rule("FailJob", codes("NotIn", [1, 2]))], failed("1", { exitCode: 0 }), "Count"],
  ["another container", [rule("FailJob", codes("In", [3], "other"))], failed("1", { exitCode: 3 }), "Count"],
  ["that container", [rule("FailIndex", codes("In", [3], "c"))], failed("1", { exitCode: 3 }), "FailIndex"],
  ["an unknown operator", [rule("FailJob", codes("Unknown", [3]))], failed("1", { exitCode: 3 }), "Count"],
  [
    "an unknown action",
    [rule("Unknown", codes("In", [3])), rule("Ignore", codes("In", [3]))],
    failed("1", { exitCode: 3 }),
    "Ignore",
  ],
  [
    "a condition",
    [rule("Ignore", conditions("ConfigIssue", "DisruptionTarget"))],
    failed("1", { has: "DisruptionTarget" }),
    "Ignore",
  ],
  ["no such condition", [rule("Ignore", conditions("ConfigIssue"))], failed("1", { has: "DisruptionTarget" }), "Count"],
  ["no rule", [], failed("1"), "Count"],
] as const)
  test(`job, failure policy: ${why}`, () =>
    assert.equal(judgeFailure(of, job({ podFailurePolicy: { rules } } as never)).action, action));

test("job, failure policy: the condition is named", () =>
  assert.equal(
    judgeFailure(
      failed("1", { has: "DisruptionTarget" }),
      job({ podFailurePolicy: { rules: [rule("FailJob", conditions("DisruptionTarget"))] } }),
    ).message,
    "Pod default/1 has condition DisruptionTarget matching FailJob rule at index 0",
  ));

for (const [indexes, text] of [
  [[], ""],
  [[3], "3"],
  [[1, 2], "1,2"],
  [[7, 1, 3, 2, 5], "1-3,5,7"],
] as const)
  test(`indexes: ${text || "none"}`, () => {
    assert.equal(Indexes.of(indexes).toString(), text);
    assert.equal(Indexes.parse(text, 100).toString(), text);
    assert.equal(Indexes.parse(text, 100).size, indexes.length);
    for (let index = 0; index < 9; index++)
      assert.equal(Indexes.of(indexes).has(index), (indexes as readonly number[]).includes(index), `${index}`);
  });

test("indexes: sets of ranges behave as sets of numbers", () => {
  const seed = 7;
  let random = seed;
  const next = (bound: number) => {
    random = (random * 48_271) % 2_147_483_647;
    return random % bound;
  };
  for (let round = 0; round < 200; round++) {
    const [a, b] = [0, 1].map(() => new Set(Array.from({ length: next(12) }, () => next(20)))) as [
      Set<number>,
      Set<number>,
    ];
    const why = `seed ${seed}, round ${round}: ${[...a]} and ${[...b]}`;
    assert.deepEqual(
      Indexes.of(a).with(Indexes.of(b)).missing(20, 5),
      [...Array(20).keys()].filter((n) => !a.has(n) && !b.has(n)).slice(0, 5),
      why,
    );
    assert.equal(Indexes.of(a).overlap(Indexes.of(b)), a.intersection(b).size, why);
    assert.equal(Indexes.parse(Indexes.of(a).toString(), 10).size, [...a].filter((n) => n < 10).length, why);
  }
});

for (const [text, completions, expected] of [
  ["1-9,x,12", 5, "1-4"],
  ["0-2,a-3,5-x,7", 10, "0-2,7"],
  ["5", 5, ""],
  ["4", 5, "4"],
  ["-1", 5, ""],
] as const)
  test(`indexes: "${text}" of ${completions}`, () =>
    assert.equal(Indexes.parse(text, completions).toString(), expected));
