import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "#machinery";
import type { AdmissionRequest, Lookup, Round } from "./chain.ts";
import { nodeRestriction } from "./node-restriction.ts";

/** Says yes to whom it is told to. */
const plugin = nodeRestriction({
  authorize: ({ verb, resource, name }) => ({
    allowed: verb === "request-serviceaccounts-token-audience" && resource === "granted" && name === "robot",
    reason: "",
  }),
});

const stored: Record<string, object> = {
  "pods/ns/mine": {
    metadata: { name: "mine", namespace: "ns", uid: "p1" },
    spec: {
      nodeName: "n1",
      volumes: [
        { projected: { sources: [{ serviceAccountToken: {} }, { serviceAccountToken: { audience: "vault" } }] } },
        { persistentVolumeClaim: { claimName: "data" } },
      ],
    },
  },
  "pods/ns/bare": { metadata: { name: "bare", namespace: "ns", uid: "p3" }, spec: { nodeName: "n1" } },
  "persistentvolumeclaims/ns/data": { spec: { volumeName: "pv" } },
  "persistentvolumes//pv": { spec: { csi: { driver: "d" } } },
  "csidrivers//d": { spec: { tokenRequests: [{ audience: "disk" }] } },
  "pods/ns/theirs": { metadata: { name: "theirs", uid: "p2" }, spec: { nodeName: "n2" } },
  "nodes//n1": { metadata: { name: "n1", uid: "u1" } },
};
const lookup = {
  kind: (_: string, resource: string) => resource,
  get: async (kind: string, namespace: string, name: string) => stored[`${kind}/${namespace}/${name}`],
} as unknown as Lookup; // as much of it as the plugin asks

interface Write {
  operation?: string;
  name?: string;
  object?: object;
  old?: object;
  groups?: string[];
  namespace?: string;
}

const round: Round = { again: false, wanted: false, notes: new Map() };

async function refusal(what: string, write: Write): Promise<string> {
  const [whole = "", group = ""] = what.split(".of.");
  const [resource = "", subresource = ""] = whole.split("/");
  const request = {
    operation: write.operation ?? "UPDATE",
    resource: { group, resource },
    subresource,
    namespace: write.namespace ?? "ns",
    name: write.name ?? "",
    user: { name: "system:node:n1", uid: "", groups: write.groups ?? ["system:nodes"], extra: {} },
    object: write.object as KubernetesObject,
    old: write.old as KubernetesObject,
  } as unknown as AdmissionRequest; // as much of it as the plugin reads
  assert.ok(plugin.handles(request));
  try {
    await plugin.mutate?.(request, lookup, round);
    return "";
  } catch (error) {
    return (error as Error).message.replace(/^.*? is forbidden: /, "");
  }
}

const owner = { apiVersion: "v1", kind: "Node", name: "n1", uid: "u1", controller: true };
const mirror = (more: object = {}, metadata: object = {}) => ({
  metadata: { name: "m", annotations: { "kubernetes.io/config.mirror": "x" }, ownerReferences: [owner], ...metadata },
  spec: { nodeName: "n1", ...more },
});
const node = (labels: Record<string, string>, spec: object = {}) => ({ metadata: { name: "n1", labels }, spec });
const token = (boundObjectRef?: object, ...audiences: string[]) => ({ spec: { boundObjectRef, audiences } });
const tokenOf = (name: string, uid: string, ...audiences: string[]) => ({
  operation: "CREATE",
  name: "robot",
  object: token({ apiVersion: "v1", kind: "Pod", name, uid }, ...audiences),
});

