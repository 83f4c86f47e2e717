import assert from "node:assert/strict";
import { test } from "node:test";
import { tryCreate, tryUpdate } from "../trial.ts";
import type { JobStatus } from "../types.d.ts";
import { jobKind } from "./job.ts";

const template = { spec: { containers: [{ name: "c", image: "a" }], restartPolicy: "Never" } };
const start = "2026-01-02T03:00:00Z";
const end = "2026-01-02T03:01:00Z";
const is = (...types: string[]) => types.map((type) => ({ type, status: "True" }));

function errorsOf(now: JobStatus, before: JobStatus = {}, spec: object = {}): string[] {
  const { object: old } = tryCreate(jobKind, { spec: { template, ...spec } });
  old.status = before;
  return tryUpdate(jobKind, old, {
    subresource: "status",
    change(job) {
      job.status = now;
    },
  }).errors.map((error) => error.replace("Invalid value: ", ""));
}

test("job status: a job succeeds", () => {
  const running = { startTime: start, active: 1, ready: 1 };
  const met = { startTime: start, succeeded: 1, conditions: is("SuccessCriteriaMet") };
  const done = { ...met, completionTime: end, conditions: is("SuccessCriteriaMet", "Complete") };
  assert.deepEqual(errorsOf(running), []);
  assert.deepEqual(errorsOf(met, running), []);
  assert.deepEqual(errorsOf(done, met), []);
});

test("job status: a job fails", () => {
  const target = { startTime: start, failed: 1, conditions: is("FailureTarget") };
  assert.deepEqual(errorsOf(target, { startTime: start }), []);
  assert.deepEqual(errorsOf({ ...target, conditions: is("FailureTarget", "Failed") }, target), []);
});

test("job status: what is refused", () => {
  const finished = { startTime: start, completionTime: end };
  const complete = is("SuccessCriteriaMet", "Complete");
  const cases: [JobStatus, JobStatus, string[]][] = [
    [
      { ...finished, conditions: is("Complete") },
      {},
      ["status.conditions: cannot set Complete=True condition without the SuccessCriteriaMet=true condition"],
    ],
    [
      { completionTime: end },
      {},
      [
        'status.completionTime: "2026-01-02T03:01:00Z": cannot set completionTime when there is no Complete=True condition',
      ],
    ],
    [
      { startTime: end, completionTime: start, conditions: complete },
      {},
      ['status.completionTime: "2026-01-02T03:00:00Z": completionTime cannot be set before startTime'],
    ],
    [
      { conditions: complete, active: 1, uncountedTerminatedPods: { failed: ["x"] } },
      {},
      [
        "status.completionTime: Required value: completionTime is required for Complete jobs",
        "status.active: 1: active>0 is invalid for finished job",
        "status.startTime: Required value: startTime is required for finished job",
        'status.uncountedTerminatedPods: {"failed":["x"]}: uncountedTerminatedPods needs to be empty for finished job',
      ],
    ],
    [
      { startTime: start, conditions: is("FailureTarget", "SuccessCriteriaMet") },
      {},
      ["status.conditions: cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"],
    ],
    [
      { startTime: start },
      { startTime: start, failed: 2, conditions: is("FailureTarget") },
      [
        "status.conditions: cannot disable the terminal FailureTarget=True condition",
        "status.failed: 0: cannot decrease the failed counter",
      ],
    ],
    [
      { uncountedTerminatedPods: { succeeded: ["a", ""], failed: ["a"] }, ready: 1 },
      {},
      [
        'status.uncountedTerminatedPods.succeeded[1]: "": must not be empty',
        'status.uncountedTerminatedPods.failed[0]: Duplicate value: "a"',
        "status.ready: 1: cannot set more ready pods than active",
      ],
    ],
    [{}, { startTime: start }, ["status.startTime: Required value: startTime cannot be removed for unsuspended job"]],
    [
      { completedIndexes: "0", failedIndexes: "1" },
      {},
      [
        'status.completedIndexes: "0": cannot set non-empty completedIndexes when non-indexed completion mode',
        'status.failedIndexes: "1": cannot set non-null failedIndexes when backoffLimitPerIndex is null',
      ].slice(0, 2),
    ],
  ];
  for (const [now, before, errors] of cases) {
    assert.deepEqual(errorsOf(now, before, { completions: 5 }), errors, JSON.stringify(now));
  }
});

test("job status: what was wrong before may stay", () => {
  const wrong = { conditions: is("Complete"), active: 1 };
  assert.deepEqual(errorsOf({ ...wrong, succeeded: 1 }, wrong), []);
});

test("job status: indexes of an indexed job", () => {
  const indexed = { completionMode: "Indexed", completions: 5, backoffLimitPerIndex: 1 };
  assert.deepEqual(errorsOf({ completedIndexes: "0-2", failedIndexes: "3" }, {}, indexed), []);
  assert.deepEqual(errorsOf({ completedIndexes: "0-2", failedIndexes: "2" }, {}, indexed), [
    'status.failedIndexes: "2": failedIndexes and completedIndexes overlap at index: 2',
  ]);
});
