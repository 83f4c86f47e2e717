import assert from "node:assert/strict";
import { test } from "node:test";
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
