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
