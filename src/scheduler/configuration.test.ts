import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigurationError, readSchedulerConfiguration } from "./configuration.ts";
import { ClusterState } from "./core/cluster-state.ts";
import { makeNode, makePod } from "./core/fixtures.ts";
import type { Profile } from "./core/framework.ts";
import { createPodInfo } from "./core/pod-info.ts";
import { defaultProfile } from "./core/default-plugins.ts";
import { feasibleWanted } from "./core/schedule.ts";

const head = { apiVersion: "kubescheduler.config.k8s.io/v1", kind: "KubeSchedulerConfiguration" };
const read = (more: object) => readSchedulerConfiguration({ ...head, ...more });
const names = (rules: readonly { name: string }[]) => rules.map(({ name }) => name);

test("configuration: says nothing, is the default", () => {
  const { profiles, backoff } = read({});
  const [only] = profiles;
  assert.ok(only);
  const facts = ({ filters, scores, ...rest }: Profile) => ({
    ...rest,
    filters: names(filters),
    scores: scores.map(({ name, weight }) => [name, weight]),
  });
  assert.deepEqual(facts(only), facts({ ...defaultProfile, percentageOfNodesToScore: undefined }));
  assert.deepEqual(backoff, { firstMs: 1_000, maxMs: 10_000 });
});

