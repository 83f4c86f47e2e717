import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, FakeClock } from "#base";
import type { NodeRuntime } from "../runtime-setup.ts";
import { createRuntimeHealth } from "./health.ts";

test("runtime: half a minute without an answer makes it down, three minutes without a list unhealthy; then it is well again", async () => {
  const clock = new FakeClock();
  const log = createLogger({ write: () => undefined, level: "error" });
  let answers = true;
  let kept = 0;
  let seenAt = clock.now();
  const ask = <T>(answer: T) => (answers ? Promise.resolve(answer) : Promise.reject(new Error("deadline")));
  const network = { type: "NetworkReady", status: true, reason: "", message: "" };
  const runtime = {
    cri: {
      runtime: { status: () => ask({ status: { conditions: [network] } }) },
      image: { listImages: () => ask({ images: [{ repoTags: ["a:1"], repoDigests: [], size: 7 }] }) },
    },
    seen: () => undefined,
    keep: async () => void kept++,
  } as unknown as NodeRuntime; // what is asked
  const health = createRuntimeHealth(runtime, { clock, log, observer: { seenAt: () => seenAt } });
  const problems = async () => (await health.look()).problems;
  assert.deepEqual(await health.look(), { problems: [], images: [{ names: ["a:1"], sizeBytes: 7 }] });
  network.status = false;
  Object.assign(network, { reason: "NetworkPluginNotReady", message: "cni plugin not initialized" });
  assert.deepEqual(await problems(), [
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:cni plugin not initialized",
  ]);
  network.status = true;
  answers = false;
  clock.advance(20_000);
  assert.deepEqual(await problems(), []);
  clock.advance(10_000);
  assert.deepEqual(await health.look(), {
    problems: ["container runtime is down"],
    images: [{ names: ["a:1"], sizeBytes: 7 }],
  });
  assert.equal(kept, 2);
  clock.advance(153_000);
  assert.deepEqual(await problems(), [
    "container runtime is down",
    "PLEG is not healthy: pleg was last seen active 3m3s ago; threshold is 3m0s",
  ]);
  answers = true;
  seenAt = clock.now();
  assert.deepEqual(await problems(), []);
});

test("runtime: one that never answered isn't judged yet", async () => {
  const clock = new FakeClock();
  const log = createLogger({ write: () => undefined, level: "error" });
  const never = () => Promise.reject(new Error("no"));
  const runtime = {
    cri: { runtime: { status: never }, image: { listImages: never } },
    keep: never,
  } as unknown as NodeRuntime; // what is asked
  const health = createRuntimeHealth(runtime, { clock, log, observer: { seenAt: () => clock.now() } });
  assert.deepEqual((await health.look()).problems, ["container runtime status check may not have completed yet"]);
});
