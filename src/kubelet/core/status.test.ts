import assert from "node:assert/strict";
import { test } from "node:test";
import { podStatus, type PodStatusInput, refusedStatus } from "./pod-status.ts";
import { computeQos } from "./qos.ts";
import { containerResources, cpuShares, hugepageLimits, oomScoreAdj, podCgroupResources } from "./resources.ts";
import { podOf, runtimeOf } from "./testing.ts";
import { noProbeResults, type PodView } from "./types.ts";

const input = (more: Partial<PodStatusInput> & Pick<PodStatusInput, "runtime">): PodStatusInput => ({
  runtimeName: "containerd",
  probes: noProbeResults,
  problems: new Map(),
  old: {},
  hostIPs: ["192.168.0.1"],
  now: 10_000,
  ended: false,
  verdict: undefined,
  ...more,
});

/** Phase and the conditions as `Type=Status Reason`. */
function view(pod: PodView, more: Partial<PodStatusInput> & Pick<PodStatusInput, "runtime">) {
  const status = podStatus(pod, input(more));
  const condition = (type: string) => {
    const found = status.conditions?.find((one) => one.type === type);
    return `${found?.status}${found?.reason ? ` ${found.reason}` : ""}`;
  };
  return [status.phase, condition("Initialized"), condition("Ready")];
}

test("phase and conditions: by policy and how containers ended", () => {
  const exited = (exitCode: number) => ({ state: "exited", exitCode }) as const;
  const cases: [string, Record<string, object>, string[]][] = [
    ["Always", { a: { state: "running" } }, ["Running", "True", "True"]],
    ["Always", { a: exited(0) }, ["Running", "True", "False ContainersNotReady"]],
    ["OnFailure", { a: exited(1) }, ["Running", "True", "False ContainersNotReady"]],
    ["OnFailure", { a: exited(0) }, ["Succeeded", "True PodCompleted", "False PodCompleted"]],
    ["Never", { a: exited(0) }, ["Succeeded", "True PodCompleted", "False PodCompleted"]],
    ["Never", { a: exited(3) }, ["Failed", "True", "False PodFailed"]],
  ];
  for (const [restartPolicy, containers, expected] of cases) {
    const pod = podOf({ containers: ["a"], spec: { restartPolicy } });
    assert.deepEqual(view(pod, { runtime: runtimeOf(pod, { containers }) }), expected, restartPolicy);
  }
  const pod = podOf({ init: ["i"], containers: ["a"], spec: { restartPolicy: "Never" } });
  assert.deepEqual(view(pod, { runtime: runtimeOf(pod, { containers: { i: exited(4) } }) }), [
    "Failed",
    "False ContainersNotInitialized",
    "False PodFailed",
  ]);
});

test("phase: a container with a policy or rules of its own isn't over when it runs again", () => {
  const rules = [{ action: "Restart", exitCodes: { operator: "In", values: [42] } }];
  for (const [own, exitCode, expected] of [
    [{ restartPolicy: "OnFailure" }, 1, "Running"],
    [{ restartPolicy: "OnFailure" }, 0, "Succeeded"],
    [{ restartPolicy: "Never", restartPolicyRules: rules }, 42, "Running"],
    [{ restartPolicy: "Never", restartPolicyRules: rules }, 1, "Failed"],
  ] as const) {
    const spec = { restartPolicy: "Never", containers: [{ name: "a", image: "i", ...own }] };
    const pod = podOf({ containers: ["a"], spec } as never);
    const runtime = runtimeOf(pod, { containers: { a: { state: "exited", exitCode } } });
    assert.equal(view(pod, { runtime })[0], expected, JSON.stringify([own, exitCode]));
  }
});

test("new pod: waiting with the reason of what it waits for", () => {
  const of = (pod: PodView) =>
    podStatus(pod, input({ runtime: { uid: "", namespace: "", name: "", sandboxes: [], containers: [] } }));
  assert.equal(of(podOf({ containers: ["a"] })).containerStatuses?.[0]?.state?.waiting?.reason, "ContainerCreating");
  assert.equal(
    of(podOf({ init: ["i"], containers: ["a"] })).containerStatuses?.[0]?.state?.waiting?.reason,
    "PodInitializing",
  );
});

test("crash loop: waiting, with the last run in lastState", () => {
  const pod = podOf({ containers: ["a"] });
  const status = podStatus(
    pod,
    input({
      runtime: runtimeOf(pod, { containers: { a: { state: "exited", exitCode: 1 } } }),
      problems: new Map([["a", { reason: "CrashLoopBackOff", message: "back-off 10s" }]]),
    }),
  );
  const [container] = status.containerStatuses ?? [];
  assert.deepEqual(container?.state, { waiting: { reason: "CrashLoopBackOff", message: "back-off 10s" } });
  assert.equal(container?.lastState?.terminated?.exitCode, 1);
  assert.equal(status.phase, "Running");
});

