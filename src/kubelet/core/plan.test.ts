import assert from "node:assert/strict";
import { test } from "node:test";
import { containerHash } from "./container-hash.ts";
import { planPod } from "./plan.ts";
import { podStatus, type PodStatusInput } from "./pod-status.ts";
import { isRestartingAll } from "./restart-all.ts";
import { podOf, runtimeOf } from "./testing.ts";
import { noProbeResults, type PodRuntime, type PodStatusView, type ProbeResults } from "./types.ts";

const results = (of: Record<string, boolean>): ProbeResults => ({ of: (type, id) => of[`${type}:${id}`] });

const statusInput = (runtime: PodRuntime, old: PodStatusView = {}): PodStatusInput => ({
  runtime,
  old,
  runtimeName: "containerd",
  probes: noProbeResults,
  problems: new Map(),
  hostIPs: [],
  now: 0,
  ended: false,
  verdict: undefined,
});

test("new pod: a sandbox, then the first init container or all containers", () => {
  const plain = podOf({ containers: ["a", "b"] });
  assert.deepEqual(planPod(plain, runtimeOf(plain, {}), noProbeResults), {
    stopPod: false,
    createSandbox: { attempt: 0, replaces: false },
    sandboxId: undefined,
    stop: [],
    reset: [],
    startEphemeral: [],
    startInit: [],
    start: ["a", "b"],
  });
  const withInit = podOf({ init: ["i", "j"], containers: ["a"] });
  const plan = planPod(withInit, runtimeOf(withInit, {}), noProbeResults);
  assert.deepEqual([plan.startInit, plan.start], [["i"], []]);
});

test("restart policy: decides which ended containers start again", () => {
  const cases: [string, number, string[], boolean][] = [
    ["Always", 0, ["a"], false],
    ["Always", 1, ["a"], false],
    ["OnFailure", 0, [], true],
    ["OnFailure", 1, ["a"], false],
    ["Never", 0, [], true],
    ["Never", 1, [], true],
  ];
  for (const [restartPolicy, exitCode, start, stopPod] of cases) {
    const pod = podOf({ containers: ["a"], spec: { restartPolicy } });
    const plan = planPod(pod, runtimeOf(pod, { containers: { a: { state: "exited", exitCode } } }), noProbeResults);
    assert.deepEqual([plan.start, plan.stopPod], [start, stopPod], `${restartPolicy} ${exitCode}`);
  }
});

test("running pod: nothing to do", () => {
  const pod = podOf({ containers: ["a"] });
  const plan = planPod(pod, runtimeOf(pod, { containers: { a: { state: "running" } } }), noProbeResults);
  assert.deepEqual([plan.start, plan.stop, plan.stopPod, plan.createSandbox], [[], [], false, undefined]);
});

test("probes: a failed liveness or startup probe stops and restarts, unless the policy is Never", () => {
  for (const [type, restartPolicy, message, start] of [
    ["liveness", "Always", "Container a failed liveness probe, will be restarted", ["a"]],
    ["startup", "OnFailure", "Container a failed startup probe, will be restarted", ["a"]],
    ["liveness", "Never", "Container a failed liveness probe", []],
  ] as const) {
    const pod = podOf({ containers: ["a", "b"], spec: { restartPolicy } });
    const runtime = runtimeOf(pod, { containers: { a: { state: "running" }, b: { state: "running" } } });
    const plan = planPod(pod, runtime, results({ [`${type}:a-0`]: false }));
    assert.deepEqual([plan.stop.map((stop) => stop.message), plan.start], [[message], start]);
  }
});

test("changed image: the container is replaced whatever the policy", () => {
  const pod = podOf({ containers: ["a"], spec: { restartPolicy: "Never" } });
  const plan = planPod(pod, runtimeOf(pod, { containers: { a: { state: "running", hash: "old" } } }), noProbeResults);
  assert.deepEqual(
    plan.stop.map((stop) => stop.message),
    ["Container a definition changed, will be restarted"],
  );
  assert.deepEqual(plan.start, ["a"]);
});

