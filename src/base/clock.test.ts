import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock, steadyClock } from "./clock.ts";

test("steady clock: goes on evenly when somebody sets the time", () => {
  let wall = 1_000_000;
  let precise = 5;
  const steady = steadyClock({ now: () => wall, precise: () => precise, after: () => () => undefined });
  assert.equal(steady.now(), 1_000_000);
  wall -= 3_600_000;
  precise += 250;
  assert.equal(steady.now(), 1_000_250);
  const clock = new FakeClock();
  assert.equal(steadyClock(clock), clock);
});