test("restarted container: the run before is lastState, also when the runtime has dropped it", () => {
  const pod = podOf({ containers: ["a"] });
  const both = runtimeOf(pod, { containers: { a: [{ state: "running" }, { state: "exited", exitCode: 7 }] } });
  const first = podStatus(pod, input({ runtime: both }));
  assert.equal(first.containerStatuses?.[0]?.restartCount, 1);
  assert.equal(first.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 7);
  const pruned = { ...both, containers: both.containers.slice(0, 1) };
  const second = podStatus(pod, input({ runtime: pruned, old: first }));
  assert.deepEqual(second.containerStatuses, first.containerStatuses);
});

test("probes: startup gates started, readiness gates ready, gates of others count too", () => {
  const pod = podOf({ containers: ["a"], spec: { readinessGates: [{ conditionType: "x/y" }] } });
  const [container] = pod.spec!.containers;
  container!.startupProbe = { exec: {} };
  container!.readinessProbe = { exec: {} };
  const runtime = runtimeOf(pod, { containers: { a: { state: "running" } } });
  const of = (probes: Record<string, boolean>) =>
    podStatus(pod, input({ runtime, probes: { of: (type) => probes[type] } }));
  const flags = (status: ReturnType<typeof of>) => [
    status.containerStatuses?.[0]?.started,
    status.containerStatuses?.[0]?.ready,
  ];
  assert.deepEqual(flags(of({})), [false, false]);
  assert.deepEqual(flags(of({ startup: true })), [true, false]);
  const ready = of({ startup: true, readiness: true });
  assert.deepEqual(flags(ready), [true, true]);
  const conditions = Object.fromEntries(
    (ready.conditions ?? []).map(({ type, reason, status }) => [type, reason ?? status]),
  );
  assert.deepEqual([conditions.ContainersReady, conditions.Ready], ["True", "ReadinessGatesNotReady"]);
  pod.status = { conditions: [{ type: "x/y", status: "True" }] };
  assert.equal(of({ startup: true, readiness: true }).conditions?.find(({ type }) => type === "Ready")?.status, "True");
});

test("deletion: a pod that restarts always ends with a final phase", () => {
  const pod = podOf({ containers: ["a"] });
  const runtime = runtimeOf(pod, { containers: { a: { state: "exited", exitCode: 137 } } });
  assert.equal(view(pod, { runtime, ended: true })[0], "Failed");
});

test("verdict: reported once the containers are gone", () => {
  const pod = podOf({ containers: ["a"] });
  const verdict = { phase: "Failed", reason: "DeadlineExceeded", message: "too long" } as const;
  const running = podStatus(
    pod,
    input({ runtime: runtimeOf(pod, { containers: { a: { state: "running" } } }), verdict }),
  );
  assert.deepEqual([running.phase, running.reason], ["Running", undefined]);
  const runtime = runtimeOf(pod, { containers: { a: { state: "exited", exitCode: 0 } } });
  const gone = podStatus(pod, input({ runtime, verdict, ended: true }));
  assert.deepEqual([gone.phase, gone.reason, gone.message], ["Failed", "DeadlineExceeded", "too long"]);
  const later = podStatus(pod, input({ runtime, old: gone, ended: true }));
  assert.deepEqual([later.phase, later.reason], ["Failed", "DeadlineExceeded"]);
});

test("transition times: kept while a condition keeps its status", () => {
  const pod = podOf({ containers: ["a"] });
  const runtime = runtimeOf(pod, { containers: { a: { state: "running" } } });
  const first = podStatus(pod, input({ runtime, now: 1000 }));
  const second = podStatus(pod, input({ runtime, now: 60_000, old: first }));
  assert.deepEqual(second.conditions, first.conditions);
});

test("addresses: one of each family, the node's first; kept after the sandbox is gone", () => {
  const pod = podOf({ containers: ["a"] });
  const runtime = runtimeOf(pod, { sandboxes: [{ ips: ["fd00::2", "10.0.0.2", "10.0.0.3"] }], containers: {} });
  const status = podStatus(pod, input({ runtime }));
  assert.deepEqual(status.podIPs, [{ ip: "10.0.0.2" }, { ip: "fd00::2" }]);
  const gone = podStatus(pod, input({ runtime: { ...runtime, sandboxes: [] }, old: status }));
  assert.equal(gone.podIP, "10.0.0.2");
  const host = podOf({ containers: ["a"], spec: { hostNetwork: true } });
  assert.equal(podStatus(host, input({ runtime })).podIP, "192.168.0.1");
});

