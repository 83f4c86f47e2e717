import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod, PodDisruptionBudget, PodSpec } from "#api";
import { ClusterState, noObjects } from "./cluster-state.ts";
import { defaultProfile } from "./default-plugins.ts";
import { makeNode, makePod } from "./fixtures.ts";
import { createPodInfo } from "./pod-info.ts";
import { type Candidate, candidatesWanted, pickCandidate, preempt } from "./preempt.ts";
import { createDecider } from "./schedule.ts";

const now = Date.parse("2026-01-01T12:00:00Z");

interface PodOptions {
  cpu?: string;
  node?: string;
  started?: string;
  labels?: Record<string, string>;
  spec?: Partial<PodSpec>;
  status?: Pod["status"];
  deleting?: boolean;
}

/** A pod of a priority, on node n unless said otherwise. */
function placed(name: string, priority: number, options: PodOptions = {}): Pod {
  const { cpu = "1", node = "n", started, labels, spec, status, deleting } = options;
  const pod = makePod(name, {
    requests: { cpu },
    labels,
    spec: { priority, nodeName: node, ...spec },
    status: { ...(started ? { startTime: started } : {}), ...status },
  });
  if (deleting) pod.metadata.deletionTimestamp = "2026-01-01T11:59:00Z";
  return pod;
}

const waiting = (priority: number, options: PodOptions = {}) => {
  const pod = placed("p", priority, options);
  delete pod.spec?.nodeName;
  return pod;
};

function budget(allowed: number, more: Partial<PodDisruptionBudget> = {}): PodDisruptionBudget {
  return {
    kind: "PodDisruptionBudget",
    apiVersion: "policy/v1",
    metadata: { name: "b", namespace: "ns" },
    spec: { selector: { matchLabels: { app: "guarded" } } },
    status: { disruptionsAllowed: allowed },
    ...more,
  };
}
const guarded = { labels: { app: "guarded" } };

interface Case {
  name: string;
  pod: Pod;
  pods?: Pod[];
  /** CPUs by node; one node n with 2 unless said otherwise. */
  nodes?: Record<string, string>;
  budgets?: PodDisruptionBudget[];
  nominations?: { pod: Pod; node: string }[];
  /** Victims and where, or the message. */
  expected: { node: string; victims: string[] } | string;
}

function run({ pod, pods = [], nodes = { n: "2" }, budgets = [], nominations = [] }: Case) {
  const state = new ClusterState({ ...noObjects, budgets: () => budgets });
  for (const [name, cpu] of Object.entries(nodes)) state.setNode(makeNode(name, { allocatable: { cpu } }));
  for (const each of pods) state.setPod(each);
  for (const { pod: promised, node } of nominations) state.nominate(createPodInfo(promised), node);
  const info = createPodInfo(pod);
  const decision = createDecider(defaultProfile).decide(info, state);
  assert.ok("failure" in decision, "it fits without preemption");
  const before = picture(state);
  const { failure } = decision;
  const result = preempt(info, { failure, state, filters: defaultProfile.filters, now, random: () => 0 });
  assert.deepEqual(picture(state), before, "the state is as it was");
  if ("message" in result) return result.message;
  const best = pickCandidate(result.candidates, now);
  assert.ok(best);
  return { node: best.node.name, victims: best.victims.map(({ name }) => name) };
}

const picture = (state: ClusterState) =>
  state.nodes.map(({ name, pods, requested }) => ({ name, pods: [...pods.keys()].sort(), cpu: requested.milliCpu }));

const none = (reasons: string, nodes = 1) => `preemption: 0/${nodes} nodes are available: ${reasons}.`;
const away = (app: string): Partial<PodSpec> => ({
  affinity: {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: { app } } },
      ],
    },
  },
});