test("init containers: one after the other, failures by policy, done before the rest", () => {
  const cases: [
    Record<string, { state: "running" | "exited"; exitCode?: number }>,
    string,
    string[],
    string[],
    boolean,
  ][] = [
    [{ i: { state: "running" } }, "Always", [], [], false],
    [{ i: { state: "exited" } }, "Always", ["j"], [], false],
    [{ i: { state: "exited", exitCode: 1 } }, "Always", ["i"], [], false],
    [{ i: { state: "exited", exitCode: 1 } }, "Never", [], [], true],
    [{ i: { state: "exited" }, j: { state: "exited" } }, "Always", [], ["a"], false],
    // The runtime has forgotten the first one.
    [{ j: { state: "exited" } }, "Always", [], ["a"], false],
    [{ a: { state: "running" } }, "Always", [], [], false],
  ];
  for (const [containers, restartPolicy, startInit, start, stopPod] of cases) {
    const pod = podOf({ init: ["i", "j"], containers: ["a"], spec: { restartPolicy } });
    const plan = planPod(pod, runtimeOf(pod, { containers }), noProbeResults);
    assert.deepEqual(
      [plan.startInit, plan.start, plan.stopPod],
      [startInit, start, stopPod],
      JSON.stringify(containers),
    );
  }
});

test("sidecars: start in order, wait for their startup probe, restart alone, end with the pod", () => {
  const pod = podOf({ sidecars: ["s"], containers: ["a"], spec: { restartPolicy: "Never" } });
  const running = { state: "running" } as const;
  const plan = (containers: Parameters<typeof runtimeOf>[1]["containers"], probes = noProbeResults, of = pod) =>
    planPod(of, runtimeOf(of, { containers }), probes);
  assert.deepEqual(plan({}).startInit, ["s"]);
  assert.deepEqual(plan({ s: running }).start, ["a"]);
  assert.deepEqual(plan({ s: { state: "exited" }, a: running }).startInit, ["s"]);
  assert.equal(plan({ s: running, a: { state: "exited" } }).stopPod, true);

  const gated = podOf({ sidecars: ["s"], containers: ["a"] });
  gated.spec!.initContainers![0]!.startupProbe = { exec: {} };
  assert.deepEqual(plan({ s: running }, noProbeResults, gated).start, []);
  assert.deepEqual(plan({ s: running }, results({ "startup:s-0": true }), gated).start, ["a"]);
  const failed = plan({ s: running }, results({ "startup:s-0": false }), gated);
  assert.deepEqual([failed.stop[0]?.message, failed.startInit], ["Init container s failed startup probe", ["s"]]);
});

test("lost sandbox: everything again, but a pod that must not run twice stays ended", () => {
  const lost = { sandboxes: [{ ready: false }], containers: { a: { state: "exited", exitCode: 137 } as const } };
  for (const [restartPolicy, create, start] of [
    ["Always", { attempt: 1, replaces: true }, ["a"]],
    ["OnFailure", { attempt: 1, replaces: true }, ["a"]],
    ["Never", undefined, []],
  ] as const) {
    const pod = podOf({ containers: ["a"], spec: { restartPolicy } });
    const plan = planPod(pod, runtimeOf(pod, lost), noProbeResults);
    assert.deepEqual([plan.createSandbox, plan.start, plan.stopPod], [create, start, true], restartPolicy);
  }
  const done = podOf({ containers: ["a"], spec: { restartPolicy: "OnFailure" } });
  const plan = planPod(done, runtimeOf(done, { ...lost, containers: { a: { state: "exited" } } }), noProbeResults);
  assert.equal(plan.createSandbox, undefined);
});

test("sandbox without an address: replaced", () => {
  const pod = podOf({ containers: ["a"] });
  const plan = planPod(pod, runtimeOf(pod, { sandboxes: [{ ips: [] }] }), noProbeResults);
  assert.deepEqual(plan.createSandbox, { attempt: 1, replaces: true });
  const host = podOf({ containers: ["a"], spec: { hostNetwork: true } });
  const kept = planPod(host, runtimeOf(host, { sandboxes: [{ ips: [], hostNetwork: true }] }), noProbeResults);
  assert.equal(kept.createSandbox, undefined);
});

test("debug containers: started once, also while init containers run", () => {
  const pod = podOf({ init: ["i"], containers: ["a"] });
  pod.spec!.ephemeralContainers = [{ name: "e", image: "x" }];
  const running = planPod(pod, runtimeOf(pod, { containers: { i: { state: "running" } } }), noProbeResults);
  assert.deepEqual(running.startEphemeral, ["e"]);
  const ended = runtimeOf(pod, {
    containers: { i: { state: "running" }, e: { state: "exited", hash: containerHash({ name: "e" }) } },
  });
  assert.deepEqual(planPod(pod, ended, noProbeResults).startEphemeral, []);
});

