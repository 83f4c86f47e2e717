import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigurationError, readSchedulerConfiguration } from "./configuration.ts";
import { defaultProfile } from "./core/default-plugins.ts";
import { feasibleWanted } from "./core/schedule.ts";

const head = { apiVersion: "kubescheduler.config.k8s.io/v1", kind: "KubeSchedulerConfiguration" };
const read = (more: object) => readSchedulerConfiguration({ ...head, ...more });
const names = (rules: readonly { name: string }[]) => rules.map(({ name }) => name);

test("configuration: says nothing, is the default", () => {
  const { profiles, backoff } = read({});
  assert.deepEqual(profiles, [{ ...defaultProfile, percentageOfNodesToScore: undefined }]);
  assert.deepEqual(backoff, { firstMs: 1_000, maxMs: 10_000 });
});

test("configuration: profiles with rules off, on and weighted", () => {
  const { profiles, backoff } = read({
    percentageOfNodesToScore: 20,
    podInitialBackoffSeconds: 2,
    podMaxBackoffSeconds: 60,
    leaderElection: { leaderElect: false },
    profiles: [
      { plugins: { score: { disabled: [{ name: "ImageLocality" }], enabled: [{ name: "NodeAffinity", weight: 7 }] } } },
      {
        schedulerName: "plain",
        percentageOfNodesToScore: 100,
        plugins: {
          preScore: { disabled: [{ name: "*" }] },
          score: { disabled: [{ name: "*" }], enabled: [{ name: "NodeResourcesFit", weight: 0 }] },
          filter: { disabled: [{ name: "PodTopologySpread" }] },
          postFilter: { disabled: [{ name: "DefaultPreemption" }] },
        },
      },
      {
        schedulerName: "few",
        plugins: {
          multiPoint: {
            disabled: [{ name: "*" }],
            enabled: [{ name: "NodeName" }, { name: "TaintToleration", weight: 9 }],
          },
        },
      },
    ],
  });
  assert.deepEqual(backoff, { firstMs: 2_000, maxMs: 60_000 });
  const [first, plain, few] = profiles;
  assert.ok(first && plain && few);
  assert.equal(first.schedulerName, "default-scheduler");
  assert.deepEqual(names(first.filters), names(defaultProfile.filters));
  assert.deepEqual(
    names(first.scores),
    names(defaultProfile.scores).filter((name) => name !== "ImageLocality"),
  );
  assert.equal(first.scores.find(({ name }) => name === "NodeAffinity")?.weight, 7);
  assert.equal(first.scores.find(({ name }) => name === "TaintToleration")?.weight, 3);
  assert.equal(first.percentageOfNodesToScore, 20);
  assert.ok(first.preempts);
  assert.deepEqual(
    plain.scores.map(({ name, weight }) => [name, weight]),
    [["NodeResourcesFit", 1]],
  );
  assert.ok(!names(plain.filters).includes("PodTopologySpread"));
  assert.ok(!plain.preempts);
  assert.equal(plain.percentageOfNodesToScore, 100);
  assert.deepEqual(names(few.filters), ["NodeName", "TaintToleration"]);
  assert.deepEqual(
    few.scores.map(({ name, weight }) => [name, weight]),
    [["TaintToleration", 9]],
  );
  assert.ok(!few.preempts);
});

const profile = (more: object) => ({ profiles: [more] });
for (const [name, document, message] of [
  ["something else", "text", 'the file: want a map, have "text"'],
  ["another version", { kind: head.kind }, /^apiVersion, kind: want .*, have undefined KubeSchedulerConfiguration$/],
  ["extenders", { ...head, extenders: [] }, 'the file: "extenders" is not supported'],
  [
    "several schedulers",
    { ...head, leaderElection: { leaderElect: true } },
    /^leaderElection\.leaderElect: not supported/,
  ],
  ["arguments of rules", { ...head, ...profile({ pluginConfig: [] }) }, 'profiles[0]: "pluginConfig" is not supported'],
  [
    "a rule that isn't there",
    { ...head, ...profile({ plugins: { filter: { enabled: [{ name: "Mine" }] } } }) },
    /^profiles\[0\]\.plugins\.filter\.enabled\[0\]\.name: "Mine" is none of /,
  ],
  [
    "another queue",
    { ...head, ...profile({ plugins: { queueSort: {} } }) },
    "profiles[0].plugins.queueSort: can't be changed here",
  ],
  ["a name twice", { ...head, profiles: [{}, {}] }, 'profiles: "default-scheduler" is there twice'],
  ["too much", { ...head, percentageOfNodesToScore: 101 }, "percentageOfNodesToScore: want 0 to 100"],
  ["no back-off", { ...head, podInitialBackoffSeconds: 0 }, "podInitialBackoffSeconds: want at least 1"],
] as const) {
  test(`configuration: ${name} is refused`, () => {
    assert.throws(
      () => readSchedulerConfiguration(document),
      (error) => {
        assert.ok(error instanceof ConfigurationError);
        if (typeof message === "string") assert.equal(error.message, message);
        else assert.match(error.message, message);
        return true;
      },
    );
  });
}

test("scheduling: how many nodes are looked at can be said", () => {
  assert.deepEqual(
    [
      [50, 10],
      [1000, 0],
      [1000, 30],
      [1000, 1],
      [1000, 100],
    ].map(([nodes = 0, percent]) => feasibleWanted(nodes, percent)),
    [50, 420, 300, 100, 1000],
  );
});