test("quality of service: as upstream classifies", () => {
  const cases: [object[], string][] = [
    [[{}], "BestEffort"],
    [[{ requests: { cpu: "1" } }], "Burstable"],
    [[{ requests: { cpu: "1", memory: "1Gi" }, limits: { cpu: "1000m", memory: "1024Mi" } }], "Guaranteed"],
    [[{ limits: { cpu: "1", memory: "1Gi" }, requests: { cpu: "1", memory: "1Gi" } }, {}], "Burstable"],
  ];
  for (const [resources, qos] of cases) {
    const pod = podOf({ containers: resources.map((_, at) => `c${at}`) });
    for (const [at, container] of pod.spec!.containers.entries()) container.resources = resources[at]!; // same length
    assert.equal(computeQos(pod), qos, JSON.stringify(resources));
  }
});

test("kernel resources: shares, quota, memory, huge pages, OOM score", () => {
  assert.deepEqual([0, 1, 1000, 1e9].map(cpuShares), [2, 2, 1024, 262_144]);
  const container = {
    name: "a",
    resources: {
      limits: { cpu: "1500m", memory: "32Mi", "hugepages-2Mi": "4Mi" },
      requests: { cpu: "50m", memory: "16Mi" },
    },
  };
  assert.deepEqual(containerResources(container), {
    cpuShares: 51,
    cpuPeriodUs: 100_000,
    cpuQuotaUs: 150_000,
    memoryLimitBytes: 33_554_432,
  });
  assert.deepEqual(hugepageLimits(container), [{ pageSize: "2MB", limit: 4_194_304 }]);
  const pod = podOf({ containers: ["a", "b"] });
  assert.equal(oomScoreAdj(pod, pod.spec!.containers[0]!, 2 ** 34), 1000);
  pod.spec!.containers[0]!.resources = container.resources;
  assert.equal(oomScoreAdj(pod, pod.spec!.containers[0]!, 2 ** 30), 985);
  assert.deepEqual(podCgroupResources(pod), {
    cpuShares: 51,
    cpuPeriodUs: 100_000,
    cpuQuotaUs: 0,
    memoryLimitBytes: 0,
    hugepages: [{ pageSize: "2MB", limit: 4_194_304 }],
    unified: {},
  });
});

// The suite's "PodRejectionStatus Kubelet should reject pod when the node didn't have enough resource".
test("status: a refused pod says why, and for which generation", () => {
  const pod = podOf({ containers: ["a"] });
  pod.metadata.generation = 3;
  assert.deepEqual(refusedStatus(pod, { reason: "OutOfcpu", message: "no cpu", now: 0 }), {
    observedGeneration: 3,
    phase: "Failed",
    reason: "OutOfcpu",
    message: "Pod was rejected: no cpu",
    startTime: "1970-01-01T00:00:00Z",
    qosClass: "BestEffort",
  });
});

test("final status: what nobody saw end has failed, what never had its turn keeps waiting", () => {
  const states = (pod: PodView, runtime: PodStatusInput["runtime"]) => {
    const status = podStatus(pod, input({ runtime, ended: true }));
    const of = (one: { state?: { terminated?: { reason?: string }; waiting?: { reason?: string } } }) =>
      one.state?.terminated?.reason ?? one.state?.waiting?.reason;
    return [status.phase, status.initContainerStatuses?.map(of), status.containerStatuses?.map(of)];
  };
  const plain = podOf({ containers: ["a"] });
  assert.deepEqual(states(plain, runtimeOf(plain, {})), ["Failed", undefined, ["ContainerStatusUnknown"]]);
  const problems = new Map([["a", { reason: "ImagePullBackOff", message: "m" }]]);
  const twice = (old: PodStatusInput["old"]) =>
    podStatus(plain, input({ runtime: runtimeOf(plain, {}), ended: true, problems, old }));
  assert.deepEqual(twice(twice({})).containerStatuses, twice({}).containerStatuses);
  const withInit = podOf({ init: ["i", "j"], containers: ["a"] });
  assert.deepEqual(states(withInit, runtimeOf(withInit, {})), [
    "Failed",
    ["ContainerStatusUnknown", "PodInitializing"],
    ["PodInitializing"],
  ]);
  const done = podOf({ containers: ["a"] });
  const ended = runtimeOf(done, { containers: { a: { state: "exited" } } });
  assert.deepEqual(states(done, ended), ["Succeeded", undefined, ["Completed"]]);
});

