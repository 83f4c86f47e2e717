import assert from "node:assert/strict";
import { test } from "node:test";
import type { DaemonSet, Node, Pod, PodSpec, Taint } from "#api";
import { type PodShape, testNow, testPod } from "../lib/fixture.ts";
import {
  daemonPod,
  daemonStatus,
  daemonTolerations,
  type DaemonState,
  planDaemons,
  revisionHashLabel,
  targetNode,
} from "./reconcile.ts";

function set(change: Partial<DaemonSet["spec"]> & object = {}, spec: Partial<PodSpec> = {}): DaemonSet {
  return {
    metadata: { name: "ds", namespace: "default", uid: "uid-ds", generation: 2 },
    spec: {
      selector: { matchLabels: { app: "web" } },
      template: { metadata: { labels: { app: "web" } }, spec: { containers: [], ...spec } },
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
      ...change,
    },
  };
}

const node = (name: string, taints: Taint[] = [], labels: Record<string, string> = {}): Node => ({
  metadata: { name, labels },
  spec: { taints },
});

const pod = (name: string, nodeName: string, change: Partial<PodShape> = {}, hash = "new"): Pod =>
  testPod({ name, node: nodeName, readySince: 5, labels: { app: "web", [revisionHashLabel]: hash }, ...change });

function state(of: DaemonSet, nodes: Node[], pods: Pod[], waitMs = 0): DaemonState {
  return { set: of, nodes, pods, hash: "new", now: testNow, failureWaitMs: () => waitMs };
}

const result = (of: DaemonState) => {
  const plan = planDaemons(of);
  return [plan.create, plan.delete.map(({ metadata }) => metadata.name)];
};

const noExecute: Taint = { key: "k", effect: "NoExecute" };
const noSchedule: Taint = { key: "k", effect: "NoSchedule" };
const trouble = ["not-ready", "unreachable"].map((key) => ({ key: `node.kubernetes.io/${key}`, effect: "NoExecute" }));

for (const [why, of, expected] of [
  ["a node without one", state(set(), [node("a"), node("b")], [pod("p", "a")]), [["b"], []]],
  ["not on tainted nodes", state(set(), [node("a", [noSchedule]), node("b", [noExecute])], []), [[], []]],
  ["on nodes in trouble", state(set(), [node("a", trouble)], []), [["a"], []]],
  ["stays where it may no longer be scheduled", state(set(), [node("a", [noSchedule])], [pod("p", "a")]), [[], []]],
  ["goes where it may not run", state(set(), [node("a", [noExecute])], [pod("p", "a")]), [[], ["p"]]],
  [
    "node selector",
    state(set({}, { nodeSelector: { disk: "ssd" } }), [node("a"), node("b", [], { disk: "ssd" })], []),
    [["b"], []],
  ],
  ["a failed one goes", state(set(), [node("a")], [pod("p", "a", { phase: "Failed" })]), [[], ["p"]]],
  [
    "one that succeeded goes at once",
    state(set(), [node("a")], [pod("p", "a", { phase: "Succeeded" })], 500),
    [[], ["p"]],
  ],
  [
    "a failed one that is held leaves its place",
    state(set(), [node("a")], [pod("p", "a", { phase: "Failed", deleting: true })]),
    [["a"], []],
  ],
  ["a failed one waits", state(set(), [node("a")], [pod("p", "a", { phase: "Failed" })], 500), [[], []]],
  [
    "the younger of two goes",
    state(set(), [node("a")], [pod("young", "a", { created: 5 }), pod("old", "a", { created: 50 })]),
    [[], ["young"]],
  ],
  ["none while one is going", state(set(), [node("a")], [pod("p", "a", { deleting: true })]), [[], []]],
] satisfies [string, DaemonState, unknown][])
  test(`daemon set: ${why}`, () => assert.deepEqual(result(of), expected));

const old = (name: string, nodeName: string, change: Partial<PodShape> = {}) => pod(name, nodeName, change, "old");
const unready = { readySince: undefined } as unknown as Partial<PodShape>;
const nodes = [node("a"), node("b"), node("c")];
const sunset = [node("a", [noSchedule]), node("b"), node("c")];
const surge = { updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } };

