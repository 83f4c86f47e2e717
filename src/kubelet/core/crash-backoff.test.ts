import assert from "node:assert/strict";
import { test } from "node:test";
import { type CrashBackoff, decideRestart } from "./crash-backoff.ts";
import { printDuration } from "#base";

test("restarts: at once, then 10 s doubling to 5 min, forgotten after 10 quiet minutes", () => {
  let now = 1_000_000;
  let entry: CrashBackoff | undefined;
  const delays: number[] = [];
  for (let run = 0; run < 8; run++) {
    const finishedAt = now;
    let decision = decideRestart(entry, { finishedAt, now });
    if (decision.wait) {
      delays.push(decision.until - now);
      now = decision.until;
      decision = decideRestart(entry, { finishedAt, now });
    } else delays.push(0);
    assert.equal(decision.wait, false);
    if (!decision.wait) entry = decision.next;
  }
  assert.deepEqual(
    delays,
    [0, 10, 20, 40, 80, 160, 300, 300].map((seconds) => seconds * 1000),
  );
  now += 601_000;
  const decision = decideRestart(entry, { finishedAt: now, now });
  assert.deepEqual(decision, { wait: false, next: { delayMs: 10_000, at: now } });
});

test("durations: as Go prints them", () => {
  assert.deepEqual([0, 350, 1500, 10_000, 80_000, 300_000, 3_600_000].map(printDuration), [
    "0s",
    "350ms",
    "1.5s",
    "10s",
    "1m20s",
    "5m0s",
    "1h0m0s",
  ]);
});

test("restarts: a node may wait less, and a clock that was put back makes nobody wait longer", () => {
  const first = decideRestart(undefined, { finishedAt: 0, now: 0, msMax: 5000 });
  assert.deepEqual(first, { wait: false, next: { delayMs: 5000, at: 0 } });
  const entry = { delayMs: 20_000, at: 0 };
  assert.deepEqual(decideRestart(entry, { finishedAt: 20_000, now: 20_000, msMax: 30_000 }), {
    wait: true,
    until: 40_000,
    delayMs: 20_000,
  });
  const next = decideRestart(entry, { finishedAt: 20_000, now: 40_000, msMax: 30_000 });
  assert.deepEqual(next, { wait: false, next: { delayMs: 30_000, at: 40_000 } });
  const back = decideRestart({ delayMs: 10_000, at: 3_600_000 }, { finishedAt: 3_600_000, now: 1000 });
  assert.deepEqual(back, { wait: true, until: 11_000, delayMs: 10_000 });
});
