import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#base";
import { ClusterState } from "./cluster-state.ts";
import { defaultProfile } from "./default-plugins.ts";
import { makeNode, makePod } from "./fixtures.ts";
import type { ClusterEvent } from "./framework.ts";
import { NodeInfo } from "./node-info.ts";
import { createPendingPods } from "./pending-pods.ts";
import { createPodInfo } from "./pod-info.ts";

function setUp() {
  const clock = new FakeClock();
  const queue = createPendingPods({
    filters: defaultProfile.filters,
    state: new ClusterState(),
    clock,
    onReady: () => undefined,
  });
  const add = (name: string, options = {}) => queue.set(createPodInfo(makePod(name, options)));
  const drain = () => {
    const names: string[] = [];
    for (let entry = queue.next(); entry; entry = queue.next()) names.push(entry.pod.name);
    return names;
  };
  return { clock, queue, add, drain };
}

function nodeEvent(kind: "node-added" | "node-updated", options = {}): ClusterEvent {
  const node = new NodeInfo("n");
  node.setNode(makeNode("n", options));
  const changed = { allocatable: true, labels: true, taints: true, unschedulable: true, declaredFeatures: true };
  return kind === "node-added" ? { kind, node } : { kind, node, changed };
}

const podDeleted: ClusterEvent = { kind: "pod-deleted", pod: createPodInfo(makePod("gone")) };

test("pending pods: highest priority first, then first come", () => {
  const { clock, add, drain } = setUp();
  add("a");
  clock.advance(1);
  add("b", { spec: { priority: 10 } });
  add("c");
  add("d", { spec: { priority: 10 } });
  assert.deepEqual(drain(), ["b", "d", "a", "c"]);
});

test("pending pods: gated ones wait for their gates", () => {
  const { add, drain } = setUp();
  add("a", { spec: { schedulingGates: [{ name: "g" }] } });
  assert.deepEqual(drain(), []);
  add("a");
  assert.deepEqual(drain(), ["a"]);
});

test("pending pods: a rejected pod waits for an event that its rejecting rules care for", () => {
  const { queue, add, drain } = setUp();
  add("fit", { requests: { cpu: "2" } });
  add("affinity", { spec: { nodeSelector: { x: "y" } } });
  add("nothing");
  for (const by of [["NodeResourcesFit"], ["NodeAffinity"], []]) {
    const entry = queue.next();
    if (entry) queue.reject(entry, new Set(by));
  }
  assert.deepEqual(drain(), []);
  queue.notify({ kind: "pod-added", pod: createPodInfo(makePod("x")) });
  queue.notify(nodeEvent("node-updated", { allocatable: { cpu: "1" } }));
  assert.deepEqual(drain(), []);
  queue.notify(podDeleted);
  assert.deepEqual(drain(), ["fit"]);
  queue.notify(nodeEvent("node-updated", { labels: { x: "y" } }));
  assert.deepEqual(drain(), ["affinity"]);
  queue.notify(nodeEvent("node-added"));
  assert.deepEqual(drain(), ["nothing"]);
});

test("pending pods: many that may fit again come back after 1 s, 2 s, … 10 s", () => {
  const { clock, queue, add, drain } = setUp();
  for (let index = 0; index < 101; index++) add(`p${index}`);
  for (const seconds of [1, 2, 4, 8, 10, 10]) {
    for (let entry = queue.next(); entry; entry = queue.next()) queue.reject(entry, new Set(["NodeResourcesFit"]));
    queue.notify(podDeleted);
    clock.advance(seconds * 1_000 - 1);
    assert.equal(queue.next(), undefined);
    clock.advance(1);
  }
  assert.equal(drain().length, 101);
});

test("pending pods: a few that may fit again are tried at once when nothing else is to do", () => {
  const { queue, add } = setUp();
  add("a");
  const entry = queue.next();
  assert.ok(entry);
  queue.reject(entry, new Set(["NodeResourcesFit"]));
  queue.notify(podDeleted);
  add("b");
  assert.equal(queue.next()?.pod.name, "b");
  assert.equal(queue.next()?.pod.name, "a");
});

test("pending pods: one that failed for another reason comes back after its back-off, never earlier", () => {
  const { clock, queue, add } = setUp();
  add("a");
  const entry = queue.next();
  assert.ok(entry);
  queue.retry(entry);
  assert.equal(queue.next(), undefined);
  clock.advance(1_000);
  assert.equal(queue.next(), entry);
});

test("pending pods: a changed specification is worth a try, a changed status is not", () => {
  const { queue, add, drain } = setUp();
  add("a");
  const entry = queue.next();
  assert.ok(entry);
  queue.reject(entry, new Set(["TaintToleration"]));
  add("a", { status: { phase: "Pending", conditions: [{ type: "PodScheduled", status: "False" }] } });
  assert.deepEqual(drain(), []);
  add("a", { spec: { tolerations: [{ operator: "Exists" }] } });
  assert.deepEqual(drain(), ["a"]);
});

test("pending pods: after five minutes a waiting pod is tried anyway; a deleted one never", () => {
  const { clock, queue, add, drain } = setUp();
  for (const name of ["a", "b"]) {
    add(name);
    const entry = queue.next();
    if (entry) queue.reject(entry, new Set(["TaintToleration"]));
  }
  queue.delete("uid-b");
  clock.advance(299_000);
  assert.deepEqual(drain(), []);
  clock.advance(61_000);
  assert.deepEqual(drain(), ["a"]);
  queue.close();
});
