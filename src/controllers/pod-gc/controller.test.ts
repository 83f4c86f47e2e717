import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "#api";
import { statusError } from "#machinery";
import { FakeTransport } from "#testing";
import { runController, testPod } from "../lib/fixture.ts";
import { podGarbageCollector } from "./controller.ts";

const pods = "/api/v1/namespaces/default/pods";

test("pod garbage: pods of lost nodes after quarantine, unscheduled ones that go, finished ones beyond the limit", async () => {
  const transport = new FakeTransport();
  transport.create("/api/v1/nodes", { apiVersion: "v1", kind: "Node", metadata: { name: "n" } });
  transport.create(pods, testPod({ name: "fine", node: "n" }));
  transport.create(pods, testPod({ name: "lost", node: "gone" }));
  transport.create(pods, testPod({ name: "unscheduled", deleting: true, phase: "Pending" }));
  for (const [name, created] of [
    ["old", 500],
    ["older", 900],
    ["new", 10],
  ] as const) {
    transport.create(pods, testPod({ name, node: "n", phase: "Succeeded", created }));
  }
  transport.intercept = ({ path }) => {
    if (path === "/api/v1/nodes/gone") throw statusError.notFound({ group: "", resource: "nodes" }, "gone");
    return undefined;
  };
  const running = runController(podGarbageCollector, transport, { terminatedPodsMax: 1 });
  const left = () =>
    [...transport.objects.keys()].filter((path) => path.startsWith(pods)).map((path) => path.slice(pods.length + 1));
  await running.until(() => left().length === 5);
  assert.ok(!left().includes("unscheduled"));
  running.clock.advance(20_000);
  await running.until(() => left().length === 3);
  assert.deepEqual(left(), ["fine", "lost", "new"]);
  running.clock.advance(20_000);
  await running.until(() => left().length === 2);
  assert.deepEqual(left(), ["fine", "new"]);
  const patch = transport.requests.find(({ method, path }) => method === "PATCH" && path === `${pods}/lost/status`);
  assert.match(JSON.stringify(patch?.body), /"phase":"Failed".*"reason":"DeletionByPodGC"/);
  await running.stop();
});

test("pod garbage: evicted ones go first, then the oldest", async () => {
  const transport = new FakeTransport();
  transport.create("/api/v1/nodes", { apiVersion: "v1", kind: "Node", metadata: { name: "n" } });
  for (const [name, created, status] of [
    ["oldest", 900, { phase: "Succeeded" }],
    ["evicted", 100, { phase: "Failed", reason: "Evicted" }],
    ["odd", 10, {}],
  ] as const)
    transport.create(pods, { ...testPod({ name, node: "n", created }), status } as Pod);
  const running = runController(podGarbageCollector, transport, { terminatedPodsMax: 2 });
  const left = () =>
    [...transport.objects.keys()].filter((path) => path.startsWith(pods)).map((path) => path.slice(pods.length + 1));
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  running.clock.advance(20_000);
  await running.until(() => left().length === 2);
  assert.deepEqual(left(), ["oldest", "odd"]);
  await running.stop();
});

test("pod garbage: pods that go on a node out of service go at once, others stay", async () => {
  const transport = new FakeTransport();
  const node = (name: string, ready: string) => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name },
    spec: { taints: [{ key: "node.kubernetes.io/out-of-service", effect: "NoExecute" }] },
    status: { conditions: [{ type: "Ready", status: ready }] },
  });
  transport.create("/api/v1/nodes", node("out", "Unknown"));
  transport.create("/api/v1/nodes", node("fine", "True"));
  transport.create(pods, testPod({ name: "goes", node: "out", deleting: true }));
  transport.create(pods, testPod({ name: "runs", node: "out" }));
  transport.create(pods, testPod({ name: "ends", node: "fine", deleting: true }));
  const running = runController(podGarbageCollector, transport);
  await running.until(() => transport.objects.size === 4);
  assert.equal(transport.objects.has(`${pods}/goes`), false);
  await running.stop();
});
