import assert from "node:assert/strict";
import { test } from "node:test";
import { testNow, type PodShape, testPod } from "./fixture.ts";
import { rankForDeletion } from "./pod-ranking.ts";

const running = { node: "n1", readySince: 50 };

for (const [why, first, second] of [
  ["unassigned before assigned", { name: "a" }, { name: "b", ...running }],
  ["pending before running", { name: "a", node: "n1", phase: "Pending" }, { name: "b", ...running }],
  ["unknown before running", { name: "a", node: "n1", phase: "Unknown" }, { name: "b", ...running }],
  ["not ready before ready", { name: "a", node: "n1" }, { name: "b", ...running }],
  [
    "cheaper before dearer",
    { name: "a", ...running, annotations: { "controller.kubernetes.io/pod-deletion-cost": "-5" } },
    { name: "b", ...running },
  ],
  ["more restarts first", { name: "a", ...running, restarts: 3 }, { name: "b", ...running, restarts: 1 }],
  [
    "of those ready for about as long the uid decides, not restarts",
    { name: "a", node: "n1", readySince: 50 },
    { name: "b", node: "n1", readySince: 51, restarts: 9 },
  ],
  ["much younger first", { name: "a", ...running, created: 60 }, { name: "b", ...running, created: 6000 }],
  [
    "ready for much shorter first",
    { name: "a", node: "n1", readySince: 2 },
    { name: "b", node: "n1", readySince: 900 },
  ],
  [
    "equal ages are alike, the uid decides",
    { name: "a", ...running, created: 70 },
    { name: "b", ...running, created: 69 },
  ],
] satisfies [string, PodShape, PodShape][])
  test(`deletion order: ${why}`, () => {
    const pods = [testPod(second), testPod(first)];
    const ranked = rankForDeletion(pods, { related: [], now: testNow });
    assert.deepEqual(
      ranked.map((pod) => pod.metadata.name),
      [first.name, second.name],
    );
  });

test("deletion order: pods with siblings on their node go first", () => {
  const crowded = testPod({ name: "z", node: "n2", readySince: 50 });
  const alone = testPod({ name: "a", node: "n1", readySince: 50 });
  const sibling = testPod({ name: "s", node: "n2", readySince: 50 });
  const ranked = rankForDeletion([alone, crowded], { related: [alone, crowded, sibling], now: testNow });
  assert.equal(ranked[0]?.metadata.name, "z");
});
