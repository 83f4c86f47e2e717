import assert from "node:assert/strict";
import { test } from "node:test";
import type { CronJob, CronJobStatus, Job } from "#api";
import { ago, testNow } from "../lib/fixture.ts";
import { followJobs, newJob, planRun, surplusJobs } from "./reconcile.ts";
import { parseSchedule } from "./schedule.ts";

// It is midnight.
const hourly = { schedule: parseSchedule("0 * * * *", "UTC"), now: testNow + 60_000 };

function cronJob(change: Partial<CronJob["spec"]> & object = {}, created = 5400): CronJob {
  const template = { spec: { containers: [] } };
  return {
    metadata: { name: "c", namespace: "default", uid: "uid-c", creationTimestamp: ago(created) },
    spec: { schedule: "0 * * * *", jobTemplate: { metadata: { labels: { a: "b" } }, spec: { template } }, ...change },
  };
}

const active = (name: string) => ({ kind: "Job", name, uid: `uid-${name}`, namespace: "default" });
const job = (name: string, outcome?: string, started = 100): Job => ({
  metadata: { name, namespace: "default", uid: `uid-${name}` },
  status: {
    startTime: ago(started),
    ...(outcome ? { conditions: [{ type: outcome, status: "True" }] } : {}),
    ...(outcome === "Complete" ? { completionTime: ago(started - 50) } : {}),
  },
});

const minute = testNow / 60_000;
for (const [why, of, status, expected] of [
  ["its time has come", cronJob(), {}, { start: testNow, events: [] }],
  ["not yet", cronJob({}, 0), {}, { start: undefined, events: [] }],
  ["started already", cronJob(), { lastScheduleTime: ago(0) }, { start: undefined, events: [] }],
  ["started, not written down", cronJob(), { active: [active(`c-${minute}`)] }, { start: undefined, events: [] }],
  ["only the last of several", cronJob({}, 4 * 3600), {}, { start: testNow, events: [] }],
  ["too late", cronJob({ startingDeadlineSeconds: 30 }), {}, { start: undefined, events: [] }],
  ["just in time", cronJob({ startingDeadlineSeconds: 90 }), {}, { start: testNow, events: [] }],
  ["after a very long time", cronJob({}, 3600 * 200), {}, { start: testNow, events: ["TooManyMissedTimes"] }],
  ["beside another", cronJob(), { active: [active("other")] }, { start: testNow, events: [] }],
  [
    "not beside another",
    cronJob({ concurrencyPolicy: "Forbid" }),
    { active: [active("other")] },
    { start: undefined, events: ["JobAlreadyActive"] },
  ],
] satisfies [string, CronJob, CronJobStatus, unknown][])
  test(`cron job: ${why}`, () => {
    const plan = planRun(of, status, hourly);
    assert.deepEqual({ start: plan.startMs, events: plan.events.map(({ reason }) => reason) }, expected);
    assert.equal(plan.nextInMs, 3_540_100);
  });

test("cron job: replaces the other", () => {
  const plan = planRun(cronJob({ concurrencyPolicy: "Replace" }), { active: [active("other")] }, hourly);
  assert.deepEqual(
    plan.replace.map(({ name }) => name),
    ["other"],
  );
});

test("cron job: the Job is named after its minute", () => {
  const made = newJob(cronJob(), testNow);
  assert.deepEqual(made.metadata, {
    name: `c-${minute}`,
    namespace: "default",
    labels: { a: "b" },
    annotations: { "batch.kubernetes.io/cronjob-scheduled-timestamp": ago(0) },
    ownerReferences: [
      { apiVersion: "batch/v1", kind: "CronJob", name: "c", uid: "uid-c", controller: true, blockOwnerDeletion: true },
    ],
  });
});

test("cron job: follows its Jobs", () => {
  const of = { ...cronJob(), status: { active: ["done", "runs", "gone"].map(active) } };
  const result = followJobs(of, [job("done", "Complete"), job("runs"), job("stray"), job("old", "Failed")]);
  assert.deepEqual(
    result.status.active?.map(({ name }) => name),
    ["runs", "gone"],
  );
  assert.equal(result.status.lastSuccessfulTime, ago(50));
  assert.deepEqual(result.events, [
    { type: "Normal", reason: "SawCompletedJob", message: "Saw completed job: done, condition: Complete" },
  ]);
  assert.deepEqual(
    result.unexpected.map(({ metadata }) => metadata.name),
    ["stray"],
  );
  assert.deepEqual(
    result.missing.map(({ name }) => name),
    ["gone"],
  );
});

test("cron job: keeps as many finished Jobs as wanted", () => {
  const of = cronJob({ successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 0 });
  const jobs = [job("new", "Complete", 10), job("old", "Complete", 90), job("bad", "Failed"), job("runs")];
  assert.deepEqual(
    surplusJobs(of, jobs).map(({ metadata }) => metadata.name),
    ["old", "bad"],
  );
});