const cases: Case[] = [
  {
    name: "removes the lower pod that is in the way",
    pod: waiting(10, { cpu: "2" }),
    pods: [placed("low", 1)],
    expected: { node: "n", victims: ["low"] },
  },
  {
    name: "nobody of equal priority",
    pod: waiting(10, { cpu: "2" }),
    pods: [placed("equal", 10)],
    expected: none("1 No preemption victims found for incoming pod"),
  },
  {
    name: "a pod that is larger than the node",
    pod: waiting(10, { cpu: "3" }),
    pods: [placed("low", 1)],
    expected: none("1 Preemption is not helpful for scheduling"),
  },
  {
    name: "says for each node why",
    pod: waiting(10, { cpu: "2" }),
    nodes: { n: "1", m: "2", o: "2" },
    pods: [
      placed("low", 1),
      placed("high", 11, { node: "m" }),
      placed("a", 11, { node: "o" }),
      placed("b", 1, { node: "o" }),
    ],
    expected: none(
      "1 Insufficient cpu, 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling",
      3,
    ),
  },
  {
    name: "policy Never",
    pod: waiting(10, { cpu: "2", spec: { preemptionPolicy: "Never" } }),
    pods: [placed("low", 1)],
    expected: "preemption: not eligible due to preemptionPolicy=Never.",
  },
  {
    name: "spares as many as possible, the most important first",
    pod: waiting(10),
    pods: [placed("lowest", 1), placed("low", 2)],
    expected: { node: "n", victims: ["lowest"] },
  },
  {
    name: "among equals spares the one that runs longest",
    pod: waiting(10),
    pods: [
      placed("young", 1, { started: "2026-01-01T11:00:00Z" }),
      placed("old", 1, { started: "2026-01-01T10:00:00Z" }),
    ],
    expected: { node: "n", victims: ["young"] },
  },
  {
    name: "spares small ones that are not enough anyway",
    pod: waiting(10),
    pods: [placed("small", 1, { cpu: "100m" }), placed("large", 1, { cpu: "1900m" })],
    nodes: { n: "2" },
    expected: { node: "n", victims: ["large"] },
  },
  {
    name: "spares those whose budget would be overdrawn, though they are less important",
    pod: waiting(10),
    pods: [placed("guarded", 1, guarded), placed("low", 2)],
    budgets: [budget(0)],
    expected: { node: "n", victims: ["low"] },
  },
  {
    name: "a budget with room protects nobody",
    pod: waiting(10),
    pods: [placed("guarded", 1, guarded), placed("low", 2)],
    budgets: [budget(1)],
    expected: { node: "n", victims: ["guarded"] },
  },
  {
    name: "a pod that the server is disrupting already doesn't overdraw",
    pod: waiting(10),
    pods: [placed("guarded", 1, guarded), placed("low", 2)],
    budgets: [budget(0, { status: { disruptionsAllowed: 0, disruptedPods: { guarded: "2026-01-01T00:00:00Z" } } })],
    expected: { node: "n", victims: ["guarded"] },
  },
  {
    name: "a budget for all pods or none protects nobody",
    pod: waiting(10),
    pods: [placed("guarded", 1, guarded), placed("low", 2)],
    budgets: [budget(0, { spec: { selector: {} } }), budget(0, { spec: {} })],
    expected: { node: "n", victims: ["guarded"] },
  },
  {
    name: "overdraws a budget when nothing else helps",
    pod: waiting(10, { cpu: "2" }),
    pods: [placed("guarded", 1, guarded)],
    budgets: [budget(0)],
    expected: { node: "n", victims: ["guarded"] },
  },
  {
    name: "prefers a node where no budget is overdrawn to one with lower pods",
    pod: waiting(10, { cpu: "2" }),
    nodes: { n: "2", m: "2" },
    pods: [placed("guarded", 1, guarded), placed("low", 5, { node: "m" })],
    budgets: [budget(0)],
    expected: { node: "m", victims: ["low"] },
  },
  {
    name: "removes whom the pod must be away from",
    pod: waiting(10, { cpu: "100m", spec: away("foe") }),
    pods: [placed("foe", 1, { cpu: "100m", labels: { app: "foe" } }), placed("friend", 1, { cpu: "100m" })],
    expected: { node: "n", victims: ["foe"] },
  },
  {
    name: "removes who must be away from the pod",
    pod: waiting(10, { cpu: "100m", labels: { app: "p" } }),
    pods: [placed("foe", 1, { cpu: "100m", spec: away("p") }), placed("friend", 1, { cpu: "100m" })],
    expected: { node: "n", victims: ["foe"] },
  },
  {
    name: "frees a host port",
    pod: waiting(10, { spec: { containers: [{ name: "c", ports: [{ containerPort: 1, hostPort: 80 }] }] } }),
    pods: [
      placed("holder", 1, { spec: { containers: [{ name: "c", ports: [{ containerPort: 1, hostPort: 80 }] }] } }),
      placed("other", 1),
    ],
    expected: { node: "n", victims: ["holder"] },
  },
  {
    name: "makes even what is uneven",
    pod: waiting(10, {
      cpu: "100m",
      labels: { app: "w" },
      spec: {
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: "kubernetes.io/hostname",
            whenUnsatisfiable: "DoNotSchedule",
            labelSelector: { matchLabels: { app: "w" } },
          },
        ],
      },
    }),
    nodes: { n: "2", m: "1" },
    pods: [placed("w1", 1, { cpu: "100m", labels: { app: "w" } }), placed("full", 20, { node: "m", cpu: "1" })],
    expected: { node: "n", victims: ["w1"] },
  },
  {
    name: "waits for those who are on their way out for it",
    pod: waiting(10, { cpu: "2" }),
    nominations: [{ pod: waiting(10, { cpu: "2" }), node: "n" }],
    pods: [
      placed("low", 1, {
        deleting: true,
        status: { conditions: [{ type: "DisruptionTarget", status: "True", reason: "PreemptionByScheduler" }] },
      }),
    ],
    expected: "preemption: not eligible due to a terminating pod on the nominated node.",
  },
  {
    name: "doesn't wait for those who go for another reason",
    pod: waiting(10, { cpu: "2" }),
    nominations: [{ pod: waiting(10, { cpu: "2" }), node: "n" }],
    pods: [placed("low", 1, { deleting: true })],
    expected: { node: "n", victims: ["low"] },
  },
  {
    name: "leaves the room that was made for a more important pod",
    pod: waiting(10, { cpu: "2" }),
    nominations: [{ pod: { ...makePod("boss", { requests: { cpu: "1" }, spec: { priority: 11 } }) }, node: "n" }],
    pods: [placed("low", 1)],
    expected: none("1 Insufficient cpu"),
  },
];

