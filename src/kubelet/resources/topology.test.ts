import assert from "node:assert/strict";
import { test } from "node:test";
import { type Hint, type Hints, maskOf, masksOf, mergeHints, nodesIn, type TopologyPolicy } from "./topology.ts";

const machine = { nodes: [0, 1], distance: (from: number, to: number) => (from === to ? 10 : 20) };
const hint = (nodes: number[] | undefined, preferred: boolean): Hint => ({
  nodes: nodes && maskOf(nodes),
  preferred,
});
const both: Hint[] = [hint([0], true), hint([1], true), hint([0, 1], false)];

test("masks: every set of nodes, small ones first", () => {
  assert.deepEqual(masksOf([0, 1, 3]).map(nodesIn), [[0], [1], [3], [0, 1], [0, 3], [1, 3], [0, 1, 3]]);
});

test("topology: what suits all, and whether the policy takes it", () => {
  type Policy = Exclude<TopologyPolicy, "none">;
  const all: Policy[] = ["best-effort", "restricted", "single-numa-node"];
  const cases: [
    name: string,
    policies: Policy[],
    hints: Hints[],
    nodes: number[] | undefined,
    isAdmitted: boolean[],
  ][] = [
    ["nobody minds", ["best-effort", "restricted"], [new Map(), new Map()], [0, 1], [true, true]],
    ["nobody minds, one node wanted", ["single-numa-node"], [new Map()], undefined, [true]],
    ["one minds", all, [new Map([["cpu", [hint([1], true)]]]), new Map()], [1], [true, true, true]],
    ["the lower number of equals", all, [new Map([["cpu", both]])], [0], [true, true, true]],
    [
      "two agree",
      all,
      [new Map([["cpu", both]]), new Map([["gpu", [hint([1], true), hint([0, 1], false)]]])],
      [1],
      [true, true, true],
    ],
    [
      "two differ",
      ["best-effort", "restricted"],
      [new Map([["cpu", [hint([0], true)]]]), new Map([["gpu", [hint([1], true)]]])],
      [0, 1],
      [true, false],
    ],
    ["impossible anywhere", ["best-effort", "restricted"], [new Map([["cpu", []]])], [0, 1], [true, false]],
    [
      "only over both nodes",
      ["best-effort", "restricted"],
      [new Map([["cpu", [hint([0, 1], true)]]])],
      [0, 1],
      [true, true],
    ],
    [
      "only over both nodes, one wanted",
      ["single-numa-node"],
      [new Map([["cpu", [hint([0, 1], true)]]])],
      undefined,
      [false],
    ],
    [
      "no preference for one resource",
      all,
      [
        new Map<string, Hint[] | undefined>([
          ["a", undefined],
          ["cpu", [hint([0], true)]],
        ]),
      ],
      [0],
      [true, true, true],
    ],
  ];
  for (const [name, policies, hints, nodes, isAdmitted] of cases)
    policies.forEach((policy, at) => {
      const found = mergeHints(hints, { policy, machine });
      assert.deepEqual(
        [found.hint.nodes && nodesIn(found.hint.nodes), found.isAdmitted],
        [nodes, isAdmitted[at]],
        `${name}, ${policy}`,
      );
    });
});

test("topology: close nodes go before low numbers when the settings say so", () => {
  const four = {
    nodes: [0, 1, 2, 3],
    distance: (from: number, to: number) => (from === to ? 10 : Math.abs(from - to) === 2 ? 11 : 30),
  };
  const pairs = [
    [0, 1],
    [0, 2],
    [1, 3],
  ].map((nodes) => hint(nodes, true));
  const merged = (preferClosest: boolean) =>
    mergeHints([new Map([["cpu", pairs]])], { policy: "best-effort", machine: four, preferClosest }).hint.nodes ?? 0;
  assert.deepEqual(
    [nodesIn(merged(false)), nodesIn(merged(true))],
    [
      [0, 1],
      [0, 2],
    ],
  );
});
