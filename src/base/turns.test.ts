import assert from "node:assert/strict";
import { test } from "node:test";
import { atOnce, inTurns } from "./turns.ts";

function* count(to: number, stepMs = 0): Generator<void, number> {
  for (let i = 0; i < to; i++) {
    const end = performance.now() + stepMs;
    while (performance.now() < end);
    yield;
  }
  return to;
}

test("turns: short work is done at once", () => {
  assert.equal(inTurns(count(10)), 10);
  assert.equal(atOnce(count(10)), 10);
});

test("turns: others have their turn during long work", async () => {
  let others = 0;
  const timer = setInterval(() => others++, 0);
  const work = inTurns(count(40, 1));
  assert.ok(work instanceof Promise);
  assert.equal(await work, 40);
  clearInterval(timer);
  assert.ok(others >= 2, `${others} turns`);
});

test("turns: what a step throws is the answer", async () => {
  function* failing(): Generator<void, never> {
    yield* count(10, 1);
    throw new Error("no");
  }
  await assert.rejects(Promise.resolve(inTurns(failing())), /^Error: no$/);
});
