import assert from "node:assert/strict";
import { test } from "node:test";
import type { Job, JobStatus, Pod } from "#api";
import { ago, type PodShape, testNow, testPod } from "../lib/fixture.ts";
import { Indexes } from "./indexes.ts";
import { jobPod, trackingFinalizer } from "./pods.ts";
import { type JobPlan, type JobState, planJob } from "./reconcile.ts";
import { statusAfter, statusBefore } from "./status.ts";

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
}

function pod(name: string, { index, exitCode, ended, free, failures, ...shape }: JobPodShape = {}): Pod {
  const made = testPod({ name, ...shape });
  return {
    ...made,
    metadata: {
      ...made.metadata,
      finalizers: free ? [] : [trackingFinalizer],
      annotations: {
        ...(index === undefined ? {} : { "batch.kubernetes.io/job-completion-index": String(index) }),
        ...(failures === undefined ? {} : { "batch.kubernetes.io/job-index-failure-count": String(failures) }),
      },
    },
    status: {
      ...made.status,
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
  now: testNow,
  ...change,
});
const done = (name: string, change: JobPodShape = {}) => pod(name, { phase: "Succeeded", ...change });
const failed = (name: string, change: JobPodShape = {}) => pod(name, { phase: "Failed", ended: 1000, ...change });
const names = (pods: readonly { metadata: { name?: string | undefined } }[]) =>
  pods.map(({ metadata }) => metadata.name);
const summary = (plan: JobPlan) => ({
  create: plan.create.length,
  remove: names(plan.remove),
  outcome: plan.outcome?.reason,
});

const nothing = { create: 0, remove: [] as string[], outcome: undefined };
for (const [why, of, expected] of [
  ["as many as may run", state(job(), []), { ...nothing, create: 2 }],
  ["no more than remain", state(job(), [done("1"), done("2")]), { ...nothing, create: 1 }],
  ["counted ones count", state(job({}, { succeeded: 2, startTime: ago(9) }), [pod("3")]), nothing],
  ["waits for its own last writes", state(job(), [], { mayAct: false }), nothing],
  ["too many", state(job({ parallelism: 1 }), [pod("1"), pod("2", { readySince: 5 })]), { ...nothing, remove: ["1"] }],
  ["suspended", state(job({ suspend: true }), [pod("1")]), { ...nothing, remove: ["1"] }],
  ["done", state(job({ completions: 1 }), [done("1")]), { ...nothing, outcome: "CompletionsReached" }],
  [
    "work queue: any success",
    state({ ...job(), spec: { ...job().spec, completions: undefined } as unknown as NonNullable<Job["spec"]> }, [
      done("1"),
      pod("2"),
    ]),
    nothing,
  ],
  [
    "failed too often",
    state(job(), [failed("1"), failed("2"), failed("3")]),
    { ...nothing, outcome: "BackoffLimitExceeded" },
  ],
  ["not yet", state(job(), [failed("1"), failed("2")]), { ...nothing, create: 2 }],
  ["too long", state(job({ activeDeadlineSeconds: 60 }), [pod("1")]), { ...nothing, outcome: "DeadlineExceeded" }],
  ["waits after a failure", state(job(), [failed("1", { ended: 4 })]), nothing],
] satisfies [string, JobState, unknown][])
  test(`job: ${why}`, () => assert.deepEqual(summary(planJob(of)), expected));

test("job: looks again when the wait after a failure is over, longer after each", () => {
  assert.equal(planJob(state(job(), [failed("1", { ended: 4 })])).againMs, 6000);
  assert.equal(planJob(state(job(), [failed("1", { ended: 30 }), failed("2", { ended: 4 })])).againMs, 16_000);
});

test("job: counting: written down, freed, counted, and only then over", () => {
  const of = job({ completions: 1 });
  const plan = planJob(state(of, [done("1")]));
  assert.deepEqual([plan.newlySucceeded, names(plan.release)], [["uid-1"], ["1"]]);
  const progress = { job: of, plan, created: 0, removed: 0, stopped: 0, now: testNow };
  const before = statusBefore(progress).status;
  assert.deepEqual(before.uncountedTerminatedPods, { succeeded: ["uid-1"] });
  assert.deepEqual(
    before.conditions?.map(({ type }) => type),
    ["SuccessCriteriaMet"],
  );
  const stuck = statusAfter(before, { plan, hasFinalizer: () => true, tracked: 1, completions: 1, now: testNow });
  assert.equal(stuck.status.completionTime, undefined);
  const after = statusAfter(before, { plan, hasFinalizer: () => false, tracked: 0, completions: 1, now: testNow });
  assert.deepEqual(
    after.status.conditions?.map(({ type, reason, message }) => `${type} ${reason} ${message}`),
    [
      "SuccessCriteriaMet CompletionsReached Reached expected number of succeeded pods",
      "Complete CompletionsReached Reached expected number of succeeded pods",
    ],
  );
  assert.deepEqual([after.status.succeeded, after.status.completionTime], [1, ago(0)]);
  assert.deepEqual(after.events, [{ type: "Normal", reason: "Completed", message: "Job completed" }]);
});

test("job: nothing is counted twice while the cache lags", () => {
  const lagging = planJob(
    state(job({}, { succeeded: 1, startTime: ago(9) }), [done("1")], { released: new Set(["uid-1"]) }),
  );
  assert.deepEqual([lagging.newlySucceeded, lagging.create.length], [[], 2]);
  const written = { uncountedTerminatedPods: { succeeded: ["uid-1"] }, startTime: ago(9) };
  const again = planJob(state(job({}, written), [done("1")]));
  assert.deepEqual([again.newlySucceeded, names(again.release), again.create.length], [[], ["1"], 2]);
});

test("job: a failed Job stops its pods, counts them, and is over when they are gone", () => {
  const of = job({ backoffLimit: 0 });
  const plan = planJob(state(of, [failed("1"), pod("2")]));
  assert.deepEqual([plan.outcome?.type, names(plan.stop)], ["FailureTarget", ["2"]]);
  const status = statusBefore({ job: of, plan, created: 0, removed: 0, stopped: 1, now: testNow }).status;
  const next = { ...of, status: { ...status, failed: 1, uncountedTerminatedPods: {} } };
  const going = planJob(state(next, [pod("2", { deleting: true })]));
  assert.deepEqual([going.outcome?.type, going.newlyFailed], ["Failed", ["uid-2"]]);
  const over = planJob(state({ ...next, status: { ...next.status, failed: 2, terminating: 0 } }, []));
  const last = statusBefore({ job: next, plan: over, created: 0, removed: 0, stopped: 0, now: testNow }).status;
  const { status: ended, events } = statusAfter(last, {
    plan: over,
    hasFinalizer: () => false,
    tracked: 0,
    completions: 3,
    now: testNow,
  });
  assert.deepEqual(
    ended.conditions?.map(({ type }) => type),
    ["FailureTarget", "Failed"],
  );
  assert.deepEqual(events, [
    { type: "Warning", reason: "BackoffLimitExceeded", message: "Job has reached the specified backoff limit" },
  ]);
});

const indexed = (change: Partial<Job["spec"]> & object = {}, status: JobStatus = { startTime: ago(60) }) =>
  job({ completionMode: "Indexed", completions: 5, parallelism: 3, ...change }, status);
const indexesOf = (plan: JobPlan) => plan.create.map(({ index }) => index);

test("job, indexed: the lowest missing indexes; each once", () => {
  assert.deepEqual(indexesOf(planJob(state(indexed(), []))), [0, 1, 2]);
  const some = planJob(
    state(indexed({}, { completedIndexes: "0,2", startTime: ago(9) }), [
      pod("a", { index: 1 }),
      done("b", { index: 3 }),
    ]),
  );
  assert.deepEqual([indexesOf(some), some.completedIndexes?.toString()], [[4], "0,2,3"]);
  const twice = planJob(
    state(indexed(), [pod("a", { index: 1 }), pod("b", { index: 1, readySince: 5 }), pod("c", { index: 9 })]),
  );
  assert.deepEqual(names(twice.remove), ["c", "a"]);
});

test("job, indexed: a pod knows its index", () => {
  const made = jobPod(indexed(), { index: 4 });
  assert.equal(made.metadata.generateName, "j-4-");
  assert.equal(made.spec?.hostname, "j-4");
  assert.equal(made.metadata.labels?.["batch.kubernetes.io/job-completion-index"], "4");
  assert.deepEqual(made.metadata.finalizers, [trackingFinalizer]);
  assert.deepEqual(made.spec?.containers[0]?.env, [
    {
      name: "JOB_COMPLETION_INDEX",
      valueFrom: { fieldRef: { fieldPath: "metadata.labels['batch.kubernetes.io/job-completion-index']" } },
    },
  ]);
});

test("job, limit for each index: tried again, then failed; others go on", () => {
  const of = indexed({ backoffLimitPerIndex: 1, backoffLimit: 2 ** 31 - 1, completions: 2, parallelism: 2 });
  const first = planJob(state(of, [failed("a", { index: 0, failures: 0 })]));
  assert.deepEqual(indexesOf(first), [0, 1]);
  assert.deepEqual(names(first.release), [], "the failed pod bears the count until its successor is there");
  const retry = jobPod(of, first.create[0]);
  assert.equal(retry.metadata.annotations?.["batch.kubernetes.io/job-index-failure-count"], "1");
  const second = planJob(state(of, [failed("a", { index: 0, failures: 1 }), pod("b", { index: 1, failures: 0 })]));
  assert.deepEqual([second.failedIndexes?.toString(), indexesOf(second), second.outcome], ["0", [], undefined]);
  const last = planJob(state(of, [failed("a", { index: 0, failures: 1 }), done("b", { index: 1, failures: 0 })]));
  assert.equal(last.outcome?.reason, "FailedIndexes");
});

test("job, failure policy: rules decide what a failure means", () => {
  const policy = (action: string) => ({
    podFailurePolicy: { rules: [{ action, onExitCodes: { operator: "In", values: [42] } }] },
  });
  const fatal = planJob(state(job(policy("FailJob")), [failed("1", { exitCode: 42 })]));
  assert.deepEqual(fatal.outcome, {
    type: "FailureTarget",
    reason: "PodFailurePolicy",
    message: "Container c for pod default/1 failed with exit code 42 matching FailJob rule at index 0",
  });
  const ignored = planJob(state(job({ ...policy("Ignore"), backoffLimit: 0 }), [failed("1", { exitCode: 42 })]));
  assert.deepEqual([ignored.outcome, ignored.newlyFailed, names(ignored.release)], [undefined, [], ["1"]]);
  const other = planJob(state(job({ ...policy("Ignore"), backoffLimit: 0 }), [failed("1", { exitCode: 1 })]));
  assert.equal(other.outcome?.reason, "BackoffLimitExceeded");
});

test("job, success policy: enough is enough", () => {
  const of = indexed({ successPolicy: { rules: [{ succeededIndexes: "0-1", succeededCount: 1 }] } });
  const plan = planJob(state(of, [done("a", { index: 1 }), pod("b", { index: 2 })]));
  assert.deepEqual([plan.outcome?.message, names(plan.stop)], ["Matched rules at index 0", ["b"]]);
});

for (const [indexes, text] of [
  [[], ""],
  [[3], "3"],
  [[1, 2], "1,2"],
  [[7, 1, 3, 2, 5], "1-3,5,7"],
] as const)
  test(`indexes: ${text || "none"}`, () => {
    assert.equal(new Indexes(indexes).toString(), text);
    assert.equal(Indexes.parse(text, 100).toString(), text);
  });

test("indexes: beyond the completions are none", () => {
  assert.equal(Indexes.parse("1-9,x,12", 5).toString(), "1-4");
});
