/** The cases are those of upstream's horizontal controller: stabilization, policies, and the words for them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { HPAScalingPolicy, HPAScalingRules } from "#api";
import { type History, limitByRules, limitPlainly, newHistory, recordChange, type Rules } from "./limits.ts";

const now = 10_000_000;
const windowMs = 300_000;
const at = (secondsAgo: number, replicas: number) => ({ at: now - secondsAgo * 1000, replicas });
const history = (change: Partial<History> = {}): History => ({
  recommendations: [],
  added: [],
  removed: [],
  ...change,
});

const plain: readonly [
  name: string,
  wish: [current: number, desired: number, min: number, max: number],
  recommended: [secondsAgo: number, replicas: number][],
  replicas: number,
  able: string,
  limited: string,
][] = [
  ["nothing to do", [3, 3, 1, 10], [], 3, "ReadyForNewScale", "DesiredWithinRange"],
  ["up", [3, 5, 1, 10], [], 5, "ReadyForNewScale", "DesiredWithinRange"],
  ["at most twice as many", [5, 40, 1, 100], [], 10, "ReadyForNewScale", "ScaleUpLimit"],
  ["or four", [1, 40, 1, 100], [], 4, "ReadyForNewScale", "ScaleUpLimit"],
  ["at most what it may", [5, 40, 1, 7], [], 7, "ReadyForNewScale", "TooManyReplicas"],
  ["at least what it must", [5, 1, 2, 7], [], 2, "ReadyForNewScale", "TooFewReplicas"],
  ["down waits for the window", [5, 2, 1, 7], [[290, 5]], 5, "ScaleDownStabilized", "DesiredWithinRange"],
  [
    "down to the highest within it",
    [9, 2, 1, 9],
    [
      [310, 9],
      [100, 4],
    ],
    4,
    "ScaleDownStabilized",
    "DesiredWithinRange",
  ],
  ["down when it is over", [5, 2, 1, 7], [[301, 5]], 2, "ReadyForNewScale", "DesiredWithinRange"],
];
for (const [name, [current, desired, min, max], recommended, replicas, able, limited] of plain) {
  test(`limits without rules: ${name}`, () => {
    const own = history({ recommendations: recommended.map(([ago, count]) => at(ago, count)) });
    const found = limitPlainly({ current, desired, min, max, now }, { history: own, windowMs });
    assert.deepEqual([found.replicas, found.able.reason, found.limited.reason], [replicas, able, limited]);
    assert.equal(found.limited.status, limited === "DesiredWithinRange" ? "False" : "True");
    assert.deepEqual(own.recommendations.at(-1), { replicas: desired, at: now });
  });
}

const pods = (value: number, periodSeconds = 60): HPAScalingPolicy => ({ type: "Pods", value, periodSeconds });
const percent = (value: number, periodSeconds = 60): HPAScalingPolicy => ({ type: "Percent", value, periodSeconds });
const rules = (up: HPAScalingRules, down: HPAScalingRules = up): Rules => ({
  up: { stabilizationWindowSeconds: 0, selectPolicy: "Max", ...up },
  down: { stabilizationWindowSeconds: 0, selectPolicy: "Max", ...down },
});

const byRules: readonly [
  name: string,
  rules: Rules,
  wish: [current: number, desired: number],
  before: Partial<History>,
  replicas: number,
  able: string,
  limited: string,
][] = [
  ["up by pods", rules({ policies: [pods(4)] }), [3, 10], {}, 7, "ReadyForNewScale", "ScaleUpLimit"],
  ["up by percent, rounded up", rules({ policies: [percent(10)] }), [3, 10], {}, 4, "ReadyForNewScale", "ScaleUpLimit"],
  [
    "up by the larger",
    rules({ policies: [pods(1), percent(100)] }),
    [5, 99],
    {},
    10,
    "ReadyForNewScale",
    "ScaleUpLimit",
  ],
  [
    "up by the smaller",
    rules({ policies: [pods(1), percent(100)], selectPolicy: "Min" }),
    [5, 99],
    {},
    6,
    "ReadyForNewScale",
    "ScaleUpLimit",
  ],
  [
    "up never",
    rules({ policies: [pods(9)], selectPolicy: "Disabled" }),
    [5, 99],
    {},
    5,
    "ReadyForNewScale",
    "ScaleUpLimit",
  ],
  ["up to the bound", rules({ policies: [percent(1000)] }), [50, 999], {}, 100, "ReadyForNewScale", "TooManyReplicas"],
  [
    "up, what was added counts",
    rules({ policies: [pods(4)] }),
    [6, 10],
    { added: [at(30, 3)] },
    7,
    "ReadyForNewScale",
    "ScaleUpLimit",
  ],
  [
    "up, what was added long ago doesn't",
    rules({ policies: [pods(4)] }),
    [6, 10],
    { added: [at(61, 3)] },
    10,
    "ReadyForNewScale",
    "DesiredWithinRange",
  ],
  [
    "up, more was added than the rules allow",
    rules({ policies: [pods(1)] }),
    [9, 12],
    { added: [at(5, 6)] },
    9,
    "ReadyForNewScale",
    "ScaleUpLimit",
  ],
  [
    "up, what was taken away counts back",
    rules({ policies: [pods(2)] }),
    [3, 9],
    { removed: [at(10, 2)] },
    7,
    "ReadyForNewScale",
    "ScaleUpLimit",
  ],
  ["down by pods", rules({ policies: [pods(2)] }), [9, 1], {}, 7, "ReadyForNewScale", "ScaleDownLimit"],
  [
    "down by percent, rounded down",
    rules({ policies: [percent(10)] }),
    [9, 1],
    {},
    8,
    "ReadyForNewScale",
    "ScaleDownLimit",
  ],
  [
    "down by the larger",
    rules({ policies: [pods(1), percent(50)] }),
    [10, 1],
    {},
    5,
    "ReadyForNewScale",
    "ScaleDownLimit",
  ],
  [
    "down by the smaller",
    rules({ policies: [pods(1), percent(50)], selectPolicy: "Min" }),
    [10, 1],
    {},
    9,
    "ReadyForNewScale",
    "ScaleDownLimit",
  ],
  [
    "down never",
    rules({ policies: [pods(9)], selectPolicy: "Disabled" }),
    [10, 2],
    {},
    10,
    "ReadyForNewScale",
    "ScaleDownLimit",
  ],
  ["down to the bound", rules({ policies: [percent(100)] }), [5, 0], {}, 1, "ReadyForNewScale", "TooFewReplicas"],
  [
    "down, what was taken away counts",
    rules({ policies: [pods(3)] }),
    [7, 1],
    { removed: [at(20, 2)] },
    6,
    "ReadyForNewScale",
    "ScaleDownLimit",
  ],
  [
    "down, more was taken away than allowed",
    rules({ policies: [pods(1)] }),
    [4, 1],
    { removed: [at(20, 5)] },
    4,
    "ReadyForNewScale",
    "ScaleDownLimit",
  ],
  [
    "up waits for its window",
    rules({ policies: [pods(9)], stabilizationWindowSeconds: 60 }),
    [3, 8],
    { recommendations: [at(59, 3), at(20, 6)] },
    3,
    "ScaleUpStabilized",
    "DesiredWithinRange",
  ],
  [
    "up to the lowest of its window",
    rules({ policies: [pods(9)], stabilizationWindowSeconds: 60 }, { policies: [pods(9)] }),
    [3, 8],
    { recommendations: [at(61, 3), at(20, 6)] },
    6,
    "ScaleUpStabilized",
    "DesiredWithinRange",
  ],
  [
    "down waits for its window",
    rules({ policies: [pods(9)] }, { policies: [pods(9)], stabilizationWindowSeconds: 60 }),
    [8, 3],
    { recommendations: [at(59, 8), at(20, 4)] },
    8,
    "ScaleDownStabilized",
    "DesiredWithinRange",
  ],
  [
    "within both windows nothing moves",
    rules({ policies: [pods(9)], stabilizationWindowSeconds: 60 }),
    [5, 5],
    { recommendations: [at(10, 2), at(20, 9)] },
    5,
    "ReadyForNewScale",
    "DesiredWithinRange",
  ],
];
for (const [name, own, [current, desired], before, replicas, able, limited] of byRules) {
  test(`limits by rules: ${name}`, () => {
    const wish = { current, desired, min: 1, max: 100, now };
    const found = limitByRules(wish, { rules: own, history: history(before), windowMs });
    assert.deepEqual([found.replicas, found.able.reason, found.limited.reason], [replicas, able, limited]);
  });
}

test("limits by rules: down waits as long as the controller says where the rules don't", () => {
  const own: Rules = { up: {}, down: { policies: [percent(100)] } };
  const wish = { current: 5, desired: 2, min: 1, max: 9, now };
  const after = (secondsAgo: number) => ({
    rules: own,
    history: history({ recommendations: [at(secondsAgo, 5)] }),
    windowMs,
  });
  assert.equal(limitByRules(wish, after(299)).replicas, 5);
  assert.equal(limitByRules(wish, after(301)).replicas, 2);
});

test("limits: what no rule asks for any more is forgotten", () => {
  const own = newHistory(3, now - 3_600_000);
  const both = rules({ policies: [pods(4, 60), pods(8, 120)] });
  for (let second = 0; second < 600; second += 15) {
    const wish = { current: 3, desired: 3 + (second % 4), min: 1, max: 9, now: now + second * 1000 };
    limitByRules(wish, { rules: both, history: own, windowMs });
    recordChange(own, { from: 3, to: 5, now: wish.now }, both);
    recordChange(own, { from: 5, to: 3, now: wish.now }, both);
  }
  assert.equal(own.added.length, 9);
  assert.equal(own.removed.length, 9);
  assert.ok(own.recommendations.length <= 2, `${own.recommendations.length} recommendations`);
});
