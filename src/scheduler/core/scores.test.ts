import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, Pod } from "#api";
import { ClusterState } from "./cluster-state.ts";
import { makeNode, makePod } from "./fixtures.ts";
import type { ScorePlugin } from "./framework.ts";
import { createPodInfo } from "./pod-info.ts";
import { imageLocality } from "./plugins/image-locality.ts";
import { createNodeAffinityScore } from "./plugins/node-affinity.ts";
import {
  createBalancedAllocation,
  createNodeResourcesScore,
  defaultFit,
  defaultResources,
} from "./plugins/node-resources.ts";
import { taintTolerationScore } from "./plugins/taint-toleration.ts";
import { createDecider, feasibleWanted } from "./schedule.ts";

function scoresOf(
  plugin: ScorePlugin,
  options: { nodes: Node[]; others?: [string, Pod][]; pod: Pod },
): number[] | undefined {
  const state = new ClusterState();
  for (const node of options.nodes) state.setNode(node);
  for (const [nodeName, pod] of options.others ?? []) {
    state.setPod({ ...pod, spec: { containers: [], ...pod.spec, nodeName } });
  }
  const prepared = plugin.prepare(createPodInfo(options.pod), state, state.nodes);
  if (!prepared) return undefined;
  const scores = Float64Array.from(state.nodes, prepared.score);
  prepared.normalize?.(scores);
  return [...scores];
}

const soft = (...keys: string[]) => ({ spec: { taints: keys.map((key) => ({ key, effect: "PreferNoSchedule" })) } });

test("scores: TaintToleration prefers nodes with fewer taints to overlook", () => {
  const nodes = [makeNode("a"), makeNode("b", soft("x")), makeNode("c", soft("x", "y"))];
  assert.deepEqual(scoresOf(taintTolerationScore, { nodes, pod: makePod("p") }), [100, 50, 0]);
  const tolerations = [{ key: "x", operator: "Exists" }];
  assert.deepEqual(
    scoresOf(taintTolerationScore, { nodes, pod: makePod("p", { spec: { tolerations } }) }),
    [100, 100, 0],
  );
  assert.equal(scoresOf(taintTolerationScore, { nodes: [makeNode("a")], pod: makePod("p") }), undefined);
});

test("scores: NodeAffinity adds the weights of the terms that match", () => {
  const term = (weight: number, key: string) => ({
    weight,
    preference: { matchExpressions: [{ key, operator: "Exists" }] },
  });
  const nodeAffinity = { preferredDuringSchedulingIgnoredDuringExecution: [term(2, "x"), term(6, "y")] };
  const nodes = [makeNode("a"), makeNode("b", { labels: { x: "" } }), makeNode("c", { labels: { x: "", y: "" } })];
  const pod = makePod("p", { spec: { affinity: { nodeAffinity } } });
  assert.deepEqual(scoresOf(createNodeAffinityScore(), { nodes, pod }), [0, 25, 100]);
  assert.equal(scoresOf(createNodeAffinityScore(), { nodes, pod: makePod("p") }), undefined);
});

test("scores: NodeResourcesFit prefers what stays free", () => {
  const nodes = [
    makeNode("a", { allocatable: { cpu: "4", memory: "10000" } }),
    makeNode("b", { allocatable: { cpu: "6", memory: "10000" } }),
  ];
  const pod = makePod("p", { requests: { cpu: "3", memory: "5000" } });
  // (25 + 50) / 2 and (50 + 50) / 2, upstream's own example.
  assert.deepEqual(scoresOf(createNodeResourcesScore(defaultFit), { nodes, pod }), [37, 50]);
  const others: [string, Pod][] = [["b", makePod("o", { requests: { cpu: "4", memory: "6000" } })]];
  assert.deepEqual(scoresOf(createNodeResourcesScore(defaultFit), { nodes, others, pod }), [37, 0]);
});

test("scores: NodeResourcesBalancedAllocation prefers like shares of cpu and memory", () => {
  const nodes = [
    makeNode("a", { allocatable: { cpu: "4", memory: "10000" } }),
    makeNode("b", { allocatable: { cpu: "6", memory: "10000" } }),
  ];
  const pod = makePod("p", { requests: { cpu: "3", memory: "5000" } });
  assert.deepEqual(scoresOf(createBalancedAllocation(defaultResources), { nodes, pod }), [68, 75]);
  assert.equal(scoresOf(createBalancedAllocation(defaultResources), { nodes, pod: makePod("p") }), undefined);
});