test("deleted pod: nothing is started", () => {
  const pod = podOf({ containers: ["a"] });
  pod.metadata.deletionTimestamp = "2026-01-01T00:00:00Z";
  const plan = planPod(pod, runtimeOf(pod, { containers: { a: { state: "exited" } } }), noProbeResults);
  assert.deepEqual(plan.start, []);
});

test("policies of containers: their own counts, also for a lost sandbox and for what nobody knows", () => {
  const pod = podOf({ init: ["i"], containers: ["a", "b"], spec: { restartPolicy: "Always" } });
  pod.spec!.containers[0]!.restartPolicy = "OnFailure";
  pod.spec!.initContainers![0]!.restartPolicy = "Never";
  const exited = { state: "exited" } as const;
  const lost = runtimeOf(pod, { sandboxes: [{ ready: false }], containers: { a: exited, b: exited } });
  assert.deepEqual(planPod(pod, lost, noProbeResults).startInit, ["i"]);
  const plain = podOf({ containers: ["a"] });
  plain.spec!.containers[0]!.restartPolicy = "OnFailure";
  const over = runtimeOf(plain, { sandboxes: [{ ready: false }], containers: { a: exited } });
  assert.equal(planPod(plain, over, noProbeResults).createSandbox, undefined);
  const unknown = runtimeOf(pod, { containers: { i: { state: "unknown" } } });
  assert.equal(planPod(pod, unknown, noProbeResults).stopPod, true);
});

test("sidecars: one that fails its liveness probe starts again, and doesn't hold the others up", () => {
  const pod = podOf({ sidecars: ["s", "t"], containers: ["a"] });
  const running = { state: "running" } as const;
  const runtime = runtimeOf(pod, { containers: { s: running, t: running, a: running } });
  const failed = planPod(pod, runtime, results({ "liveness:s-0": false }));
  assert.deepEqual(
    [failed.stop.map(({ message }) => message), failed.startInit, failed.start],
    [["Init container s failed liveness probe"], ["s"], []],
  );
  const changed = runtimeOf(pod, { containers: { s: { ...running, hash: "old" }, t: running } });
  const plan = planPod(pod, changed, noProbeResults);
  assert.deepEqual(
    [plan.stop[0]?.message, plan.startInit, plan.start],
    ["Init container s definition changed", ["s"], ["a"]],
  );
});

test("resize: a container that has to start again for it says so", () => {
  const pod = podOf({ containers: ["a", "b"] });
  const running = { state: "running" } as const;
  const plan = planPod(pod, runtimeOf(pod, { containers: { a: running, b: running } }), noProbeResults, {
    needsRestart: ({ name }) => name === "b",
  });
  assert.deepEqual(
    [plan.stop.map(({ message }) => message), plan.start],
    [["Container b resize requires restart"], ["b"]],
  );
});

test("all start over: everything goes, what asked for it last, then the first init container runs", () => {
  const pod = podOf({ init: ["i"], containers: ["a", "b"], spec: { restartPolicy: "Never" } });
  Object.assign(pod.spec!.containers[1]!, {
    restartPolicy: "Never",
    restartPolicyRules: [{ action: "RestartAllContainers", exitCodes: { operator: "In", values: [42] } }],
  });
  const containers = {
    i: { state: "exited" },
    a: { state: "running" },
    b: { state: "exited", exitCode: 42 },
  } as const;
  const asked = podStatus(pod, statusInput(runtimeOf(pod, { containers })));
  assert.deepEqual(asked.conditions?.find(({ type }) => type === "AllContainersRestarting")?.status, "True");
  assert.equal(asked.phase, "Running");
  const plan = planPod(pod, runtimeOf(pod, { containers }), noProbeResults, { restartAll: isRestartingAll(asked) });
  assert.deepEqual(
    plan.reset.map(({ name }) => name),
    ["a", "i", "b"],
  );
  const bare = runtimeOf(pod, { sandboxes: [{}] });
  const reset = podStatus(pod, statusInput(bare, asked));
  const [a] = reset.containerStatuses ?? [];
  assert.deepEqual(
    [a?.state?.waiting?.reason, a?.lastState?.terminated?.reason, a?.restartCount, isRestartingAll(reset), reset.phase],
    ["RestartingAllContainers", "RestartingAllContainers", 1, false, "Running"],
  );
  assert.deepEqual(planPod(pod, bare, noProbeResults).startInit, ["i"]);
  const gone = { sandboxes: [{ ready: false }], containers };
  assert.deepEqual(planPod(pod, runtimeOf(pod, gone), noProbeResults, { restartAll: true }).createSandbox?.attempt, 1);
});
