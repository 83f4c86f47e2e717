import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#base";
import { createWaker } from "./waker.ts";

test("waker: one run at a time, again when woken meanwhile, once for many wakes", async () => {
  let running = 0;
  let runs = 0;
  const gates: (() => void)[] = [];
  const waker = createWaker(new FakeClock(), async () => {
    assert.equal(++running, 1);
    runs++;
    await new Promise<void>((resolve) => gates.push(resolve));
    running--;
  });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  for (let wake = 0; wake < 3; wake++) waker.wake();
  await settle();
  assert.equal(runs, 1);
  waker.wake();
  waker.wake();
  gates.shift()?.();
  await settle();
  assert.equal(runs, 2);
  gates.shift()?.();
  await waker.stop();
  waker.wake();
  await settle();
  assert.equal(runs, 2);
});

test("waker: the earliest time counts", async () => {
  const clock = new FakeClock();
  let runs = 0;
  const waker = createWaker(clock, async () => {
    runs++;
  });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  waker.wakeAt(clock.now() + 1000);
  waker.wakeAt(clock.now() + 5000);
  clock.advance(999);
  await settle();
  assert.equal(runs, 0);
  clock.advance(1);
  await settle();
  assert.equal(runs, 1);
  clock.advance(10_000);
  await settle();
  assert.equal(runs, 1);
});
