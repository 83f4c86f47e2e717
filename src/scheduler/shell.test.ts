import assert from "node:assert/strict";
import { test } from "node:test";
import type { Binding, Event, Node, Pod } from "#api";
import { FakeClock } from "#base";
import { createClient, createInformers } from "#client";
import { type ApiRequest, statusError } from "#machinery";
import { FakeTransport } from "#testing";
import { makeNode, makePod } from "./core/fixtures.ts";
import { createScheduler } from "./shell.ts";

const podPath = (name: string) => `/api/v1/namespaces/ns/pods/${name}`;
const settle = async () => {
  for (let turn = 0; turn < 10; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
};

/** A scheduler on a server that knows bindings. */
function start(options: { nodes?: Node[]; refuse?: (request: ApiRequest) => Error | undefined } = {}) {
  const transport = new FakeTransport();
  const clock = new FakeClock();
  transport.intercept = (request) => {
    const refused = options.refuse?.(request);
    if (refused) throw refused;
    if (!request.path.endsWith("/binding")) return undefined;
    const path = request.path.slice(0, -"/binding".length);
    const pod = transport.objects.get(path) as Pod | undefined; // pods live at pod paths
    if (!pod) throw statusError.notFound({ group: "", resource: "pods" }, "gone");
    const { target } = request.body as Binding;
    const spec = { containers: [], ...pod.spec, nodeName: target.name };
    transport.put(path, { ...pod, spec } as Pod);
    return {};
  };
  for (const node of options.nodes ?? []) transport.create("/api/v1/nodes", node);
  const client = createClient(transport);
  const informers = createInformers(client, { clock });
  const scheduler = createScheduler({ client, informers, clock, host: "m" });
  const stop = new AbortController();
  const done = Promise.all([informers.run(stop.signal), scheduler.run(stop.signal)]);
  return {
    transport,
    clock,
    create: (pod: Pod) => transport.create("/api/v1/namespaces/ns/pods", pod),
    pod: (name: string) => transport.objects.get(podPath(name)) as Pod,
    events: () => [...transport.objects.values()].filter(({ kind }) => kind === "Event") as Event[],
    stop: async () => {
      stop.abort();
      await done;
    },
  };
}

test("scheduler: binds a pod and says so", async () => {
  const { create, pod, events, transport, stop } = start({ nodes: [makeNode("n1")] });
  create(makePod("p"));
  create(makePod("foreign", { spec: { schedulerName: "other" } }));
  await settle();
  assert.equal(pod("p").spec?.nodeName, "n1");
  assert.equal(pod("foreign").spec?.nodeName, undefined);
  const binding = transport.requests.find(({ path }) => path.endsWith("/binding"));
  assert.deepEqual(binding?.body, {
    kind: "Binding",
    apiVersion: "v1",
    metadata: { namespace: "ns", name: "p", uid: "uid-p" },
    target: { kind: "Node", name: "n1" },
  });
  const [event] = events();
  assert.equal(event?.type, "Normal");
  assert.equal(event?.reason, "Scheduled");
  assert.equal(event?.message, "Successfully assigned ns/p to n1");
  assert.equal(event?.reportingComponent, "default-scheduler");
  assert.equal(event?.reportingInstance, "default-scheduler-m");
  assert.equal(event?.action, "Binding");
  await stop();
});

test("scheduler: a burst spreads over the nodes and never overfills one, before any binding is confirmed", async () => {
  const nodes = ["a", "b", "c"].map((name) => makeNode(name, { allocatable: { cpu: "4" } }));
  const { create, pod, stop } = start({ nodes });
  for (let index = 0; index < 13; index++) create(makePod(`p${index}`, { requests: { cpu: "1" } }));
  await settle();
  const placed = Array.from({ length: 13 }, (_, index) => pod(`p${index}`).spec?.nodeName);
  for (const name of ["a", "b", "c"]) assert.equal(placed.filter((node) => node === name).length, 4);
  assert.equal(placed.filter((node) => node === undefined).length, 1);
  await stop();
});

test("scheduler: an unschedulable pod gets condition and event, and a place when one becomes free", async () => {
  const { create, pod, events, transport, clock, stop } = start({
    nodes: [makeNode("n1", { allocatable: { cpu: "1" } })],
  });
  create(makePod("first", { requests: { cpu: "1" } }));
  await settle();
  create(makePod("second", { requests: { cpu: "1" } }));
  await settle();
  const message = "0/1 nodes are available: 1 Insufficient cpu.";
  assert.deepEqual(pod("second").status?.conditions, [
    {
      type: "PodScheduled",
      status: "False",
      lastTransitionTime: "2026-01-01T00:00:00Z",
      reason: "Unschedulable",
      message,
    },
  ]);
  const failed = events().find(({ reason }) => reason === "FailedScheduling");
  assert.equal(failed?.type, "Warning");
  assert.equal(failed?.message, message);
  assert.equal(failed?.action, "Scheduling");
  const patches = () =>
    transport.requests.filter(({ method, path }) => method === "PATCH" && path.includes("/pods/")).length;
  assert.equal(patches(), 1, "its own patch is no reason to try again");
  transport.remove(podPath("first"));
  clock.advance(1_000);
  await settle();
  assert.equal(pod("second").spec?.nodeName, "n1");
  assert.equal(patches(), 1);
  await stop();
});

test("scheduler: pods that came before the first node are placed when it appears", async () => {
  const { create, pod, transport, clock, stop } = start();
  create(makePod("p"));
  await settle();
  assert.equal(pod("p").status?.conditions?.[0]?.message, "no nodes available to schedule pods");
  transport.create("/api/v1/nodes", makeNode("n1"));
  clock.advance(1_000);
  await settle();
  assert.equal(pod("p").spec?.nodeName, "n1");
  await stop();
});

test("scheduler: a failed binding frees the node and is tried again", async () => {
  let failures = 1;
  const { create, pod, events, clock, stop } = start({
    nodes: [makeNode("n1", { allocatable: { cpu: "1" } })],
    refuse: ({ path }) => (path.endsWith("/binding") && failures-- > 0 ? new Error("connection reset") : undefined),
  });
  create(makePod("p", { requests: { cpu: "1" } }));
  await settle();
  assert.equal(pod("p").spec?.nodeName, undefined);
  assert.equal(pod("p").status?.conditions?.[0]?.reason, "SchedulerError");
  assert.equal(events()[0]?.message, 'running Bind plugin "DefaultBinder": connection reset');
  clock.advance(1_000);
  await settle();
  assert.equal(pod("p").spec?.nodeName, "n1");
  await stop();
});

test("scheduler: a pod being deleted is not placed; a finished one frees its node", async () => {
  const { create, pod, events, transport, clock, stop } = start({
    nodes: [makeNode("n1", { allocatable: { cpu: "1" } })],
  });
  const dying = makePod("dying");
  create({ ...dying, metadata: { ...dying.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } });
  create(makePod("first", { requests: { cpu: "1" } }));
  await settle();
  assert.equal(pod("dying").spec?.nodeName, undefined);
  assert.equal(events()[0]?.message, "skip schedule deleting pod: ns/dying");
  create(makePod("second", { requests: { cpu: "1" } }));
  await settle();
  assert.equal(pod("second").spec?.nodeName, undefined);
  transport.patch(podPath("first"), { status: { phase: "Succeeded" } });
  clock.advance(1_000);
  await settle();
  assert.equal(pod("second").spec?.nodeName, "n1");
  await stop();
});