test("scores: ImageLocality prefers nodes that have the image, if it is large and widespread", () => {
  const images = (...sizes: number[]) => ({
    status: {
      images: sizes.map((megabytes, index) => ({ names: [`i${index}:latest`], sizeBytes: megabytes * 1024 * 1024 })),
    },
  });
  const nodes = [makeNode("a", images(500)), makeNode("b", images(10)), makeNode("c", images())];
  const pod = makePod("p", { spec: { containers: [{ name: "c", image: "i0" }] } });
  // 500 MB on two of three nodes: (333 - 23) / (1000 - 23).
  assert.deepEqual(scoresOf(imageLocality, { nodes, pod }), [31, 0, 0]);
  assert.equal(scoresOf(imageLocality, { nodes, pod: makePod("p") }), undefined);
});

test("scores: an image that lost its name to a newer one counts for nothing", () => {
  const images = [{ names: null as unknown as string[], sizeBytes: 500_000_000 }];
  const nodes = [makeNode("a", { status: { images } }), makeNode("b")];
  const pod = makePod("p", { spec: { containers: [{ name: "c", image: "web:1" }] } });
  assert.equal(scoresOf(imageLocality, { nodes, pod }), undefined);
});

test("decider: takes the best node, any of equals", () => {
  const state = new ClusterState();
  for (const name of ["a", "b", "c"]) state.setNode(makeNode(name));
  state.setPod(makePod("o", { requests: { cpu: "2" }, spec: { nodeName: "b" } }));
  const chosen = new Set<string>();
  for (let step = 0; step < 10; step++) {
    const decider = createDecider({ filters: [], scores: [createNodeResourcesScore(defaultFit)] }, () => step / 10);
    const decision = decider.decide(createPodInfo(makePod("p")), state);
    if ("node" in decision) chosen.add(decision.node.name);
  }
  assert.deepEqual([...chosen].sort(), ["a", "c"]);
});

test("decider: looks at enough nodes, and goes on there the next time", () => {
  assert.deepEqual(
    [50, 100, 1000, 6000].map((nodes) => feasibleWanted(nodes)),
    [50, 100, 420, 300],
  );
  const state = new ClusterState();
  for (let index = 0; index < 250; index++) state.setNode(makeNode(`n${index}`));
  const seen: string[] = [];
  const spy: ScorePlugin = {
    name: "spy",
    weight: 1,
    prepare: (_pod, _state, [first]) => void seen.push(first?.name ?? ""),
  };
  const decider = createDecider({ filters: [], scores: [spy] });
  for (let step = 0; step < 3; step++) decider.decide(createPodInfo(makePod("p")), state);
  assert.deepEqual(seen, ["n0", "n120", "n240"]);
});

test("cluster state: nodes alternate between zones", () => {
  const state = new ClusterState();
  const zone = (name: string) => ({ labels: { "topology.kubernetes.io/zone": name } });
  for (const [name, of] of [
    ["a1", "a"],
    ["a2", "a"],
    ["a3", "a"],
    ["b1", "b"],
  ] as const)
    state.setNode(makeNode(name, zone(of)));
  assert.deepEqual(
    state.nodes.map(({ name }) => name),
    ["a1", "b1", "a2", "a3"],
  );
  state.removeNode("a1");
  assert.deepEqual(
    state.nodes.map(({ name }) => name),
    ["a2", "b1", "a3"],
  );
});

test("cluster state: pods count on their node, before it is known and while they are assumed", () => {
  const state = new ClusterState();
  state.setPod(makePod("early", { requests: { cpu: "1" }, spec: { nodeName: "n" } }));
  assert.equal(state.nodes.length, 0);
  state.setNode(makeNode("n"));
  const assumed = createPodInfo(makePod("p", { requests: { cpu: "2" } }));
  state.assume(assumed, "n");
  assert.equal(state.node("n")?.requested.milliCpu, 3000);
  state.setPod(makePod("p", { requests: { cpu: "2" }, spec: { nodeName: "n" } }));
  assert.equal(state.isAssumed(assumed.uid), false);
  assert.equal(state.node("n")?.requested.milliCpu, 3000);
  state.removePod(assumed.uid);
  state.removePod("uid-early");
  assert.equal(state.node("n")?.requested.milliCpu, 0);
  assert.equal(state.node("n")?.assumed.memory, 0);
});
