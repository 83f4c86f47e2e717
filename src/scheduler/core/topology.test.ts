import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod, PodSpec, TopologySpreadConstraint } from "#api";
import { selectorFromLabels } from "#machinery";
import { type ClusterObjects, ClusterState, noObjects } from "./cluster-state.ts";
import { defaultProfile } from "./default-plugins.ts";
import { printFitFailure } from "./fit-error.ts";
import { makeNode, makePod } from "./fixtures.ts";
import { createPodInfo } from "./pod-info.ts";
import {
  createInterPodAffinityScore,
  defaultInterPodAffinity,
  interPodAffinityFilter,
} from "./plugins/inter-pod-affinity.ts";
import {
  createTopologySpreadFilter,
  createTopologySpreadScore,
  defaultTopologySpread,
} from "./plugins/topology-spread.ts";
import { createDecider } from "./schedule.ts";

const zoneKey = "topology.kubernetes.io/zone";
const hostKey = "kubernetes.io/hostname";
const app = (name: string) => ({ labels: { app: name } });
const select = (name: string) => ({ matchLabels: { app: name } });

/** Nodes a1, a2 in zone a, b1 in zone b, x without zone; pods by node. */
function cluster(pods: Record<string, Pod[]> = {}, objects?: ClusterObjects): ClusterState {
  const state = new ClusterState(objects);
  for (const [name, zone] of Object.entries({ a1: "a", a2: "a", b1: "b" })) {
    state.setNode(makeNode(name, { labels: { [zoneKey]: zone } }));
  }
  state.setNode(makeNode("x"));
  let count = 0;
  for (const [nodeName, list] of Object.entries(pods)) {
    for (const pod of list) {
      const uid = `other-${count++}`;
      state.setPod({ ...pod, metadata: { ...pod.metadata, uid }, spec: { containers: [], ...pod.spec, nodeName } });
    }
  }
  return state;
}

/** The nodes that one rule lets through. */
const topologySpreadFilter = createTopologySpreadFilter(defaultTopologySpread);
const topologySpreadScore = createTopologySpreadScore(defaultTopologySpread);
const interPodAffinityScore = createInterPodAffinityScore(defaultInterPodAffinity);

function allowed(plugin: typeof topologySpreadFilter, pod: Pod, state: ClusterState): string {
  const prepared = plugin.prepare(createPodInfo(pod), state);
  const filter = prepared?.filter;
  const names = state.nodes.filter((node) => !filter?.(node)).map(({ name }) => name);
  return names.sort().join(" ");
}

const spread = (constraint: Partial<TopologySpreadConstraint>): Partial<PodSpec> => ({
  topologySpreadConstraints: [
    {
      maxSkew: 1,
      topologyKey: zoneKey,
      whenUnsatisfiable: "DoNotSchedule",
      labelSelector: select("web"),
      ...constraint,
    },
  ],
});
const web = () => makePod("o", app("web"));
const dying = (): Pod => ({ ...web(), metadata: { ...web().metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } });

const spreadCases: {
  name: string;
  pods?: Record<string, Pod[]>;
  constraint: Partial<TopologySpreadConstraint>;
  spec?: Partial<PodSpec>;
  expected: string;
}[] = [
  { name: "empty zones", constraint: {}, expected: "a1 a2 b1" },
  { name: "the emptier zone", pods: { a1: [web()] }, constraint: {}, expected: "b1" },
  { name: "a larger skew", pods: { a1: [web()] }, constraint: { maxSkew: 2 }, expected: "a1 a2 b1" },
  {
    name: "nodes instead of zones",
    pods: { a1: [web()], b1: [web()] },
    constraint: { topologyKey: hostKey },
    expected: "a2 x",
  },
  {
    name: "pods of another name don't count",
    pods: { a1: [makePod("o", app("db"))] },
    constraint: {},
    expected: "a1 a2 b1",
  },
  { name: "pods being deleted don't count", pods: { a1: [dying()] }, constraint: {}, expected: "a1 a2 b1" },
  {
    name: "a pod that does not match itself adds nothing",
    pods: { a1: [makePod("o", app("db"))] },
    constraint: { labelSelector: select("db") },
    expected: "a1 a2 b1",
  },
  {
    name: "fewer domains than wanted",
    pods: { a1: [web()], b1: [web()] },
    constraint: { minDomains: 3 },
    expected: "",
  },
  {
    name: "only nodes that the pod may use count",
    pods: { a1: [web()], b1: [web(), web()] },
    constraint: { maxSkew: 2 },
    spec: { nodeSelector: { [zoneKey]: "b" } },
    expected: "a1 a2 b1",
  },
  {
    name: "all nodes count when told so",
    pods: { a1: [web()], b1: [web(), web()] },
    constraint: { maxSkew: 1, nodeAffinityPolicy: "Ignore" },
    spec: { nodeSelector: { [zoneKey]: "b" } },
    expected: "a1 a2",
  },
];