test("lost sandbox: init containers that run again put the pod back to Pending, sidecars don't", () => {
  const exited = { state: "exited", sandboxId: "sandbox-1" } as const;
  const sandboxes = [{}, { ready: false }];
  const pod = podOf({ init: ["i"], containers: ["a"] });
  const again = runtimeOf(pod, { sandboxes, containers: { i: [{ state: "running" }, exited], a: exited } });
  assert.deepEqual(view(pod, { runtime: again }), ["Pending", "True", "False ContainersNotReady"]);
  const beside = podOf({ sidecars: ["s"], containers: ["a"] });
  beside.spec!.initContainers![0]!.startupProbe = { exec: {} };
  const runtime = runtimeOf(beside, { containers: { s: { state: "running" }, a: { state: "running" } } });
  assert.equal(view(beside, { runtime })[0], "Running");
});

test("messages of ends: together they stay small", () => {
  const pod = podOf({ containers: ["a", "b", "c"], spec: { restartPolicy: "Never" } });
  const long = { state: "exited", exitCode: 1, message: "x".repeat(9000) } as const;
  const status = podStatus(pod, input({ runtime: runtimeOf(pod, { containers: { a: long, b: long, c: long } }) }));
  assert.deepEqual(
    status.containerStatuses?.map(({ state }) => state?.terminated?.message?.length),
    [4096, 4096, 4096],
  );
});

test("statuses: by name; debug containers are neither started nor ready; what a newer runtime tells is shown", () => {
  const pod = podOf({ containers: ["b", "a"] });
  pod.spec!.ephemeralContainers = [{ name: "e" }];
  pod.spec!.containers[0]!.resources = { requests: { cpu: "1" } };
  const user = { uid: 7, gid: 8, supplementalGroups: [9] };
  const running = { state: "running" } as const;
  const status = podStatus(
    pod,
    input({ runtime: runtimeOf(pod, { containers: { a: running, b: { ...running, user }, e: running } }) }),
  );
  const [a, b] = status.containerStatuses ?? [];
  const [e] = status.ephemeralContainerStatuses ?? [];
  assert.deepEqual([a?.name, a?.resources, a?.user], ["a", {}, undefined]);
  assert.deepEqual(
    [b?.name, b?.resources, b?.allocatedResources, b?.user],
    ["b", { requests: { cpu: "1" } }, { cpu: "1" }, { linux: user }],
  );
  assert.deepEqual([e?.started, e?.ready], [undefined, false]);
});

test("init container that the runtime has forgotten: it ended well if others were started", () => {
  const pod = podOf({ init: ["i"], containers: ["a"] });
  const status = podStatus(pod, input({ runtime: runtimeOf(pod, { containers: { a: { state: "running" } } }) }));
  assert.equal(status.initContainerStatuses?.[0]?.state?.terminated?.reason, "Completed");
  assert.equal(status.phase, "Running");
});

test("eviction: conditions say at once that the pod fails, the node says why when it has", () => {
  const pod = podOf({ containers: ["a"] });
  const condition = { type: "DisruptionTarget", status: "True", reason: "TerminationByKubelet" };
  const verdict = { phase: "Failed", reason: "Evicted", message: "m", condition } as const;
  const of = (ended: boolean) => {
    const containers = { a: ended ? ({ state: "exited", exitCode: 137 } as const) : ({ state: "running" } as const) };
    const { conditions, phase } = podStatus(pod, input({ runtime: runtimeOf(pod, { containers }), verdict, ended }));
    const reason = (type: string) => conditions?.find((one) => one.type === type)?.reason;
    return [phase, reason("Ready"), reason("DisruptionTarget")];
  };
  assert.deepEqual(of(false), ["Running", "PodFailed", undefined]);
  assert.deepEqual(of(true), ["Failed", "PodFailed", "TerminationByKubelet"]);
});

// Upstream's "Pod conditions managed by Kubelet": a pod that waits for volumes isn't ready to start containers, whatever its sandbox.
test("ready to start containers: with a sandbox and all volumes", () => {
  const pod = podOf({ containers: ["a"] });
  const of = (waitsForVolumes: boolean, containers: Record<string, object> | undefined, sandboxes = [{}]) =>
    podStatus(
      pod,
      input({ waitsForVolumes, runtime: runtimeOf(pod, { sandboxes, ...(containers ? { containers } : {}) }) }),
    ).conditions?.find(({ type }) => type === "PodReadyToStartContainers")?.status;
  assert.deepEqual(
    [of(false, undefined, []), of(true, undefined), of(false, undefined), of(true, { a: { state: "running" } })],
    ["False", "False", "True", "True"],
  );
});
