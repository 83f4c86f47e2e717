/** The cron job controller on a tiny server with a driven clock, which jumps. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CronJob, Job } from "#api";
import { FakeTransport } from "#testing";
import { ago, runController, testNow } from "../lib/fixture.ts";
import { cronJobController } from "./controller.ts";

const jobs = "/apis/batch/v1/namespaces/default/jobs";
const cronJobs = "/apis/batch/v1/namespaces/default/cronjobs";
const minuteMs = 60_000;

function setUp(spec: Partial<CronJob["spec"]> & object = {}, created = 30) {
  const transport = new FakeTransport();
  transport.create(cronJobs, {
    apiVersion: "batch/v1",
    kind: "CronJob",
    metadata: { name: "c", creationTimestamp: ago(created) },
    spec: { schedule: "* * * * *", timeZone: "UTC", jobTemplate: { spec: { template: {} } }, ...spec },
  } as CronJob);
  const all = () => [...transport.objects].filter(([path]) => path.startsWith(jobs)).map(([, job]) => job as Job);
  const names = () => all().map(({ metadata }) => Number(metadata.name?.slice(2)) - testNow / minuteMs);
  const cronJob = () => transport.objects.get(`${cronJobs}/c`) as CronJob;
  const turns = async () => {
    for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  return { transport, all, names, cronJob, turns };
}

test("cron job: a Job for each minute, named after it", async () => {
  const { transport, names, cronJob } = setUp();
  const running = runController(cronJobController, transport);
  await running.until(() => names().length === 1);
  running.clock.advance(minuteMs + 100);
  await running.until(() => cronJob().status?.active?.length === 2);
  assert.deepEqual(names(), [0, 1]);
  assert.equal(cronJob().status?.lastScheduleTime, ago(-60));
  await running.stop();
});

test("cron job: a clock that jumps ahead starts the last one only, and says that many were missed", async () => {
  const { transport, names, cronJob } = setUp();
  const running = runController(cronJobController, transport);
  await running.until(() => cronJob().status?.active?.length === 1);
  running.clock.advance(300 * minuteMs);
  await running.until(() => cronJob().status?.active?.length === 2);
  assert.deepEqual(names(), [0, 300]);
  assert.deepEqual(
    running.events.filter(({ type }) => type === "Warning").map(({ message }) => message),
    ["too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"],
  );
  await running.stop();
});

test("cron job: a clock that is set back starts nothing until the time of the last run has passed", async () => {
  const { transport, names, cronJob, turns } = setUp({}, 30);
  const first = runController(cronJobController, transport);
  first.clock.advance(10 * minuteMs);
  await first.until(() => cronJob().status?.active?.length === 1);
  await first.stop();
  assert.deepEqual(names(), [10]);
  // The next process has a clock that is ten minutes behind.
  const second = runController(cronJobController, transport);
  await turns();
  second.clock.advance(5 * minuteMs);
  await turns();
  assert.deepEqual(names(), [10]);
  second.clock.advance(6 * minuteMs + 100);
  await second.until(() => names().length === 2);
  assert.deepEqual(names(), [10, 11]);
  await second.stop();
});

test("cron job: ended after making a Job, before writing it down, and started again: it is taken for its own", async () => {
  const { transport, all, cronJob } = setUp({ concurrencyPolicy: "Forbid" });
  transport.intercept = ({ method }) => {
    if (method === "PUT") throw new Error("the process is dead");
    return undefined;
  };
  const first = runController(cronJobController, transport);
  await first.until(() => all().length === 1);
  await first.stop();
  transport.intercept = undefined;
  const second = runController(cronJobController, transport);
  await second.until(() => cronJob().status?.active?.length === 1);
  assert.equal(all().length, 1);
  await second.stop();
});

for (const [why, spec, expected] of [
  [
    "a time zone that doesn't exist",
    { timeZone: "Mars/Olympus" },
    'UnknownTimeZone: invalid timeZone: "Mars/Olympus": unknown time zone Mars/Olympus',
  ],
  [
    "a schedule that can't be read",
    { schedule: "x * * * *" },
    'UnparseableSchedule: unparseable schedule: "x * * * *" : failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax',
  ],
  [
    "a day that never comes",
    { schedule: "0 0 31 2 *" },
    "InvalidSchedule: invalid schedule: 0 0 31 2 * : time difference between two schedules is less than 1 second",
  ],
] as const)
  test(`cron job: ${why} starts nothing`, async () => {
    const { transport, all } = setUp(spec);
    const running = runController(cronJobController, transport);
    await running.until(() => running.events.length === 1);
    assert.equal(`${running.events[0]?.reason}: ${running.events[0]?.message}`, expected);
    running.clock.advance(10 * minuteMs);
    assert.deepEqual(all(), []);
    await running.stop();
  });

test("cron job: a zone in the schedule is followed, and warned of", async () => {
  const { transport, names, cronJob } = setUp({ schedule: "TZ=Asia/Tokyo 0 9 * * *", timeZone: "Europe/Berlin" });
  const running = runController(cronJobController, transport);
  await running.until(() => cronJob().status?.active?.length === 1);
  assert.deepEqual(names(), [0]);
  assert.ok(running.events.some(({ reason }) => reason === "UnsupportedSchedule"));
  await running.stop();
});

test("cron job: another schedule starts nothing that it would have started before", async () => {
  const { transport, names, cronJob, turns } = setUp({ schedule: "0 0 1 7 *" }, 3600);
  const running = runController(cronJobController, transport);
  await turns();
  const { resourceVersion: _, ...metadata } = cronJob().metadata;
  transport.put(`${cronJobs}/c`, {
    ...cronJob(),
    metadata,
    spec: { ...cronJob().spec, schedule: "*/10 * * * *" },
  } as CronJob);
  await turns();
  assert.deepEqual(names(), []);
  running.clock.advance(10 * minuteMs + 100);
  await running.until(() => names().length === 1);
  assert.deepEqual(names(), [10]);
  await running.stop();
});