for (const { name, pods, constraint, spec, expected } of spreadCases) {
  test(`hard topology spread: ${name}`, () => {
    const pod = makePod("p", { ...app("web"), spec: { ...spread(constraint), ...spec } });
    assert.equal(allowed(topologySpreadFilter, pod, cluster(pods)), expected);
  });
}

test("hard topology spread: matchLabelKeys tell one rollout from the next", () => {
  const labels = { app: "web", "pod-template-hash": "2" };
  const old = makePod("o", { labels: { app: "web", "pod-template-hash": "1" } });
  const pod = makePod("p", { labels, spec: spread({ matchLabelKeys: ["pod-template-hash"] }) });
  assert.equal(allowed(topologySpreadFilter, pod, cluster({ a1: [old] })), "a1 a2 b1");
});

test("hard topology spread: the message tells a missing label from a full domain", () => {
  const pod = makePod("p", { ...app("web"), spec: { ...spread({}), nodeSelector: { none: "" } } });
  const open = { ...pod, spec: { containers: [], ...spread({ minDomains: 5 }) } };
  const decision = createDecider(defaultProfile).decide(createPodInfo(open), cluster({ a1: [web()], b1: [web()] }));
  assert.ok("failure" in decision);
  assert.equal(
    printFitFailure(decision.failure),
    "0/4 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label), 3 node(s) didn't match pod topology spread constraints.",
  );
});

function scores(plugin: typeof topologySpreadScore, pod: Pod, state: ClusterState): Record<string, number> | undefined {
  const prepared = plugin.prepare(createPodInfo(pod), state, state.nodes);
  if (!prepared) return undefined;
  const values = Float64Array.from(state.nodes, prepared.score);
  prepared.normalize?.(values);
  return Object.fromEntries(state.nodes.map(({ name }, index) => [name, values[index] ?? 0]));
}

test("soft topology spread: emptier zones are better, nodes without the label worst", () => {
  const pod = makePod("p", { ...app("web"), spec: spread({ whenUnsatisfiable: "ScheduleAnyway" }) });
  const found = scores(topologySpreadScore, pod, cluster({ a1: [web(), web()], b1: [web()] }));
  assert.deepEqual(found, { a1: 33, b1: 100, a2: 33, x: 0 });
});

test("soft topology spread: by default the pods of a workload spread over nodes and zones", () => {
  const objects: ClusterObjects = {
    ...noObjects,
    selectorOf: () => selectorFromLabels({ app: "web" }),
  };
  const found = scores(topologySpreadScore, makePod("p", app("web")), cluster({ a1: [web()], b1: [web()] }, objects));
  assert.ok(found && (found.a2 ?? 0) > (found.a1 ?? 0), "another node of the same zone");
  assert.ok(found && (found.x ?? 0) > (found.a1 ?? 0), "a node without zone takes part");
  assert.equal(scores(topologySpreadScore, makePod("p"), cluster()), undefined);
});

test("topology spread: counts follow pods that come, change and go", () => {
  const state = cluster({ a1: [web()] });
  const pod = makePod("p", { ...app("web"), spec: spread({}) });
  assert.equal(allowed(topologySpreadFilter, pod, state), "b1");
  state.setPod(makePod("late", { ...app("web"), spec: { nodeName: "b1" } }));
  assert.equal(allowed(topologySpreadFilter, pod, state), "a1 a2 b1");
  state.setPod(makePod("late", { ...app("db"), spec: { nodeName: "b1" } }));
  assert.equal(allowed(topologySpreadFilter, pod, state), "b1");
  state.removePod("other-0");
  assert.equal(allowed(topologySpreadFilter, pod, state), "a1 a2 b1");
});

type Kind = "podAffinity" | "podAntiAffinity";
const required = (kind: Kind, term: object = {}): Partial<PodSpec> => ({
  affinity: {
    [kind]: {
      requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: zoneKey, labelSelector: select("web"), ...term }],
    },
  },
});
const elsewhere = (): Pod => ({ ...web(), metadata: { ...web().metadata, namespace: "other" } });

