import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, Pod } from "#api";
import { ClusterState } from "./cluster-state.ts";
import { defaultProfile } from "./default-plugins.ts";
import { printFitFailure } from "./fit-error.ts";
import { makeNode, makePod } from "./fixtures.ts";
import { createPodInfo } from "./pod-info.ts";
import { createDecider } from "./schedule.ts";

const taint = { key: "k", value: "v", effect: "NoSchedule" };
const tainted = makeNode("n", { spec: { taints: [taint] } });
const cordoned = makeNode("n", {
  spec: { unschedulable: true, taints: [{ key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" }] },
});
const port = (hostPort: number, more = {}) => ({
  containers: [{ name: "c", ports: [{ containerPort: 1, hostPort, ...more }] }],
});
const affinity = (...nodeSelectorTerms: object[]) =>
  ({
    affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } },
  }) as Pod["spec"];
const expression = (key: string, operator: string, ...values: string[]) => ({
  matchExpressions: [{ key, operator, values }],
});
const named = (...values: string[]) => ({ matchFields: [{ key: "metadata.name", operator: "In", values }] });
const onNode = (pod: Pod): Pod => ({ ...pod, spec: { containers: [], ...pod.spec, nodeName: "n" } });

const fits = "";
const noMatch = "1 node(s) didn't match Pod's node affinity/selector.";
const portTaken = "1 node(s) didn't have free ports for the requested pod ports.";
const untolerated = "1 node(s) had untolerated taint(s).";

const cases: { name: string; node?: Node; others?: Pod[]; pod: Pod; expected: string }[] = [
  { name: "an empty node", pod: makePod("p"), expected: fits },
  { name: "a cordoned node", node: cordoned, pod: makePod("p"), expected: "1 node(s) were unschedulable." },
  {
    name: "a cordoned node, tolerated",
    node: cordoned,
    pod: makePod("p", { spec: { tolerations: [{ key: "node.kubernetes.io/unschedulable", operator: "Exists" }] } }),
    expected: fits,
  },
  { name: "a taint", node: tainted, pod: makePod("p"), expected: untolerated },
  ...(
    [
      [{ key: "k", value: "v", effect: "NoSchedule" }, fits],
      [{ key: "k", operator: "Equal", value: "v" }, fits],
      [{ key: "k", operator: "Equal", value: "w" }, untolerated],
      [{ key: "k", operator: "Exists", effect: "NoExecute" }, untolerated],
      [{ operator: "Exists" }, fits],
      [{ key: "other", operator: "Exists" }, untolerated],
    ] as const
  ).map(([toleration, expected]) => ({
    name: `a taint, tolerating ${JSON.stringify(toleration)}`,
    node: tainted,
    pod: makePod("p", { spec: { tolerations: [toleration] } }),
    expected,
  })),
  {
    name: "a taint that only discourages",
    node: makeNode("n", { spec: { taints: [{ key: "k", effect: "PreferNoSchedule" }] } }),
    pod: makePod("p"),
    expected: fits,
  },
  { name: "a node selector", pod: makePod("p", { spec: { nodeSelector: { disk: "ssd" } } }), expected: noMatch },
  {
    name: "a node selector that matches",
    node: makeNode("n", { labels: { disk: "ssd" } }),
    pod: makePod("p", { spec: { nodeSelector: { disk: "ssd" } } }),
    expected: fits,
  },
  ...(
    [
      [affinity(expression("size", "In", "3", "5")), fits],
      [affinity(expression("size", "NotIn", "5")), noMatch],
      [affinity(expression("size", "Gt", "4")), fits],
      [affinity(expression("size", "Lt", "5")), noMatch],
      [affinity(expression("size", "Gt", "x")), noMatch],
      [affinity(expression("size", "Exists")), fits],
      [affinity(expression("size", "DoesNotExist")), noMatch],
      [affinity(expression("other", "NotIn", "5")), fits],
      [affinity(expression("size", "Lt", "5"), expression("size", "Exists")), fits],
      [affinity({}), noMatch],
      [affinity(named("n")), fits],
      [affinity({ matchFields: [{ key: "metadata.name", operator: "NotIn", values: ["n"] }] }), noMatch],
      [affinity(named("m")), "1 node(s) didn't satisfy plugin(s) [NodeAffinity]."],
      [
        affinity({ matchFields: [...named("n").matchFields, ...named("m").matchFields] }),
        "pod affinity terms conflict.",
      ],
      [{ ...affinity(expression("size", "Exists")), nodeSelector: { a: "b" } } as Pod["spec"], noMatch],
    ] as const
  ).map(([spec, expected]) => ({
    name: `required node affinity ${JSON.stringify(spec)}`,
    node: makeNode("n", { labels: { size: "5" } }),
    pod: makePod("p", { spec }),
    expected,
  })),
  ...(
    [
      [port(80), port(80), portTaken],
      [port(80), port(81), fits],
      [port(80, { protocol: "UDP" }), port(80), fits],
      [port(80, { hostIP: "10.0.0.1" }), port(80, { hostIP: "10.0.0.2" }), fits],
      [port(80, { hostIP: "10.0.0.1" }), port(80), portTaken],
      [port(80), port(80, { hostIP: "10.0.0.2" }), portTaken],
    ] as const
  ).map(([used, wanted, expected]) => ({
    name: `host port ${JSON.stringify(wanted.containers[0]?.ports)} beside ${JSON.stringify(used.containers[0]?.ports)}`,
    others: [onNode(makePod("other", { spec: used as Pod["spec"] }))],
    pod: makePod("p", { spec: wanted as Pod["spec"] }),
    expected,
  })),
  {
    name: "too little of several things, each named",
    node: makeNode("n", { allocatable: { cpu: "1", memory: "1Gi", "ephemeral-storage": "1Gi" } }),
    others: [onNode(makePod("other", { requests: { cpu: "600m" } }))],
    pod: makePod("p", { requests: { cpu: "500m", memory: "2Gi", "ephemeral-storage": "2Gi", "example.com/gpu": "1" } }),
    expected:
      "1 Insufficient cpu, 1 Insufficient ephemeral-storage, 1 Insufficient example.com/gpu, 1 Insufficient memory.",
  },
  {
    name: "exactly what is left",
    node: makeNode("n", { allocatable: { cpu: "1" } }),
    others: [onNode(makePod("other", { requests: { cpu: "600m" } }))],
    pod: makePod("p", { requests: { cpu: "400m" } }),
    expected: fits,
  },
  {
    name: "as many pods as the node takes",
    node: makeNode("n", { allocatable: { pods: "1" } }),
    others: [onNode(makePod("other"))],
    pod: makePod("p"),
    expected: "1 Too many pods.",
  },
  {
    name: "a node that promised too much, for a pod that asks for nothing of it",
    node: makeNode("n", { allocatable: { cpu: "1" } }),
    others: [onNode(makePod("other", { requests: { cpu: "2" } }))],
    pod: makePod("p", { requests: { memory: "1Mi" } }),
    expected: fits,
  },
  {
    name: "the first rule that objects is named alone",
    node: makeNode("n", { spec: { taints: [taint] }, allocatable: { cpu: "1" } }),
    pod: makePod("p", { requests: { cpu: "2" } }),
    expected: untolerated,
  },
];

for (const { name, node = makeNode("n"), others = [], pod, expected } of cases) {
  test(`filters: ${name}`, () => {
    const state = new ClusterState();
    state.setNode(node);
    for (const other of others) state.setPod(other);
    const decision = createDecider(defaultProfile).decide(createPodInfo(pod), state);
    const message = "failure" in decision ? printFitFailure(decision.failure) : "";
    assert.equal(message, expected === "" ? "" : `0/1 nodes are available: ${expected}`);
  });
}

test("filters: the message counts nodes by reason, sorted", () => {
  const state = new ClusterState();
  state.setNode(makeNode("a", { allocatable: { cpu: "1" } }));
  state.setNode(tainted);
  state.setNode(makeNode("b", { spec: { taints: [{ key: "other", effect: "NoExecute" }] } }));
  const decision = createDecider(defaultProfile).decide(createPodInfo(makePod("p", { requests: { cpu: "2" } })), state);
  assert.ok("failure" in decision);
  const message = "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s).";
  assert.equal(printFitFailure(decision.failure), message);
  assert.deepEqual([...decision.failure.plugins].sort(), ["NodeResourcesFit", "TaintToleration"]);
  const none = createDecider(defaultProfile).decide(createPodInfo(makePod("p")), new ClusterState());
  assert.ok("failure" in none);
  assert.equal(printFitFailure(none.failure), "no nodes available to schedule pods");
});
