import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, Pod, Taint, Toleration } from "#api";
import { FakeTransport } from "#testing";
import { runController, testPod } from "../lib/fixture.ts";
import { taintEvictionController } from "./controller.ts";
import { stayMs } from "./reconcile.ts";

const pods = "/api/v1/namespaces/default/pods";
const taints: Taint[] = [{ key: "k", value: "v", effect: "NoExecute" }];
const pod = (name: string, tolerations: Toleration[] = []): Pod => {
  const made = testPod({ name, node: "n" });
  return { ...made, spec: { ...made.spec, containers: [], tolerations } };
};

for (const [why, tolerations, expected] of [
  ["none", [], 0],
  ["for good", [{ key: "k", operator: "Exists" }], Number.POSITIVE_INFINITY],
  ["for a time", [{ key: "k", operator: "Equal", value: "v", effect: "NoExecute", tolerationSeconds: 30 }], 30_000],
  ["everything", [{ operator: "Exists" }], Number.POSITIVE_INFINITY],
  ["another value", [{ key: "k", value: "w" }], 0],
  ["another effect", [{ key: "k", operator: "Exists", effect: "NoSchedule" }], 0],
  ["no time at all", [{ key: "k", operator: "Exists", tolerationSeconds: -5 }], 0],
] satisfies [string, Toleration[], number][])
  test(`toleration: ${why}`, () => assert.equal(stayMs(pod("p", tolerations), taints), expected));

test("taint eviction: at once, after a time, or never; and not when the taint goes in time", async () => {
  const transport = new FakeTransport();
  const node: Node = { apiVersion: "v1", kind: "Node", metadata: { name: "n" }, spec: {} };
  transport.create("/api/v1/nodes", node);
  for (const [name, seconds] of [
    ["soon", 60],
    ["later", 300],
  ] as const) {
    transport.create(pods, pod(name, [{ key: "k", operator: "Exists", tolerationSeconds: seconds }]));
  }
  transport.create(pods, pod("now"));
  transport.create(pods, pod("never", [{ operator: "Exists" }]));
  const running = runController(taintEvictionController, transport);
  const left = () =>
    [...transport.objects.keys()].filter((path) => path.startsWith(pods)).map((path) => path.slice(pods.length + 1));
  transport.put("/api/v1/nodes/n", { ...node, spec: { taints } } as Node);
  await running.until(() => left().length === 3);
  assert.deepEqual(left(), ["soon", "later", "never"]);
  running.clock.advance(60_000);
  await running.until(() => left().length === 2);
  transport.put("/api/v1/nodes/n", node);
  await running.until(() => running.events.length === 3);
  assert.deepEqual(
    running.events.map(({ message }) => message),
    [
      "Marking for deletion Pod default/now",
      "Marking for deletion Pod default/soon",
      "Cancelling deletion of Pod default/later",
    ],
  );
  running.clock.advance(300_000);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(left(), ["later", "never"]);
  await running.stop();
});