test("configuration: profiles with rules off, on and weighted", () => {
  const { profiles, backoff } = read({
    percentageOfNodesToScore: 20,
    podInitialBackoffSeconds: 2,
    podMaxBackoffSeconds: 60,
    leaderElection: { leaderElect: false },
    profiles: [
      {
        schedulerName: "default-scheduler",
        plugins: { score: { disabled: [{ name: "ImageLocality" }], enabled: [{ name: "NodeAffinity", weight: 7 }] } },
      },
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
            enabled: [
              { name: "NodeName" },
              { name: "TaintToleration", weight: 9 },
              { name: "PrioritySort" },
              { name: "DefaultBinder" },
            ],
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
    // What is given comes first.
    [
      "NodeAffinity",
      ...names(defaultProfile.scores).filter((name) => name !== "ImageLocality" && name !== "NodeAffinity"),
    ],
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

const profile = (more: object) => ({ profiles: [{ schedulerName: "a", ...more }] });
const args = (name: string, given: object) => profile({ pluginConfig: [{ name, args: given }] });
const invalid = (field: string, value: string, why: string) => `${field}: Invalid value: ${value}: ${why}`;
const creating = "initializing profiles: creating profile for scheduler name a:";
const fitting = `${creating} initializing plugin "NodeResourcesFit":`;
const given = "profiles[0].pluginConfig[0].args";
/** As kube-scheduler 1.36.3 says it. */
for (const [document, message] of [
  ["text", `Object 'Kind' is missing in '"text"'`],
  [{ apiVersion: undefined }, `Object 'apiVersion' is missing in '{"kind":"KubeSchedulerConfiguration"}'`],
  [
    { kind: "Pod" },
    'no kind "Pod" is registered for version "kubescheduler.config.k8s.io/v1" in scheme "pkg/runtime/scheme.go:111"',
  ],
  [{ foo: 1 }, 'strict decoding error: unknown field "foo"'],
  [
    { profiles: [{ bar: 1, plugins: { filter: { on: [] } } }] },
    'strict decoding error: unknown field "profiles[0].bar", unknown field "profiles[0].plugins.filter.on"',
  ],
  [
    { parallelism: "x" },
    "json: cannot unmarshal string into Go struct field KubeSchedulerConfiguration.parallelism of type int32",
  ],
  [
    { profiles: [{ schedulerName: 3 }] },
    "json: cannot unmarshal number into Go struct field KubeSchedulerProfile.profiles.schedulerName of type string",
  ],
  [{ parallelism: 0 }, invalid("parallelism", "0", "should be an integer value greater than zero")],
  [{ podInitialBackoffSeconds: 0 }, invalid("podInitialBackoffSeconds", "0", "must be greater than 0")],
  [
    { podMaxBackoffSeconds: 0 },
    invalid("podMaxBackoffSeconds", "0", "must be greater than or equal to PodInitialBackoffSeconds"),
  ],
  [{ percentageOfNodesToScore: 101 }, invalid("percentageOfNodesToScore", "101", "not in valid range [0-100]")],
  [{ profiles: [{ schedulerName: "a" }, {}] }, "profiles[1].schedulerName: Required value"],
  [{ profiles: [{ schedulerName: "a" }, { schedulerName: "a" }] }, "profiles[1].schedulerName: Duplicate value: {}"],
  [
    { leaderElection: { leaderElect: true, resourceLock: "endpoints" } },
    invalid("leaderElection.resourceLock", '"endpoints"', 'resourceLock value must be "leases"'),
  ],
  [profile({ plugins: { filter: { enabled: [{ name: "Nope" }] } } }), `${creating} FilterPlugin "Nope" does not exist`],
  [
    profile({ plugins: { score: { enabled: [{ name: "NodePorts" }] } } }),
    `${creating} plugin "NodePorts" does not extend ScorePlugin plugin`,
  ],
  [
    profile({ plugins: { queueSort: { disabled: [{ name: "*" }] } } }),
    `${creating} only one queue sort plugin required for profile with scheduler name "a", but got 0`,
  ],
  [
    profile({ plugins: { bind: { disabled: [{ name: "*" }] } } }),
    `${creating} at least one bind plugin is needed for profile with scheduler name "a"`,
  ],
  [
    args("NodeResourcesFit", { scoringStrategy: { type: "X" } }),
    `${fitting} scoringStrategy.type: Unsupported value: "X": supported values: "LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"`,
  ],
  [
    args("NodeResourcesFit", { scoringStrategy: { type: "RequestedToCapacityRatio" } }),
    `${fitting} scoringStrategy.requestedToCapacityRatio: Required value: must be specified when type is RequestedToCapacityRatio`,
  ],
  [
    args("NodeResourcesFit", { bar: 1 }),
    'strict decoding error: decoding .profiles[0].pluginConfig[0]: strict decoding error: decoding args for plugin NodeResourcesFit: strict decoding error: unknown field "bar"',
  ],
  [
    args("InterPodAffinity", { hardPodAffinityWeight: 101 }),
    invalid(`${given}.hardPodAffinityWeight`, "101", "not in valid range [0, 100]"),
  ],
  [
    args("InterPodAffinity", { apiVersion: head.apiVersion, kind: "NodeAffinityArgs" }),
    "decoding .profiles[0].pluginConfig[0]: args for plugin InterPodAffinity were not of type InterPodAffinityArgs.kubescheduler.config.k8s.io, got NodeAffinityArgs.kubescheduler.config.k8s.io",
  ],
  [
    args("DefaultPreemption", { minCandidateNodesPercentage: 101, minCandidateNodesAbsolute: -1 }),
    `[${invalid(`${given}.minCandidateNodesPercentage`, "101", "not in valid range [0, 100]")}, ${invalid(`${given}.minCandidateNodesAbsolute`, "-1", "not in valid range [0, inf)")}]`,
  ],
  [
    args("NodeResourcesBalancedAllocation", { resources: [{ name: "cpu", weight: 2 }] }),
    invalid(`${given}.resources[0].weight`, "2", "must be 1"),
  ],
  [
    args("PodTopologySpread", {
      defaultConstraints: [{ maxSkew: 1, topologyKey: "z", whenUnsatisfiable: "DoNotSchedule" }],
    }),
    invalid(`${given}.defaultingType`, '"System"', "when .defaultConstraints are not empty"),
  ],
  [
    args("VolumeBinding", { bindTimeoutSeconds: -1 }),
    invalid(`${given}.bindTimeoutSeconds`, "-1", "invalid BindTimeoutSeconds, should not be a negative value"),
  ],
  [
    { extenders: [{ urlPrefix: "http://x", prioritizeVerb: "p" }] },
    invalid("extenders[0].weight", "0", "must have a positive weight applied to it"),
  ],
  [
    { extenders: [{ urlPrefix: "http://x", managedResources: [{ name: "cpu" }] }] },
    invalid("extenders[0].managedResources[0].name", '"cpu"', "is an invalid extended resource name"),
  ],
] as const) {
  test(`configuration: ${JSON.stringify(document).slice(0, 100)} is refused`, () => {
    assert.throws(
      () => (typeof document === "string" ? readSchedulerConfiguration(document) : read(document)),
      (error) => {
        assert.ok(error instanceof ConfigurationError);
        assert.equal(error.message, message);
        return true;
      },
    );
  });
}

test("configuration: arguments of rules, extenders and leader election", () => {
  const { profiles, extenders, leaderElection } = read({
    leaderElection: { leaderElect: false, leaseDuration: "30s" },
    extenders: [
      {
        urlPrefix: "http://x",
        httpTimeout: "1m",
        managedResources: [{ name: "example.com/a", ignoredByScheduler: true }],
      },
    ],
    ...profile({
      pluginConfig: [
        { name: "DefaultPreemption", args: { minCandidateNodesAbsolute: 7 } },
        { name: "VolumeBinding", args: { bindTimeoutSeconds: 5 } },
        {
          name: "NodeResourcesFit",
          args: { scoringStrategy: { type: "MostAllocated", resources: [{ name: "cpu" }] } },
        },
      ],
    }),
  });
  const [only] = profiles;
  assert.ok(only);
  assert.deepEqual(only.candidates, { minCandidateNodesPercentage: 10, minCandidateNodesAbsolute: 7 });
  assert.equal(only.bindTimeoutMs, 5000);
  assert.deepEqual(leaderElection, { leaderElect: false, leaseDuration: 30_000 });
  assert.equal(extenders[0]?.httpTimeout, 60_000);

  const state = new ClusterState();
  const nodes = ["2", "8"].map((cpu) => state.setNode(makeNode(cpu, { allocatable: { cpu } })));
  const pod = createPodInfo(makePod("p", { requests: { cpu: "1", "example.com/a": "3" } }));
  const fit = only.filters.find(({ name }) => name === "NodeResourcesFit")?.prepare(pod, state);
  assert.deepEqual(
    nodes.map((node) => fit?.filter?.(node)),
    [undefined, undefined],
    "the extender minds that resource",
  );
  const score = only.scores.find(({ name }) => name === "NodeResourcesFit")?.prepare(pod, state, nodes);
  assert.deepEqual(
    nodes.map((node) => score?.score(node)),
    [50, 12],
  );
});

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
