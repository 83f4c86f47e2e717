import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#base";
import { createWorkQueue } from "./work-queue.ts";

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test("work queue: a key waits once and is worked on again only when added during its work", async () => {
  const queue = createWorkQueue({ clock: new FakeClock() });
  const stop = new AbortController();
  const seen: string[] = [];
  const gates: (() => void)[] = [];
  queue.add("a");
  queue.add("b");
  queue.add("a");
  assert.equal(queue.length, 2);
  const done = queue.run(stop.signal, {
    concurrency: 2,
    work: (key) => {
      seen.push(key);
      return new Promise((resolve) => gates.push(resolve));
    },
  });
  await settle();
  queue.add("a");
  queue.add("a");
  await settle();
  assert.deepEqual(seen, ["a", "b"], "never two workers on one key");
  for (const open of gates.splice(0)) open();
  await settle();
  assert.deepEqual(seen, ["a", "b", "a"]);
  stop.abort();
  let ended = false;
  void done.then(() => (ended = true));
  await settle();
  assert.equal(ended, false, "waits for work under way");
  for (const open of gates.splice(0)) open();
  await done;
});

test("work queue: failures come back after 5 ms doubling, success forgets them", async () => {
  const clock = new FakeClock();
  const queue = createWorkQueue({ clock });
  const stop = new AbortController();
  const start = clock.now();
  const at: number[] = [];
  let fail = true;
  const done = queue.run(stop.signal, {
    concurrency: 1,
    work: async () => {
      at.push(clock.now() - start);
      if (fail) throw new Error("not yet");
    },
  });
  queue.add("a");
  await settle();
  for (let step = 0; step < 40; step++) {
    clock.advance(1);
    await settle();
  }
  assert.deepEqual(at, [0, 5, 15, 35]);
  fail = false;
  clock.advance(40);
  await settle();
  fail = true;
  queue.add("a");
  await settle();
  clock.advance(5);
  await settle();
  assert.deepEqual(at.slice(4), [80, 80, 85]);
  stop.abort();
  await done;
});

test("work queue: delayed keys come in order of time, the earliest time counts", async () => {
  const clock = new FakeClock();
  const queue = createWorkQueue({ clock });
  const stop = new AbortController();
  const seen: string[] = [];
  const done = queue.run(stop.signal, { concurrency: 1, work: async (key) => void seen.push(key) });
  for (const [key, delayMs] of [
    ["c", 30],
    ["a", 50],
    ["b", 20],
    ["a", 10],
    ["b", 90],
  ] as const)
    queue.addAfter(key, delayMs);
  for (let step = 0; step < 10; step++) {
    clock.advance(10);
    await settle();
  }
  assert.deepEqual(seen, ["a", "b", "c"]);
  stop.abort();
  await done;
});

test("work queue: a clock that is set back holds up nothing", async () => {
  const fake = new FakeClock();
  let setBackMs = 0;
  const clock = { now: () => fake.now() - setBackMs, precise: fake.now, after: fake.after.bind(fake) };
  const queue = createWorkQueue({ clock });
  const stop = new AbortController();
  const seen: string[] = [];
  const done = queue.run(stop.signal, { concurrency: 1, work: async (key) => void seen.push(key) });
  queue.addAfter("a", 1000);
  setBackMs = 3_600_000;
  fake.advance(1000);
  await settle();
  assert.deepEqual(seen, ["a"]);
  stop.abort();
  await done;
});
