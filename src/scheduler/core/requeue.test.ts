/** What has a pod tried again that a rule rejected, and what doesn't; cases after upstream's queueing hints. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { PodSpec } from "#api";
import { ClusterState, noObjects } from "./cluster-state.ts";
import { defaultProfile } from "./default-plugins.ts";
import { makeNode, makePod } from "./fixtures.ts";
import type { ClusterEvent, NodeChange, StorageResource } from "./framework.ts";
import { NodeInfo } from "./node-info.ts";
import { createPodInfo } from "./pod-info.ts";

type NodeOptions = Parameters<typeof makeNode>[1];
const node = (options: NodeOptions = {}) => {
  const info = new NodeInfo("n");
  info.setNode(makeNode("n", options));
  return info;
};
const added = (options?: NodeOptions): ClusterEvent => ({ kind: "node-added", node: node(options) });
const nothing: NodeChange = {
  allocatable: false,
  labels: false,
  taints: false,
  unschedulable: false,
  declaredFeatures: false,
};
const updated = (changed: Partial<NodeChange>, options?: NodeOptions): ClusterEvent => ({
  kind: "node-updated",
  node: node(options),
  changed: { ...nothing, ...changed },
});
type PodOptions = Parameters<typeof makePod>[1];
const other = (options: PodOptions = {}) => createPodInfo(makePod("other", options));
const came = (options?: PodOptions): ClusterEvent => ({ kind: "pod-added", pod: other(options) });
const left = (options?: PodOptions): ClusterEvent => ({ kind: "pod-deleted", pod: other(options) });
const changed = (what: { labels?: boolean; scaledDown?: boolean }, options?: PodOptions): ClusterEvent => ({
  kind: "pod-updated",
  pod: other(options),
  changed: { labels: false, scaledDown: false, ...what },
});
const claim = (name: string): ClusterEvent => ({ kind: "claim-changed", key: `ns/${name}` });
const storage = (resource: StorageResource, type: "added" | "updated" | "deleted" = "added"): ClusterEvent => ({
  kind: "storage-changed",
  resource,
  type,
});

const zone = "topology.kubernetes.io/zone";
const web = { labels: { app: "web" } };
const term = { topologyKey: zone, labelSelector: { matchLabels: web.labels } };
const near = { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } };
const apart = { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } };
const spread: Partial<PodSpec> = {
  topologySpreadConstraints: [
    { maxSkew: 1, topologyKey: zone, whenUnsatisfiable: "DoNotSchedule", labelSelector: { matchLabels: web.labels } },
  ],
};
const ports = (hostPort: number): Partial<PodSpec> => ({
  containers: [{ name: "c", ports: [{ containerPort: 1, hostPort }] }],
});
const using = (claimName: string): Partial<PodSpec> => ({
  volumes: [{ name: "v", persistentVolumeClaim: { claimName } }],
});
const zoned = { labels: { [zone]: "a" } };
const tainted = { spec: { taints: [{ key: "k", effect: "NoSchedule" }] } };
const cordoned = { spec: { unschedulable: true } };

const cases: readonly {
  rule: string;
  pod?: PodOptions;
  helps: readonly ClusterEvent[];
  doesNot: readonly ClusterEvent[];
}[] = [
  {
    rule: "NodeResourcesFit",
    pod: { requests: { cpu: "3" } },
    helps: [added(), updated({ allocatable: true }), left(), changed({ scaledDown: true })],
    doesNot: [
      added({ allocatable: { cpu: "2" } }),
      updated({ allocatable: true }, { allocatable: { cpu: "2" } }),
      updated({ labels: true }),
      came(),
      changed({ labels: true }),
      claim("c"),
      storage("volume"),
    ],
  },
  {
    rule: "NodeAffinity",
    pod: { spec: { nodeSelector: { disk: "ssd" } } },
    helps: [added({ labels: { disk: "ssd" } }), updated({ labels: true }, { labels: { disk: "ssd" } })],
    doesNot: [added(), updated({ labels: true }), updated({ allocatable: true }, { labels: { disk: "ssd" } }), left()],
  },
  {
    rule: "NodeName",
    pod: { spec: { nodeName: "n" } },
    helps: [added()],
    doesNot: [updated({ labels: true }), left()],
  },
  {
    rule: "NodeUnschedulable",
    helps: [added(), updated({ unschedulable: true })],
    doesNot: [added(cordoned), updated({ unschedulable: true }, cordoned), updated({ labels: true }), left()],
  },
  {
    rule: "TaintToleration",
    helps: [added(), updated({ taints: true })],
    doesNot: [added(tainted), updated({ taints: true }, tainted), updated({ allocatable: true }), left()],
  },
  {
    rule: "NodePorts",
    pod: { spec: ports(80) },
    helps: [added(), left({ spec: ports(80) })],
    doesNot: [left({ spec: ports(81) }), left(), updated({ labels: true }), came()],
  },
  {
    rule: "InterPodAffinity",
    pod: { spec: near },
    helps: [came(web), added(zoned), updated({ labels: true }, zoned), changed({ labels: true }, web)],
    doesNot: [came(), left(), updated({ allocatable: true }), changed({ scaledDown: true }, web)],
  },
  {
    rule: "InterPodAffinity",
    pod: { ...web, spec: apart },
    helps: [left(web), left({ spec: apart }), updated({ labels: true }, zoned)],
    doesNot: [came(web), left({ labels: { app: "db" } }), updated({ taints: true })],
  },
  {
    rule: "PodTopologySpread",
    pod: { spec: spread },
    helps: [
      added(zoned),
      updated({ labels: true }, zoned),
      updated({ taints: true }, zoned),
      { kind: "node-deleted", labels: zoned.labels },
      came(web),
      left(web),
      changed({ labels: true }, web),
    ],
    doesNot: [added(), { kind: "node-deleted", labels: {} }, came(), left(), updated({ allocatable: true }, zoned)],
  },
  {
    rule: "VolumeRestrictions",
    pod: { spec: using("c") },
    helps: [left({ spec: using("c") }), claim("c"), added()],
    doesNot: [left({ spec: using("d") }), claim("d"), updated({ labels: true }), came()],
  },
  {
    rule: "NodeVolumeLimits",
    pod: { spec: using("c") },
    helps: [left({ spec: using("d") }), claim("c"), storage("csi-node", "updated"), storage("attachment", "deleted")],
    doesNot: [left(), claim("d"), storage("volume"), storage("class"), updated({ labels: true })],
  },
  {
    rule: "VolumeBinding",
    pod: { spec: using("c") },
    helps: [
      claim("c"),
      added(),
      updated({ labels: true }),
      storage("volume"),
      storage("class"),
      storage("csi-node"),
      storage("csi-driver", "updated"),
      storage("capacity", "updated"),
    ],
    doesNot: [
      claim("d"),
      storage("volume", "deleted"),
      storage("attachment", "deleted"),
      updated({ taints: true }),
      left(),
    ],
  },
  {
    rule: "VolumeZone",
    pod: { spec: using("c") },
    helps: [claim("c"), added(), updated({ labels: true }), storage("volume", "updated"), storage("class")],
    doesNot: [claim("d"), storage("csi-node"), storage("capacity"), updated({ allocatable: true }), left()],
  },
  {
    rule: "NodeDeclaredFeatures",
    helps: [added(), updated({ declaredFeatures: true })],
    doesNot: [updated({ labels: true }), left()],
  },
];

for (const [index, { rule, pod, helps, doesNot }] of cases.entries()) {
  test(`requeue: what helps a pod that ${rule} rejected (${index})`, () => {
    const plugin = defaultProfile.filters.find(({ name }) => name === rule);
    assert.ok(plugin);
    const info = createPodInfo(makePod("p", pod));
    const state = new ClusterState(noObjects);
    const isHelped = (event: ClusterEvent) => plugin.events.includes(event.kind) && plugin.helps(event, info, state);
    for (const event of helps) assert.ok(isHelped(event), `helps: ${print(event)}`);
    for (const event of doesNot) assert.ok(!isHelped(event), `does not help: ${print(event)}`);
  });
}

const print = (event: ClusterEvent) =>
  JSON.stringify(event, (key, value) => (key === "node" || key === "pod" ? "…" : value));
