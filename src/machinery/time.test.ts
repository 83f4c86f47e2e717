import assert from "node:assert/strict";
import { test } from "node:test";
import {
  canonicalMicroTimeText,
  canonicalTimeText,
  formatMicroTime,
  formatTime,
  humanDuration,
  shortHumanDuration,
  timeMs,
} from "./time.ts";

test("time: as the API prints it", () => {
  const ms = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
  assert.equal(formatTime(ms), "2026-01-02T03:04:05Z");
  assert.equal(formatMicroTime(ms), "2026-01-02T03:04:05.678000Z");
  assert.equal(timeMs("2026-01-02T03:04:05Z"), ms - 678);
  assert.ok(Number.isNaN(timeMs(undefined)));
});

test("time: read, in UTC and whole seconds", () => {
  const cases: [text: string, canonical: string | null][] = [
    ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"],
    ["2026-12-31T23:59:59Z", "2026-12-31T23:59:59Z"],
    ["2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"],
    ["2026-01-02T03:04:05.999Z", "2026-01-02T03:04:05Z"],
    ["2026-01-02T03:04:05+02:30", "2026-01-02T00:34:05Z"],
    ["2026-01-01T00:00:00-01:00", "2026-01-01T01:00:00Z"],
    ["0099-01-01T00:00:00Z", "0099-01-01T00:00:00Z"],
    ["0001-01-01T00:00:00Z", null],
  ];
  for (const [text, canonical] of cases) assert.equal(canonicalTimeText(text), canonical, text);
  assert.equal(canonicalMicroTimeText("2026-01-02T03:04:05.123456+01:00"), "2026-01-02T02:04:05.123456Z");
});

test("time: bad text is refused in Go's words", () => {
  const as = '"2006-01-02T15:04:05Z07:00"';
  const refused: [text: string, rest: string][] = [
    ["", ` as ${as}: cannot parse "" as "2006"`],
    ["x", ` as ${as}: cannot parse "x" as "2006"`],
    ["2026", ` as ${as}: cannot parse "" as "-"`],
    ["2026-01-02", ` as ${as}: cannot parse "" as "T"`],
    ["2026-01-02T03:04", ` as ${as}: cannot parse "" as ":"`],
    ["2026-01-02T03:04:05", ` as ${as}: cannot parse "" as "Z07:00"`],
    ["2026-1-02T03:04:05Z", ` as ${as}: cannot parse "1-02T03:04:05Z" as "01"`],
    ["2026-13-02T03:04:05Z", ": month out of range"],
    ["2026-02-30T03:04:05Z", ": day out of range"],
    ["2026-01-02T24:04:05Z", ": hour out of range"],
    ["2026-01-02T03:04:05Z!", ': extra text: "!"'],
  ];
  for (const [text, rest] of refused) {
    assert.throws(() => canonicalTimeText(text), { name: "TimeError", message: `parsing time "${text}"${rest}` }, text);
  }
  assert.throws(() => canonicalMicroTimeText("2026-01-02T03:04:05Z"), {
    message: 'parsing time "2026-01-02T03:04:05Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000"',
  });
});

test("time: ages", () => {
  const minute = 60;
  const hour = 60 * minute;
  const day = 24 * hour;
  const cases: [seconds: number, long: string, short: string][] = [
    [-2, "<invalid>", "<invalid>"],
    [-1, "0s", "0s"],
    [0, "0s", "0s"],
    [119, "119s", "1m"],
    [2 * minute, "2m", "2m"],
    [9 * minute + 59, "9m59s", "9m"],
    [10 * minute + 5, "10m", "10m"],
    [2 * hour + 59 * minute, "179m", "2h"],
    [3 * hour, "3h", "3h"],
    [7 * hour + 59 * minute, "7h59m", "7h"],
    [47 * hour, "47h", "1d"],
    [2 * day, "2d", "2d"],
    [7 * day + 23 * hour, "7d23h", "7d"],
    [8 * day + hour, "8d", "8d"],
    [729 * day, "729d", "1y"],
    [2 * 365 * day + day, "2y1d", "2y"],
    [9 * 365 * day, "9y", "9y"],
  ];
  for (const [seconds, long, short] of cases) {
    assert.equal(humanDuration(seconds * 1000), long, String(seconds));
    assert.equal(shortHumanDuration(seconds * 1000), short, String(seconds));
  }
});