for (const [why, of, expected] of [
  ["one at a time", state(set(), nodes, [old("1", "a"), old("2", "b"), old("3", "c")]), [[], ["1"]]],
  [
    "broken ones at once, and they count",
    state(set(), nodes, [old("1", "a", unready), old("2", "b", unready), old("3", "c")]),
    [[], ["1", "2"]],
  ],
  ["waits for the new one", state(set(), nodes, [pod("1", "a", unready), old("2", "b"), old("3", "c")]), [[], []]],
  [
    "on delete: never",
    state(set({ updateStrategy: { type: "OnDelete" } }), nodes, [old("1", "a"), old("2", "b"), old("3", "c")]),
    [[], []],
  ],
  ["surge: a second pod first", state(set(surge), nodes, [old("1", "a"), old("2", "b"), old("3", "c")]), [["a"], []]],
  [
    "surge: waits for it",
    state(set(surge), nodes, [old("1", "a"), pod("1n", "a", unready), old("2", "b"), old("3", "c")]),
    [[], []],
  ],
  [
    "surge: an unwanted node keeps its working pod until enough others work",
    state(set(surge), sunset, [old("1", "a"), pod("2", "b"), pod("3", "c", unready)]),
    [[], []],
  ],
  ["surge: then it goes", state(set(surge), sunset, [old("1", "a"), pod("2", "b"), pod("3", "c")]), [[], ["1"]]],
  [
    "surge: one that doesn't work goes at once",
    state(set(surge), sunset, [old("1", "a", unready), pod("2", "b"), pod("3", "c", unready)]),
    [[], ["1"]],
  ],
  [
    "surge: then the old one goes",
    state(set(surge), nodes, [old("1", "a"), pod("1n", "a"), old("2", "b"), old("3", "c")]),
    [[], ["1"]],
  ],
] satisfies [string, DaemonState, unknown][])
  test(`daemon set rolls: ${why}`, () => assert.deepEqual(result(of), expected));

test("daemon set: a pod is for one node and bears its troubles", () => {
  const template = {
    metadata: { generateName: "ds-", labels: { app: "web" } },
    spec: { containers: [], tolerations: [{ key: "mine", operator: "Exists" }] },
  };
  const made = daemonPod(template, { nodeName: "a", set: set(), hash: "new" });
  assert.equal(targetNode(made), "a");
  assert.equal(made.metadata.labels?.[revisionHashLabel], "new");
  assert.deepEqual(
    made.spec?.tolerations?.map(({ key, effect }) => `${key}:${effect}`),
    [
      "mine:undefined",
      "node.kubernetes.io/not-ready:NoExecute",
      "node.kubernetes.io/unreachable:NoExecute",
      "node.kubernetes.io/disk-pressure:NoSchedule",
      "node.kubernetes.io/memory-pressure:NoSchedule",
      "node.kubernetes.io/pid-pressure:NoSchedule",
      "node.kubernetes.io/unschedulable:NoSchedule",
    ],
  );
});

test("daemon set: a toleration for a while becomes one for ever, where it stands", () => {
  const brief = { key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute", tolerationSeconds: 5 };
  const own = { key: "mine", operator: "Exists" };
  const { tolerationSeconds: _seconds, ...standing } = brief;
  assert.deepEqual(daemonTolerations({ containers: [], tolerations: [brief, own] }).slice(0, 2), [standing, own]);
});

test("daemon set: status counts nodes, not pods", () => {
  const of = state(set(), [...nodes, node("d", [noSchedule])], [pod("1", "a"), old("2", "b", unready), pod("4", "d")]);
  assert.deepEqual(daemonStatus(of, { observed: true }), {
    desiredNumberScheduled: 3,
    currentNumberScheduled: 2,
    numberMisscheduled: 1,
    numberReady: 1,
    numberAvailable: 1,
    numberUnavailable: 2,
    updatedNumberScheduled: 1,
    observedGeneration: 2,
  });
});
