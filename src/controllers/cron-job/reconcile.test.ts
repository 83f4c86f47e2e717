import assert from "node:assert/strict";
import { test } from "node:test";
import type { CronJob, CronJobStatus, Job } from "#api";
import { ago, testNow } from "../lib/fixture.ts";
import { followJobs, newJob, nextInMs, planRun, surplusJobs } from "./reconcile.ts";
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
  ["too late: not looked at any more", cronJob({ startingDeadlineSeconds: 30 }), {}, { start: undefined, events: [] }],
  [
    "only the last of fifty in the deadline",
    cronJob({ startingDeadlineSeconds: 180_000 }, 3600 * 200),
    {},
    { start: testNow, events: [] },
  ],
  ["a clock that was set back", cronJob({}, -7200), {}, { start: undefined, events: [] }],
  ["started in what is now the future", cronJob(), { lastScheduleTime: ago(-7200) }, { start: undefined, events: [] }],
  [
    "no such day",
    cronJob({ schedule: "59 23 31 2 *" }),
    {},
    { start: undefined, events: ["InvalidSchedule"], never: true },
  ],
  [
    "on weekdays only",
    cronJob({ schedule: "0 12 * * 1-5" }, 86_400 * 5),
    {},
    { start: testNow - 43_200_000, events: [] },
  ],
  [
    "every two hours, from its beginning on",
    cronJob({ schedule: "@every 2h" }, 86_400),
    {},
    { start: testNow, events: [] },
  ],
  [
    "every hour, from its last run on",
    cronJob({ schedule: "@every 1h" }),
    { lastScheduleTime: ago(3660) },
    { start: testNow - 60_000, events: [] },
  ],
  [
    "another schedule in the same minute",
    cronJob(),
    { active: [active(`c-${minute}`)], lastScheduleTime: ago(3600) },
    { start: undefined, events: [] },
  ],
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
    const schedule = parseSchedule(of.spec?.schedule ?? "", "UTC");
    const plan = planRun(of, status, { ...hourly, schedule });
    const never = plan.nextInMs === undefined ? { never: true } : {};
    assert.deepEqual({ start: plan.startMs, events: plan.events.map(({ reason }) => reason), ...never }, expected);
  });

for (const [why, schedule, created, last, expected] of [
  ["from its beginning", "0 * * * *", 0, undefined, 3_540_100],
  ["from its last run", "0 * * * *", 5400, 0, 3_540_100],
  ["something was missed: after that", "0 * * * *", 36_000, undefined, 3_540_100],
  ["a clock that was set back: after its last run", "0 * * * *", 5400, -7200, 3_540_100 + 7_200_000],
  ["every two hours", "@every 2h", 3600, undefined, 3_540_100],
] as const)
  test(`cron job: looks again: ${why}`, () => {
    const of = { ...cronJob({}, created), status: last === undefined ? {} : { lastScheduleTime: ago(last) } };
    assert.equal(nextInMs(of, { ...hourly, schedule: parseSchedule(schedule, "UTC") }), expected);
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

test("cron job: the Job is told its time in the zone of the schedule", () => {
  const { metadata } = newJob(cronJob({ timeZone: "America/New_York" }), testNow);
  assert.equal(Object.values(metadata.annotations ?? {})[0], "2025-12-31T19:00:00-05:00");
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
