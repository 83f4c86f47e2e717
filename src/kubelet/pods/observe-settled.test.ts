import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#base";
import type { PodRuntime } from "../core/types.ts";
import { observeSettled } from "./observe-settled.ts";

test("ends that were told of: looked for until the runtime shows them, and not forgotten when it takes too long", async () => {
  const clock = new FakeClock();
  let looks = 0;
  let shownAfter = 3;
  const state = () => (++looks > shownAfter ? "exited" : "running");
  const observer = {
    pod: async (uid: string) =>
      ({
        uid,
        sandboxes: [{ id: "s", ready: true }],
        containers: [{ id: "c", state: state() }],
      }) as unknown as PodRuntime, // what is read
  };
  const runtime = { uid: "u", namespace: "n", name: "p", sandboxes: [], containers: [] };
  const look = async (endedContainers: Set<string>) => {
    looks = 0;
    const done = observeSettled({ observer: observer as never, clock }, { runtime, endedContainers }); // only `pod` is called
    let answered = false;
    done.then(() => (answered = true));
    while (!answered) {
      await new Promise(setImmediate);
      clock.advance(1000);
    }
    return (await done).containers[0]?.state;
  };
  const ended = new Set(["c"]);
  assert.equal(await look(ended), "exited");
  assert.deepEqual([...ended], []);
  shownAfter = 1000;
  ended.add("c");
  ended.add("gone");
  assert.equal(await look(ended), "running");
  assert.deepEqual([...ended], ["c"]);
});
