import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDuration } from "#base";
import { ScheduleError } from "#api";
import { parseSchedule, timeInZone } from "./schedule.ts";

/** Times that others computed: the calendar, and robfig/cron's documented behaviour. */
for (const [text, zone, after, expected] of [
  ["*/15 * * * *", "UTC", "2026-01-01T00:07:30Z", "2026-01-01T00:15:00Z"],
  ["*/15 * * * *", "UTC", "2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z"],
  ["0 0 * * *", "UTC", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"],
  ["30 4 1 * *", "UTC", "2026-01-01T05:00:00Z", "2026-02-01T04:30:00Z"],
  ["0 12 * * MON-FRI", "UTC", "2026-01-02T12:00:00Z", "2026-01-05T12:00:00Z"],
  ["0 0 13 * 5", "UTC", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"],
  ["0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"],
  ["0 9-17/4 * jan,mar *", "UTC", "2026-01-31T14:00:00Z", "2026-01-31T17:00:00Z"],
  ["@weekly", "UTC", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"],
  ["@every 90m", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T01:30:00Z"],
  ["0 3 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z", "2026-01-01T21:30:00Z"],
  ["30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"],
  ["30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"],
  ["30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"],
  ["30 2 * * *", "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"],
  ["0 * * * *", "America/New_York", "2026-03-08T06:00:00Z", "2026-03-08T07:00:00Z"],
  ["0 0 * * *", "America/Sao_Paulo", "2018-11-03T03:00:00Z", "2018-11-05T02:00:00Z"],
  ["14 14 * * *", "America/Sao_Paulo", "2018-11-03T17:14:00Z", "2018-11-04T16:14:00Z"],
  ["TZ=Asia/Tokyo 0 9 * * *", "Europe/Berlin", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"],
  ["0 0 */1 * 5", "UTC", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"],
  ["0 0 */2 * 5", "UTC", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"],
  ["0 0 ? * ?", "UTC", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"],
  ["5/20 * * * *", "UTC", "2026-01-01T00:06:00Z", "2026-01-01T00:25:00Z"],
  ["1,,2 * * * *", "UTC", "2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"],
  ["*-5 * * * *", "UTC", "2026-01-01T00:06:00Z", "2026-01-01T00:07:00Z"],
  ["0 0 1 JAN-mar/2 *", "UTC", "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z"],
  ["@every 90m", "UTC", "2026-01-01T00:00:00.700Z", "2026-01-01T01:30:00Z"],
  ["@every 1ms", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"],
  ["@yearly", "UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"],
  ["@hourly", "Asia/Kolkata", "2026-01-01T00:00:00Z", "2026-01-01T00:30:00Z"],
] as const)
  test(`schedule: ${text} in ${zone} after ${after}`, () => {
    const next = parseSchedule(text, zone).next(Date.parse(after));
    assert.equal(next === undefined ? undefined : new Date(next).toISOString(), expected.replace("Z", ".000Z"));
  });

test("schedule: the 30th of February never comes", () => {
  assert.equal(parseSchedule("0 0 30 2 *", "UTC").next(Date.UTC(2026, 0, 1)), undefined);
});

for (const text of [
  "* * * *",
  "60 * * * *",
  "5-1 * * * *",
  "*/0 * * * *",
  "x * * * *",
  "@often",
  "@every soon",
  "",
  "1/2/3 * * * *",
])
  test(`schedule: ${text} is none`, () => assert.throws(() => parseSchedule(text), ScheduleError));

for (const [zone, expected] of [
  ["UTC", "2026-06-01T12:00:00Z"],
  ["America/New_York", "2026-06-01T08:00:00-04:00"],
  ["Asia/Kolkata", "2026-06-01T17:30:00+05:30"],
] as const)
  test(`schedule: a time in ${zone}`, () => assert.equal(timeInZone(Date.UTC(2026, 5, 1, 12), zone), expected));

for (const [text, expected] of [
  ["1h30m", 5_400_000],
  ["1.5s", 1500],
  ["-2m", -120_000],
  ["5", undefined],
] as const)
  test(`duration: ${text}`, () => assert.equal(parseDuration(text), expected));