for (const [name, what, write, want] of [
  ["its mirror pod", "pods", { operation: "CREATE", object: mirror() }, ""],
  [
    "a pod of its own",
    "pods",
    { operation: "CREATE", object: mirror({}, { annotations: {} }) },
    'pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods',
  ],
  [
    "a mirror pod elsewhere",
    "pods",
    { operation: "CREATE", object: mirror({ nodeName: "n2" }) },
    'node "n1" can only create pods with spec.nodeName set to itself',
  ],
  [
    "a mirror pod of an older node",
    "pods",
    { operation: "CREATE", object: mirror({}, { ownerReferences: [{ ...owner, uid: "u0" }] }) },
    "node n1 UID mismatch: expected u0 got u1",
  ],
  [
    "a mirror pod with a secret",
    "pods",
    { operation: "CREATE", object: mirror({ volumes: [{ name: "v", secret: { secretName: "s" } }] }) },
    'node "n1" can not create pods that reference secrets',
  ],
  ["deleting its pod", "pods", { operation: "DELETE", name: "mine" }, ""],
  [
    "deleting another's pod",
    "pods",
    { operation: "DELETE", name: "theirs" },
    'node "n1" can only delete pods with spec.nodeName set to itself',
  ],
  ["the status of its pod", "pods/status", { object: stored["pods/ns/mine"], old: stored["pods/ns/mine"] }, ""],
  [
    "labels through the status",
    "pods/status",
    { object: { metadata: { labels: { a: "b" } } }, old: stored["pods/ns/mine"] },
    'node "n1" cannot update labels through pod status',
  ],
  [
    "evicting another's pod",
    "pods/eviction",
    { operation: "CREATE", name: "theirs", object: {} },
    "node n1 can only evict pods with spec.nodeName set to itself",
  ],
  ["itself", "nodes", { operation: "CREATE", object: node({ "kubernetes.io/hostname": "n1", zone: "a" }) }, ""],
  [
    "labels of others at birth",
    "nodes",
    { operation: "CREATE", object: node({ "node-restriction.kubernetes.io/a": "b", "x.k8s.io/y": "" }) },
    'node "n1" is not allowed to set the following labels: node-restriction.kubernetes.io/a, x.k8s.io/y',
  ],
  [
    "labels of others later",
    "nodes",
    { name: "n1", object: node({ "x.k8s.io/y": "" }), old: node({}) },
    "is not allowed to modify labels: x.k8s.io/y",
  ],
  [
    "its taints",
    "nodes",
    { name: "n1", object: node({}), old: node({}, { taints: [{ key: "a", effect: "NoSchedule" }] }) },
    'node "n1" is not allowed to modify taints',
  ],
  [
    "another node",
    "nodes",
    { name: "n2", object: node({}), old: node({}) },
    'node "n1" is not allowed to modify node "n2"',
  ],
  [
    "another's lease",
    "leases.of.coordination.k8s.io",
    { operation: "CREATE", namespace: "kube-node-lease", object: { metadata: { name: "n2" } } },
    "can only access node lease with the same name as the requesting node",
  ],
  [
    "a token for nothing",
    "serviceaccounts/token",
    { operation: "CREATE", object: token() },
    "node requested token not bound to a pod",
  ],
  ["a token for an audience of a volume", "serviceaccounts/token", tokenOf("mine", "p1", "vault"), ""],
  ["a token for an audience of a CSI driver", "serviceaccounts/token", tokenOf("mine", "p1", "disk"), ""],
  ["a token for an audience it was granted", "serviceaccounts/token", tokenOf("bare", "p3", "granted"), ""],
  [
    "a token for another audience",
    "serviceaccounts/token",
    tokenOf("mine", "p1", "other"),
    'audience "other" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience',
  ],
  [
    "a token for two audiences",
    "serviceaccounts/token",
    tokenOf("mine", "p1", "vault", "disk"),
    "node may only request 0 or 1 audiences",
  ],
  ["a token of its pod", "serviceaccounts/token", tokenOf("mine", "p1"), ""],
  [
    "a token of another's pod",
    "serviceaccounts/token",
    tokenOf("theirs", "p2"),
    "node requested token bound to a pod scheduled on a different node",
  ],
  ["somebody else", "nodes", { name: "n2", groups: [], object: node({}), old: node({}) }, ""],
] as const)
  test(`node restriction: ${name}`, async () => {
    assert.equal(await refusal(what, write as Write), want);
  });
