import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { readSchedule, ScheduleError } from "./cron-job/schedule.ts";
import { cronJobKind } from "./cron-job.ts";

const pods = { spec: { containers: [{ name: "c", image: "a" }], restartPolicy: "Never" } };
const sent = (spec: object = {}, name = "c") => ({
  metadata: { name, namespace: "n" },
  spec: { schedule: "@daily", jobTemplate: { spec: { template: pods } }, ...spec },
});
const errorsOf = (spec: object) => tryCreate(cronJobKind, sent(spec)).errors;

test("cron job: what a client leaves out, but nothing inside the job", () => {
  const { object, errors } = tryCreate(cronJobKind, sent());
  assert.deepEqual(errors, []);
  const { jobTemplate, ...rest } = object.spec;
  assert.deepEqual(rest, {
    schedule: "@daily",
    concurrencyPolicy: "Allow",
    suspend: false,
    successfulJobsHistoryLimit: 3,
    failedJobsHistoryLimit: 1,
  });
  assert.deepEqual(Object.keys(jobTemplate.spec ?? {}), ["template"]);
});

test("cron job: schedules", () => {
  const atoi = (text: string) => `failed to parse int from ${text}: strconv.Atoi: parsing "${text}": invalid syntax`;
  const cases: [string, string][] = [
    ["*/5 * * * *", ""],
    ["0-30/10 1,2 ? JAN-MAR MON", ""],
    ["@every 1h30m", ""],
    ["@midnight", ""],
    ["* * * *", "expected exactly 5 fields, found 4: [* * * *]"],
    ["61 * * * *", "end of range (61) above maximum (59): 61"],
    ["* * 0 * *", "beginning of range (0) below minimum (1): 0"],
    ["* * * * 7", "end of range (7) above maximum (6): 7"],
    ["5-3 * * * *", "beginning of range (5) beyond end of range (3): 5-3"],
    ["*/0 * * * *", "step of range should be a positive number: */0"],
    ["1-2-3 * * * *", "too many hyphens: 1-2-3"],
    ["*/1/2 * * * *", "too many slashes: */1/2"],
    ["x * * * *", atoi("x")],
    ["-1 * * * *", atoi("")],
    ["@sometimes", "unrecognized descriptor: @sometimes"],
    ["@every 5", 'failed to parse duration @every 5: time: missing unit in duration "5"'],
    ["@every 5x", 'failed to parse duration @every 5x: time: unknown unit "x" in duration "5x"'],
    ["TZ=Nowhere/X 0 * * * *", "provided bad location Nowhere/X: unknown time zone Nowhere/X"],
  ];
  for (const [schedule, message] of cases) {
    if (message === "") readSchedule(schedule);
    else assert.throws(() => readSchedule(schedule), new ScheduleError(message), schedule);
  }
});

test("cron job: the time zone has its own field", () => {
  assert.deepEqual(errorsOf({ timeZone: "Europe/Berlin" }), []);
  assert.deepEqual(errorsOf({ timeZone: "Nowhere" }), [
    'spec.timeZone: Invalid value: "Nowhere": unknown time zone Nowhere',
  ]);
  assert.deepEqual(errorsOf({ timeZone: "europe/berlin" }), [
    'spec.timeZone: Invalid value: "europe/berlin": unknown time zone europe/berlin',
  ]);
  assert.deepEqual(errorsOf({ timeZone: "Local" }), [
    'spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones',
  ]);
  assert.deepEqual(errorsOf({ timeZone: "" }), [
    'spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string',
  ]);
  const schedule = "TZ=UTC 0 * * * *";
  assert.deepEqual(errorsOf({ schedule }), [
    `spec.schedule: Invalid value: "${schedule}": cannot use TZ or CRON_TZ in schedule, use timeZone field instead`,
  ]);
});

test("cron job: a zone that stands in an old schedule may stay", () => {
  const { object: old } = tryCreate(cronJobKind, sent());
  old.spec.schedule = "TZ=UTC 0 * * * *";
  const change = (spec: object) =>
    tryUpdate(cronJobKind, old, { change: (object) => void Object.assign(object.spec, spec) });
  assert.equal(change({ suspend: true }).errors.length, 0);
  assert.match(change({ suspend: true }).warnings.join(), /^cannot use TZ or CRON_TZ in spec\.spec\.schedule/);
  assert.match(change({ timeZone: "UTC" }).errors.join(), /cannot use both timeZone field and TZ/);
});

test("cron job: what is refused", () => {
  const job = (spec: object) => ({ jobTemplate: { spec: { template: pods, ...spec } } });
  assert.deepEqual(errorsOf({ schedule: "" }), ["spec.schedule: Required value"]);
  assert.deepEqual(errorsOf({ concurrencyPolicy: "Odd" }), [
    'spec.concurrencyPolicy: Unsupported value: "Odd": supported values: "Allow", "Forbid", "Replace"',
  ]);
  assert.deepEqual(errorsOf(job({ selector: {}, manualSelector: true })), [
    "spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated",
    'spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false"',
  ]);
  const name = "a".repeat(53);
  assert.deepEqual(tryCreate(cronJobKind, sent({}, name)).errors, [
    `metadata.name: Invalid value: "${name}": must be no more than 52 characters`,
  ]);
});

test("cron job: cells", () => {
  const { object } = tryCreate(cronJobKind, sent({ suspend: true, timeZone: "UTC" }));
  object.status = { lastScheduleTime: "2026-01-02T03:03:05Z", active: [{ name: "x" }] };
  const { Timezone, Suspend, Active, "Last Schedule": last, Selector } = tryColumns(cronJobKind, object);
  assert.deepEqual([Timezone, Suspend, Active, last, Selector], ["UTC", "True", 1, "60s", "<none>"]);
});