const affinityCases: { name: string; pods?: Record<string, Pod[]>; pod: Pod; expected: string }[] = [
  {
    name: "near a pod, in its zone",
    pods: { a1: [web()] },
    pod: makePod("p", { spec: required("podAffinity") }),
    expected: "a1 a2",
  },
  { name: "near nothing", pod: makePod("p", { spec: required("podAffinity") }), expected: "" },
  {
    name: "the first of its kind",
    pod: makePod("p", { ...app("web"), spec: required("podAffinity") }),
    expected: "a1 a2 b1",
  },
  {
    name: "near a pod of another namespace",
    pods: { a1: [elsewhere()] },
    pod: makePod("p", { spec: required("podAffinity") }),
    expected: "",
  },
  {
    name: "near a pod of a named namespace",
    pods: { a1: [elsewhere()] },
    pod: makePod("p", { spec: required("podAffinity", { namespaces: ["other"] }) }),
    expected: "a1 a2",
  },
  {
    name: "near a pod of any namespace",
    pods: { a1: [elsewhere()] },
    pod: makePod("p", { spec: required("podAffinity", { namespaceSelector: {} }) }),
    expected: "a1 a2",
  },
  {
    name: "near a pod of a labelled namespace",
    pods: { a1: [elsewhere()], b1: [web()] },
    pod: makePod("p", { spec: required("podAffinity", { namespaceSelector: { matchLabels: { team: "t" } } }) }),
    expected: "a1 a2",
  },
  {
    name: "away from a pod, out of its zone",
    pods: { a1: [web()] },
    pod: makePod("p", { spec: required("podAntiAffinity") }),
    expected: "b1 x",
  },
  {
    name: "away from a pod, on another node",
    pods: { a1: [web()] },
    pod: makePod("p", { spec: required("podAntiAffinity", { topologyKey: hostKey }) }),
    expected: "a2 b1 x",
  },
  {
    name: "a pod that is there must be away from it",
    pods: { a1: [makePod("o", { spec: required("podAntiAffinity") })] },
    pod: makePod("p", app("web")),
    expected: "b1 x",
  },
  {
    name: "nobody minds",
    pods: { a1: [makePod("o", { spec: required("podAntiAffinity") })] },
    pod: makePod("p", app("db")),
    expected: "a1 a2 b1 x",
  },
];

for (const { name, pods, pod, expected } of affinityCases) {
  test(`required pod affinity: ${name}`, () => {
    const objects: ClusterObjects = {
      ...noObjects,
      namespaceLabels: (namespace): Record<string, string> => (namespace === "other" ? { team: "t" } : {}),
    };
    assert.equal(allowed(interPodAffinityFilter, pod, cluster(pods, objects)), expected);
  });
}

test("required pod affinity: several terms must be met by the same pod", () => {
  const terms = [select("web"), { matchLabels: { tier: "front" } }].map((labelSelector) => ({
    topologyKey: zoneKey,
    labelSelector,
  }));
  const pod = makePod("p", {
    spec: { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } } },
  });
  const front = makePod("o", { labels: { tier: "front" } });
  const both = makePod("o", { labels: { app: "web", tier: "front" } });
  assert.equal(allowed(interPodAffinityFilter, pod, cluster({ a1: [web(), front] })), "");
  assert.equal(allowed(interPodAffinityFilter, pod, cluster({ a1: [web(), front], b1: [both] })), "b1");
});

const preferred = (kind: Kind, weight: number): Partial<PodSpec> => ({
  affinity: {
    [kind]: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        { weight, podAffinityTerm: { topologyKey: zoneKey, labelSelector: select("web") } },
      ],
    },
  },
});

test("preferred pod affinity: near and away, as the pod or those that are there wish", () => {
  const near = makePod("p", { spec: preferred("podAffinity", 10) });
  assert.deepEqual(scores(interPodAffinityScore, near, cluster({ a1: [web()] })), { a1: 100, b1: 0, a2: 100, x: 0 });
  const away = makePod("p", { spec: preferred("podAntiAffinity", 10) });
  assert.deepEqual(scores(interPodAffinityScore, away, cluster({ a1: [web()] })), { a1: 0, b1: 100, a2: 0, x: 100 });
  const wishes = cluster({
    b1: [makePod("o", { spec: preferred("podAffinity", 10) })],
    a1: [makePod("o", { spec: preferred("podAntiAffinity", 10) })],
  });
  assert.deepEqual(scores(interPodAffinityScore, makePod("p", app("web")), wishes), { a1: 0, b1: 100, a2: 0, x: 50 });
  assert.equal(scores(interPodAffinityScore, makePod("p", app("web")), cluster()), undefined);
});
