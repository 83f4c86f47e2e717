import assert from "node:assert/strict";
import { test } from "node:test";
import type { Lease, Node, Pod } from "#api";
import { formatMicroTime, type KubernetesObject, statusError } from "#machinery";
import { FakeTransport } from "#testing";
import { ago, runController, testNow, testPod } from "../lib/fixture.ts";
import { nodeLifecycleController } from "./controller.ts";

const leasesPath = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

function addNode(transport: FakeTransport, name: string): void {
  const node: Node = {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name },
    spec: {},
    status: { conditions: [{ type: "Ready", status: "True", lastHeartbeatTime: ago(100) }] },
  };
  transport.create("/api/v1/nodes", node);
  transport.create(leasesPath, lease(name, 0));
}

const lease = (name: string, atMs: number): Lease => ({
  apiVersion: "coordination.k8s.io/v1",
  kind: "Lease",
  metadata: { name },
  spec: { renewTime: formatMicroTime(testNow + atMs) },
});

const nodeIn = (transport: FakeTransport, name: string) => transport.objects.get(`/api/v1/nodes/${name}`) as Node;
const readyOf = (node: Node) => node.status?.conditions?.find(({ type }) => type === "Ready")?.status;

test("node lifecycle: a node that renews its lease lives, one that doesn't is unknown, tainted, and its pods not ready", async () => {
  const transport = new FakeTransport();
  addNode(transport, "silent");
  addNode(transport, "alive");
  const running = runController(nodeLifecycleController, transport);
  transport.create("/api/v1/namespaces/default/pods", testPod({ name: "p", node: "silent", readySince: 5 }));
  await running.until(() => running.events.length === 2);
  for (let second = 10; second <= 40; second += 10) {
    running.clock.advance(10_000);
    transport.put(`${leasesPath}/alive`, lease("alive", second * 1000));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(readyOf(nodeIn(transport, "silent")), "True");
  running.clock.advance(10_000);
  await running.until(() => (nodeIn(transport, "silent").spec?.taints ?? []).length === 2);
  assert.equal(readyOf(nodeIn(transport, "silent")), "Unknown");
  assert.equal(readyOf(nodeIn(transport, "alive")), "True");
  assert.deepEqual(
    nodeIn(transport, "silent").spec?.taints?.map(({ key, effect }) => `${key}:${effect}`),
    ["node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"],
  );
  const pod = transport.objects.get("/api/v1/namespaces/default/pods/p") as Pod;
  assert.equal(pod.status?.conditions?.[0]?.status, "False");
  assert.deepEqual(
    running.events.map(({ about, reason, message }) => `${about} ${reason}: ${message}`),
    [
      "Node/silent RegisteredNode: Node silent event: Registered Node silent in Controller",
      "Node/alive RegisteredNode: Node alive event: Registered Node alive in Controller",
      "Node/silent NodeNotReady: Node silent status is now: NodeNotReady",
      "Pod/p NodeNotReady: Node is not ready",
    ],
  );
  // Back again.
  const back = nodeIn(transport, "silent");
  const conditions = [{ type: "Ready", status: "True", lastHeartbeatTime: ago(-60) }];
  transport.put("/api/v1/nodes/silent", { ...back, status: { conditions } } as Node);
  await running.until(() => (nodeIn(transport, "silent").spec?.taints ?? []).length === 0);
  await running.stop();
});

test("node lifecycle: labels and taints of a new node are written without refusals", async () => {
  const transport = new FakeTransport();
  let refused = 0;
  transport.intercept = ({ method, path, body }) => {
    const { resourceVersion } = (body as KubernetesObject | undefined)?.metadata ?? {}; // a patch has its shape
    if (method !== "PATCH" || !resourceVersion) return;
    if (resourceVersion === transport.objects.get(path)?.metadata?.resourceVersion) return;
    refused++;
    throw statusError.modified({ group: "", resource: "nodes" }, "new");
  };
  const node: Node = {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "new", labels: { "kubernetes.io/os": "linux" } },
    spec: {},
    status: { conditions: [{ type: "Ready", status: "False" }] },
  };
  transport.create("/api/v1/nodes", node);
  const running = runController(nodeLifecycleController, transport);
  await running.until(() => {
    running.clock.advance(5);
    return (nodeIn(transport, "new").spec?.taints ?? []).length > 0;
  });
  assert.equal(nodeIn(transport, "new").metadata.labels?.["beta.kubernetes.io/os"], "linux");
  assert.equal(refused, 0);
  await running.stop();
});
