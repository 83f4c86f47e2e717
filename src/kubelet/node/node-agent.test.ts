import assert from "node:assert/strict";
import { test } from "node:test";
import type { Lease, Node } from "#api";
import { FakeClock, silentLogger } from "#base";
import { createClient } from "#client";
import { statusError } from "#machinery";
import { FakeTransport } from "#testing";
import { createNodeAgent, type NodeAgentOptions } from "./node-agent.ts";

const nodePath = "/api/v1/nodes/n";
const leasePath = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n";
const machine = { architecture: "amd64", bootId: "boot-2" } as NodeAgentOptions["identity"]["machine"]; // the rest is only shown
const condition = (type: string, status: string) => ({ type, status });

/** An agent whose status the test sets. */
function start(api: FakeTransport, config: Partial<NodeAgentOptions["config"]> = {}) {
  const clock = new FakeClock(0);
  const events: string[] = [];
  const stop = new AbortController();
  const state = { ready: "True" };
  const agent = createNodeAgent({
    client: createClient(api),
    clock,
    log: silentLogger,
    recorder: { event: (_, { reason, message }) => void events.push(`${reason}: ${message}`) },
    identity: { nodeName: "n", machine, labels: {}, taints: [] },
    config: {
      ...{ registerNode: true, nodeStatusUpdateFrequency: 10_000, nodeStatusReportFrequency: 300_000 },
      ...{ nodeLeaseDurationSeconds: 20, ...config },
    },
    shown: () => api.objects.get(nodePath) as Node | undefined, // only the node is there
    status: async () => ({ conditions: [condition("MemoryPressure", "False"), condition("Ready", state.ready)] }),
  });
  const running = agent.run(stop.signal);
  const writes = () =>
    api.requests.filter(({ path, method }) => path === `${nodePath}/status` && method === "PATCH").length;
  return {
    ...{ agent, clock, events, state, writes },
    lease: () => api.objects.get(leasePath) as Lease | undefined, // only the lease is there
    async settled() {
      await agent.registered();
      for (let turns = 0; turns < 50; turns++) await new Promise(setImmediate);
    },
    async close() {
      stop.abort();
      await running;
    },
  };
}

test("node: registers, tells how it is, and shows its life by a lease that belongs to it", async () => {
  const api = new FakeTransport();
  const { settled, events, lease, clock, writes, state, agent, close } = start(api);
  await settled();
  const node = api.objects.get(nodePath);
  assert.deepEqual(events, [
    "Starting: Starting kubelet.",
    "NodeHasSufficientMemory: Node n status is now: NodeHasSufficientMemory",
  ]);
  assert.deepEqual(lease()?.metadata.ownerReferences, [
    { apiVersion: "v1", kind: "Node", name: "n", uid: node?.metadata?.uid },
  ]);
  assert.equal(lease()?.spec?.leaseDurationSeconds, 20);
  const renewed = lease()?.spec?.renewTime;
  clock.advance(5000);
  await settled();
  assert.notEqual(lease()?.spec?.renewTime, renewed);
  // Nothing new to tell.
  clock.advance(5000);
  await settled();
  assert.equal(writes(), 0);
  state.ready = "False";
  agent.changed();
  await settled();
  assert.equal(writes(), 1);
  await close();
});

test("node: one that was here before is taken over; a new boot and being closed to pods are told", async () => {
  const api = new FakeTransport();
  await api.request({
    method: "POST",
    path: "/api/v1/nodes",
    body: {
      metadata: { name: "n", labels: { "kubernetes.io/os": "beos", own: "1" } },
      spec: { taints: [{ key: "a", effect: "NoSchedule" }] },
      status: { nodeInfo: { bootID: "boot-1" }, conditions: [condition("Ready", "Unknown")] },
    },
  });
  await api.request({ method: "POST", path: leasePath.replace("/n", ""), body: { metadata: { name: "n" }, spec: {} } });
  api.intercept = ({ method, path }) => {
    // Of another fake, which doesn't know the subresource.
    if (path === `${nodePath}/status`) return { ...api.objects.get(nodePath) };
    if (method === "POST" && path === "/api/v1/nodes")
      throw statusError.forbidden({ group: "", resource: "nodes" }, "n", "no");
    return undefined;
  };
  const { settled, events, lease, agent, close } = start(api);
  await settled();
  const { metadata } = api.objects.get(nodePath) ?? {};
  assert.equal(metadata?.labels?.["kubernetes.io/os"], "linux");
  assert.equal(metadata?.labels?.own, "1");
  assert.ok(events.includes("Rebooted: Node n has been rebooted, boot id: boot-2"));
  assert.ok(events.includes("NodeReady: Node n status is now: NodeReady"));
  assert.equal(lease()?.metadata.ownerReferences?.[0]?.uid, metadata?.uid);
  await api.request({ method: "PATCH", path: nodePath, body: { spec: { unschedulable: true } } });
  agent.changed();
  await settled();
  assert.ok(events.includes("NodeNotSchedulable: Node n status is now: NodeNotSchedulable"));
  await close();
});

test("node: waits for somebody else's object when it may not register itself", async () => {
  const api = new FakeTransport();
  const { clock, settled, close } = start(api, { registerNode: false });
  await new Promise(setImmediate);
  await api.request({ method: "POST", path: "/api/v1/nodes", body: { metadata: { name: "n" }, status: {} } });
  for (let tries = 0; tries < 20; tries++) {
    await new Promise(setImmediate);
    clock.advance(1000);
  }
  await settled();
  assert.equal(api.requests.filter(({ method, path }) => method === "POST" && path === "/api/v1/nodes").length, 1);
  await close();
});
