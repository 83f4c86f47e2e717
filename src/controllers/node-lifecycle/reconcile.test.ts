import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, Taint } from "#api";
import { ago, testNow } from "../lib/fixture.ts";
import { labelChanges, planTaints, unknownConditions } from "./reconcile.ts";
import { assessDisruption, EvictionTurns } from "./zones.ts";

interface Shape {
  ready?: string;
  pressure?: string;
  taints?: Taint[];
  unschedulable?: boolean;
  zone?: string;
  labels?: Record<string, string>;
}

const node = (name: string, { ready, pressure, taints, unschedulable, zone, labels }: Shape = {}): Node => ({
  metadata: {
    name,
    creationTimestamp: ago(500),
    labels: { ...(zone ? { "topology.kubernetes.io/zone": zone } : {}), ...labels },
  },
  spec: { ...(taints ? { taints } : {}), ...(unschedulable ? { unschedulable } : {}) },
  status: {
    conditions: [
      ...(ready ? [{ type: "Ready", status: ready }] : []),
      ...(pressure ? [{ type: pressure, status: "True" }] : []),
    ],
  },
});

const taint = (key: string, effect: string, timeAdded?: string): Taint => ({
  key: `node.kubernetes.io/${key}`,
  effect,
  ...(timeAdded ? { timeAdded } : {}),
});

const now = ago(0);
for (const [why, of, eviction, expected] of [
  ["ready: none", node("n", { ready: "True" }), "allowed", undefined],
  [
    "not ready",
    node("n", { ready: "False" }),
    "allowed",
    [taint("not-ready", "NoSchedule", now), taint("not-ready", "NoExecute", now)],
  ],
  ["silent, not its turn", node("n", { ready: "Unknown" }), "held", [taint("unreachable", "NoSchedule", now)]],
  [
    "silent after not ready: swapped at once",
    node("n", { ready: "Unknown", taints: [taint("not-ready", "NoSchedule"), taint("not-ready", "NoExecute")] }),
    "held",
    [taint("unreachable", "NoSchedule", now), taint("unreachable", "NoExecute", now)],
  ],
  [
    "well again, others' taints stay",
    node("n", { ready: "True", taints: [{ key: "mine", effect: "NoExecute" }, taint("unreachable", "NoExecute")] }),
    "allowed",
    [{ key: "mine", effect: "NoExecute" }],
  ],
  [
    "no node works",
    node("n", { ready: "Unknown", taints: [taint("unreachable", "NoSchedule"), taint("unreachable", "NoExecute")] }),
    "cancelled",
    [taint("unreachable", "NoSchedule")],
  ],
  [
    "cordoned and short of disk",
    node("n", { ready: "True", unschedulable: true, pressure: "DiskPressure" }),
    "allowed",
    [taint("disk-pressure", "NoSchedule", now), taint("unschedulable", "NoSchedule", now)],
  ],
] satisfies [string, Node, "allowed" | "held" | "cancelled", Taint[] | undefined][])
  test(`node taints: ${why}`, () => {
    assert.deepEqual(planTaints(of, { eviction, now: testNow }), expected);
  });

test("node conditions: a silent node's are unknown, and say why", () => {
  const conditions = unknownConditions(node("n", { ready: "True" }), testNow);
  assert.deepEqual(conditions?.[0], {
    type: "Ready",
    status: "Unknown",
    reason: "NodeStatusUnknown",
    message: "Kubelet stopped posting node status.",
    lastTransitionTime: now,
  });
  assert.deepEqual(conditions?.[1], {
    type: "MemoryPressure",
    status: "Unknown",
    reason: "NodeStatusNeverUpdated",
    message: "Kubelet never posted node status.",
    lastHeartbeatTime: ago(500),
    lastTransitionTime: now,
  });
  assert.equal(unknownConditions({ ...node("n"), status: { conditions: conditions ?? [] } }, testNow), undefined);
});

test("node labels: the old names follow", () => {
  assert.deepEqual(labelChanges(node("n", { labels: { "kubernetes.io/os": "linux" } })), {
    "beta.kubernetes.io/os": "linux",
  });
  assert.equal(labelChanges(node("n")), undefined);
});

test("disruption: one node in ten seconds; none in a small zone that fails; never when all have failed", () => {
  const turns = new EvictionTurns();
  const down = node("a", { ready: "Unknown", zone: "z" });
  const some = assessDisruption([down, node("b", { ready: "True", zone: "z" })]);
  assert.deepEqual(turns.ask(down, { disruption: some, now: testNow }), { eviction: "allowed" });
  turns.take(down, testNow);
  assert.deepEqual(turns.ask(down, { disruption: some, now: testNow + 4000 }), { eviction: "held", againMs: 6000 });
  const most = assessDisruption([
    ...["a", "b", "c"].map((name) => node(name, { ready: "False", zone: "z" })),
    node("d", { ready: "True", zone: "z" }),
  ]);
  assert.equal(turns.ask(down, { disruption: most, now: testNow + 60_000 }).eviction, "held");
  const all = assessDisruption([down, node("b", { ready: "False", zone: "y" })]);
  assert.deepEqual(turns.ask(down, { disruption: all, now: testNow }), { eviction: "cancelled" });
});
