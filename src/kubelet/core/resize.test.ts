import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod, PodSpec } from "#api";
import {
  planResize,
  podAmounts,
  podResourcesStatus,
  resizeMessage,
  resizeOrder,
  resourcesOf,
  resourcesStatus,
  withResources,
} from "./resize.ts";
import { podOf, runtimeOf } from "./testing.ts";

type Sizes = [cpu?: string, memory?: string];
const list = ([cpu, memory]: Sizes) => ({ ...(cpu ? { cpu } : {}), ...(memory ? { memory } : {}) });
const sized = (requests: Sizes, limits: Sizes = requests) => ({ requests: list(requests), limits: list(limits) });

function podWith(resources: Record<string, ReturnType<typeof sized>>, spec: Partial<PodSpec> = {}): Pod {
  const pod = podOf({ containers: Object.keys(resources), spec });
  for (const container of pod.spec!.containers) container.resources = resources[container.name]!; // named above
  return pod;
}

test("resize: a pod is shown with what it was granted, and is the same object when that is what it asks for", () => {
  const wish = podWith({ a: sized(["200m", "64Mi"]) });
  const granted = resourcesOf(podWith({ a: sized(["100m", "64Mi"]) }));
  assert.equal(withResources(wish, granted).spec?.containers[0]?.resources?.requests?.cpu, "100m");
  assert.equal(withResources(wish, resourcesOf(podWith({ a: sized(["0.2", "65536Ki"]) }))), wish);
});

test("resize: what shrinks comes first, a policy makes a container start again, nothing is done twice", () => {
  const before = podWith({ a: sized(["100m", "64Mi"]), b: sized(["100m", "64Mi"]), c: sized(["1", "1Gi"]) });
  const after = podWith({ a: sized(["200m", "32Mi"]), b: sized(["50m", "128Mi"]), c: sized(["2", "1Gi"]) });
  after.spec!.containers[2]!.resizePolicy = [{ resourceName: "cpu", restartPolicy: "RestartContainer" }];
  const runtime = runtimeOf(after, { containers: { a: {}, b: {}, c: {} } });
  const plan = planResize(after, runtime, resourcesOf(before));
  assert.deepEqual([...plan.restart], ["c"]);
  const names = (key: "cpu" | "memory") => plan.updates[key].map(({ container }) => container.name);
  assert.deepEqual([names("cpu"), names("memory"), plan.isDone], [["b", "a"], ["a", "b"], false]);
  assert.equal(planResize(after, runtime, resourcesOf(after)).isDone, true);
  const stopped = runtimeOf(after, { containers: { a: { state: "exited" }, b: {}, c: {} } });
  assert.equal(planResize(before, stopped, resourcesOf(before)).isDone, true);
  assert.equal(planResize(after, runtime, undefined).isDone, true);
});

test("resize: a limit of the pod stands in for a missing one of a container", () => {
  const spec = { resources: { limits: { cpu: "1", memory: "1Gi" }, requests: { cpu: "1", memory: "1Gi" } } };
  const pod = podWith({ a: { requests: {}, limits: {} } }, spec);
  const told = resourcesOf(podWith({ a: { requests: {}, limits: { cpu: "500m", memory: "1Gi" } } }, spec));
  const plan = planResize(pod, runtimeOf(pod, { containers: { a: {} } }), told);
  assert.deepEqual([plan.updates.cpu[0]?.from.cpu.limit, plan.updates.cpu[0]?.to.cpu.limit], [500, 1000]);
  assert.deepEqual([plan.updates.memory.length, plan.podLevel], [0, false]);
});

test("resize: events name everything that is asked for", () => {
  const pod = podWith({ a: { requests: { memory: "1Mi", cpu: "1m" }, limits: {} } });
  assert.equal(
    resizeMessage("Pod resize started", pod, { generation: 2 }),
    'Pod resize started: {"containers":[{"name":"a","resources":{"limits":{},"requests":{"cpu":"1m","memory":"1Mi"}}}],"generation":2}',
  );
});

test("resize: order by growth, priority, class, and how long it has waited", () => {
  const of = (name: string, more: { priority?: number; grows?: boolean; since?: number; class?: string }) => ({
    pod: {
      metadata: { name },
      spec: { containers: [], priority: more.priority ?? 0 },
      status: { qosClass: more.class ?? "Burstable" },
    },
    grows: more.grows ?? true,
    since: more.since,
  });
  const list = [
    of("new", {}),
    of("old", { since: 1 }),
    of("guaranteed", { class: "Guaranteed" }),
    of("important", { priority: 5 }),
    of("shrinks", { grows: false }),
  ];
  const order = list.sort(resizeOrder).map(({ pod }) => pod.metadata.name);
  assert.deepEqual(order, ["shrinks", "important", "guaranteed", "old", "new"]);
});

test("resize: a status has what the runtime says, else what it was told, else what was granted", () => {
  const pod = podWith({ a: sized(["100m", "64Mi"], ["200m", "128Mi"]) });
  const [spec] = pod.spec!.containers;
  const [run] = runtimeOf(pod, { containers: { a: {} } }).containers;
  const actuated = sized(["50m", "32Mi"], ["100m", "64Mi"]);
  assert.deepEqual(resourcesStatus(spec!, run!, { old: undefined, actuated: undefined }), spec!.resources);
  assert.deepEqual(resourcesStatus(spec!, run!, { old: undefined, actuated }), actuated);
  const resources = { cpuRequestMilli: 70, cpuLimitMilli: 200, memoryLimitBytes: 2 ** 27 };
  assert.deepEqual(resourcesStatus(spec!, { ...run!, resources }, { old: undefined, actuated }), {
    requests: { cpu: "70m", memory: "32Mi" },
    limits: { cpu: "200m", memory: "128Mi" },
  });
});

test("resize: amounts of a pod, of its containers and of its group", () => {
  const pod = podWith({ a: sized(["100m", "64Mi"], ["200m"]), b: sized(["0.25", "0.5Gi"], ["1"]) });
  assert.deepEqual(podAmounts(pod, "requests"), { cpu: "350m", memory: "576Mi" });
  assert.deepEqual(podResourcesStatus(pod), {
    resources: { requests: { cpu: "350m", memory: "576Mi" }, limits: { cpu: "1200m" } },
    allocatedResources: { cpu: "350m", memory: "576Mi" },
  });
  assert.deepEqual(podResourcesStatus(podOf({ containers: ["a"] })), { resources: {} });
});

test("resize: a running init container gets its new size, and nobody waits for that", () => {
  const before = podOf({ init: ["i"], containers: ["a"] });
  const after = structuredClone(before);
  before.spec!.initContainers![0]!.resources = sized(["100m", "64Mi"]);
  after.spec!.initContainers![0]!.resources = sized(["200m", "64Mi"]);
  const plan = planResize(after, runtimeOf(after, { containers: { i: {} } }), resourcesOf(before));
  assert.deepEqual([plan.updates.cpu[0]?.container.name, plan.hasWork, plan.isDone], ["i", true, true]);
});
