import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "#api";
import { podOf } from "../core/testing.ts";
import { answerAt, BehaviorError, behaviorOf, runOf } from "./behavior.ts";

const pod = (annotations: Record<string, string>, spec: Partial<NonNullable<Pod["spec"]>> = {}): Pod => {
  const made = podOf({ init: ["init"], sidecars: ["side"], containers: ["a", "b"], spec });
  const prefixed = Object.entries(annotations).map(([key, value]) => [`sampan.dev/${key}`, value]);
  return { ...made, metadata: { ...made.metadata, annotations: Object.fromEntries(prefixed) } };
};
const container = (of: Pod, name: string) => {
  const found = [...(of.spec?.initContainers ?? []), ...(of.spec?.containers ?? [])].find((one) => one.name === name);
  assert.ok(found);
  return found;
};
const run = (of: Pod, name: string, failedBefore = 0) => {
  const behavior = behaviorOf(of, container(of, name));
  const { forMs, exitCode } = runOf(of, container(of, name), { behavior, failedBefore, usualMs: 1000 });
  return [forMs, exitCode];
};
const forever = Number.POSITIVE_INFINITY;

test("behaviour: a value is for main containers, or for one by name", () => {
  const told = pod({ "start-after": "2s, side=1m, b=0s" });
  const starts = ["init", "side", "a", "b"].map((name) => behaviorOf(told, container(told, name)).startMs);
  assert.deepEqual(starts, [0, 60_000, 2000, 0]);
});

test("behaviour: how runs go", () => {
  const cases: [string, Pod, string, number, number[]][] = [
    ["for ever when it would be restarted", pod({}), "a", 0, [forever, 0]],
    ["a moment when not", pod({}, { restartPolicy: "Never" }), "a", 0, [1000, 0]],
    ["init containers end at once", pod({}), "init", 0, [0, 0]],
    ["sidecars don't", pod({}, { restartPolicy: "Never" }), "side", 0, [forever, 0]],
    ["the first ones fail", pod({ failures: "2" }), "a", 1, [0, 1]],
    ["then it goes well", pod({ failures: "2" }), "a", 2, [forever, 0]],
    ["always", pod({ failures: "always", "exit-code": "3", "run-for": "5s" }), "a", 99, [5000, 3]],
    ["an exit code ends it", pod({ "exit-code": "4" }), "a", 0, [1000, 4]],
    ["for ever if told", pod({ "run-for": "forever" }, { restartPolicy: "Never" }), "a", 0, [forever, 0]],
  ];
  for (const [what, of, name, failedBefore, wanted] of cases)
    assert.deepEqual(run(of, name, failedBefore), wanted, what);
});

test("behaviour: images and commands that tests use", () => {
  const cases: [Record<string, unknown>, number[]][] = [
    [{ image: "registry.k8s.io/pause:3.10" }, [forever, 0]],
    [{ command: ["sleep", "30"] }, [30_000, 0]],
    [{ command: ["/bin/sh", "-c", "sleep 2 && exit 3"] }, [2000, 3]],
    [{ command: ["sh", "-c"], args: ["exit 7"] }, [0, 7]],
    [{ command: ["/bin/false"] }, [0, 1]],
    [{ command: ["sleep", "infinity"] }, [forever, 0]],
    [{ command: ["something", "else"] }, [1000, 0]],
  ];
  for (const [more, wanted] of cases) {
    const of = pod({}, { restartPolicy: "Never", containers: [{ name: "a", image: "x", ...more }] });
    assert.deepEqual(run(of, "a"), wanted, JSON.stringify(more));
  }
});

test("behaviour: probes turn, and readiness comes late", () => {
  const told = pod({ "liveness-probe": "fail after 10s", "readiness-probe": "fail", "ready-after": "b=3s" });
  const a = behaviorOf(told, container(told, "a"));
  assert.deepEqual([answerAt(a.probes.liveness, 9999), answerAt(a.probes.liveness, 10_000)], [true, false]);
  assert.equal(answerAt(a.probes.readiness, 1e9), false);
  const b = behaviorOf(told, container(told, "b"));
  assert.deepEqual([answerAt(b.probes.readiness, 2999), answerAt(b.probes.readiness, 3000)], [false, true]);
});

test("behaviour: what can't be read names its annotation", () => {
  for (const [name, value] of Object.entries({ "run-for": "1 apple", "exit-code": "-1", "startup-probe": "maybe" })) {
    const told = pod({ [name]: value });
    assert.throws(
      () => behaviorOf(told, container(told, "a")),
      (error) => error instanceof BehaviorError && error.message.includes(name),
    );
  }
});