for (const each of cases) {
  test(`preemption: ${each.name}`, () => assert.deepEqual(run(each), each.expected));
}

const candidate = (
  name: string,
  priorities: number[],
  more: { violations?: number; started?: string } = {},
): Candidate => {
  const state = new ClusterState();
  const victims = priorities.map((priority, index) =>
    createPodInfo(placed(`${name}${index}`, priority, { started: more.started ?? "2026-01-01T10:00:00Z" })),
  );
  return { node: state.setNode(makeNode(name)), victims, violations: more.violations ?? 0 };
};

for (const [name, candidates] of Object.entries<Candidate[]>({
  "the fewest overdrawn budgets": [candidate("a", [1], { violations: 1 }), candidate("best", [9, 9])],
  "the lowest highest priority": [candidate("a", [5]), candidate("best", [4, 4, 4])],
  "the lowest sum": [candidate("a", [5, 4]), candidate("best", [5, 3])],
  "fewer of negative priority": [candidate("a", [-1, -5]), candidate("best", [-1])],
  "the youngest of the highest": [candidate("a", [5]), candidate("best", [5], { started: "2026-01-01T11:00:00Z" })],
  "the first among equals": [candidate("best", [5]), candidate("b", [5])],
})) {
  test(`preemption: of the nodes it chooses ${name}`, () => {
    assert.equal(pickCandidate(candidates, now)?.node.name, "best");
  });
}

test("preemption: a tenth of many nodes suffices, of few all are looked at", () => {
  assert.deepEqual(
    [1, 99, 100, 500, 5000].map((count) => candidatesWanted(count)),
    [1, 99, 100, 100, 500],
  );
});

test("scheduling: room that was promised is taken at once by its pod, and kept from lesser ones", () => {
  const state = new ClusterState();
  for (const name of ["a", "b"]) state.setNode(makeNode(name, { allocatable: { cpu: "2" } }));
  const boss = createPodInfo(makePod("boss", { requests: { cpu: "2" }, spec: { priority: 5 } }));
  state.nominate(boss, "b");
  const decide = (pod: Pod) => {
    const decision = createDecider(defaultProfile).decide(createPodInfo(pod), state);
    return "node" in decision ? [decision.node.name, decision.evaluated] : "nowhere";
  };
  assert.deepEqual(decide(boss.pod as Pod), ["b", 1]);
  state.setPod(placed("filler", 9, { node: "a", cpu: "2" }));
  assert.equal(decide(waiting(4)), "nowhere");
  assert.deepEqual(decide(waiting(6)), ["b", 2]);
  state.withdrawNomination(boss.uid);
  assert.deepEqual(decide(waiting(4)), ["b", 2]);
});
