import assert from "node:assert/strict";
import { test } from "node:test";
import type { FieldRequirement } from "#machinery";
import type { ResourceCache } from "../cache/resource-cache.ts";
import type { Attributes } from "../security.ts";
import { createNodeAuthorizer } from "./node-authorizer.ts";

const objects: Record<string, Record<string, object>> = {
  "/pods": {
    "ns/p": {
      metadata: { name: "p", namespace: "ns" },
      spec: {
        nodeName: "n1",
        serviceAccountName: "robot",
        containers: [{ name: "c", env: [{ name: "E", valueFrom: { configMapKeyRef: { name: "env", key: "k" } } }] }],
        volumes: [
          { name: "s", secret: { secretName: "mine" } },
          { name: "d", persistentVolumeClaim: { claimName: "data" } },
        ],
      },
    },
    "ns/mirror": {
      metadata: { name: "mirror", namespace: "ns", annotations: { "kubernetes.io/config.mirror": "x" } },
      spec: { nodeName: "n1", volumes: [{ name: "s", secret: { secretName: "stolen" } }] },
    },
    "ns/other": { metadata: { name: "other", namespace: "ns" }, spec: { nodeName: "n2" } },
  },
  "/persistentvolumeclaims": { "ns/data": { metadata: { name: "data" }, spec: { volumeName: "pv" } } },
  "/persistentvolumes": {
    pv: {
      metadata: { name: "pv" },
      spec: {
        claimRef: { namespace: "ns", name: "data" },
        csi: {
          driver: "d",
          volumeHandle: "h",
          nodeStageSecretRef: { namespace: "csi", name: "stage" },
          controllerPublishSecretRef: { namespace: "csi", name: "controller" },
        },
      },
    },
  },
  "storage.k8s.io/volumeattachments": { a: { metadata: { name: "a" }, spec: { nodeName: "n1" } } },
};

/** Just what the authorizer asks of a cache. */
function cacheOf(group: string, resource: string): ResourceCache {
  const all = Object.entries(objects[`${group}/${resource}`] ?? {}).map(([key, object]) => ({
    key,
    namespace: key.split("/")[0],
    decoded: () => object,
    glance: () => object,
  }));
  return {
    kind: { group, resource, namespaced: true },
    get: (key: string) => all.find((each) => each.key === key),
    select: ({ indexValue }: { indexValue?: string }) =>
      all.filter((each) => (each.decoded() as { spec: { nodeName?: string } }).spec.nodeName === indexValue),
  } as unknown as ResourceCache; // a stand-in with three of its members
}

const nodes = createNodeAuthorizer(cacheOf);

async function ask(verb: string, what: string, name = "", more: Partial<Attributes> = {}): Promise<boolean | string> {
  const [whole = "", group = ""] = what.split(".of.");
  const [resource = "", subresource = ""] = whole.split("/");
  const decision = await nodes.authorize({
    user: { name: "system:node:n1", uid: "", groups: ["system:nodes"], extra: {} },
    verb,
    resourceRequest: true,
    path: "",
    apiGroup: group,
    apiVersion: "v1",
    resource,
    subresource,
    namespace: "ns",
    name,
    ...more,
  });
  return decision?.allowed || (decision?.reason ?? "no node");
}

const stranger = "no relationship found between node 'n1' and this object";
const selector = (field: string, value: string): { fieldSelector: FieldRequirement[] } => ({
  fieldSelector: [{ field, operator: "=", value }],
});

for (const [verb, what, name, more, want] of [
  ["get", "secrets", "mine", {}, true],
  ["watch", "secrets", "mine", {}, true],
  ["list", "secrets", "", {}, "No Object name found"],
  ["update", "secrets", "mine", {}, "can only read resources of this type"],
  ["get", "secrets", "other", {}, stranger],
  ["get", "secrets", "mine", { namespace: "other" }, stranger],
  ["get", "secrets", "stolen", {}, stranger],
  ["get", "secrets", "stage", { namespace: "csi" }, true],
  ["get", "secrets", "controller", { namespace: "csi" }, stranger],
  ["get", "configmaps", "env", {}, true],
  ["get", "persistentvolumeclaims", "data", {}, true],
  ["patch", "persistentvolumeclaims/status", "data", {}, true],
  ["get", "persistentvolumes", "pv", { namespace: "" }, true],
  ["get", "volumeattachments.of.storage.k8s.io", "a", { namespace: "" }, true],
  ["create", "serviceaccounts/token", "robot", {}, true],
  ["create", "serviceaccounts/token", "default", {}, stranger],
  ["get", "serviceaccounts", "robot", {}, true],
  ["get", "serviceaccounts", "default", {}, stranger],
  ["delete", "serviceaccounts", "robot", {}, "can only create tokens for individual service accounts"],
  ["get", "pods", "p", {}, true],
  ["get", "pods", "other", {}, stranger],
  ["list", "pods", "", { namespace: "" }, "can only list/watch pods with spec.nodeName field selector"],
  ["watch", "pods", "", { namespace: "", ...selector("spec.nodeName", "n1") }, true],
  ["delete", "pods", "other", {}, true],
  ["patch", "nodes/status", "n1", { namespace: "" }, true],
  ["get", "nodes", "n1", { namespace: "" }, true],
  ["get", "nodes", "n2", { namespace: "" }, "node 'n1' cannot read 'n2', only its own Node object"],
  ["list", "nodes", "", { namespace: "" }, "node 'n1' cannot read all nodes, only its own Node object"],
  ["update", "leases.of.coordination.k8s.io", "n1", { namespace: "kube-node-lease" }, true],
  [
    "update",
    "leases.of.coordination.k8s.io",
    "n2",
    { namespace: "kube-node-lease" },
    "can only access node lease with the same name as the requesting node",
  ],
  ["list", "services", "", {}, true],
  ["create", "deployments.of.apps", "", {}, ""],
] as const)
  test(`node n1: ${verb} ${what} ${name} ${JSON.stringify(more)}`, async () => {
    assert.equal(await ask(verb, what, name, more as Partial<Attributes>), want);
  });

test("node authorizer: has no opinion on others, and none without a name", async () => {
  const as = (name: string, groups: string[]) => ({ user: { name, uid: "", groups, extra: {} } });
  assert.equal(await ask("get", "pods", "p", as("system:node:n1", [])), "no node");
  assert.equal(await ask("get", "pods", "p", as("alice", ["system:nodes"])), "no node");
  assert.equal(
    await ask("get", "pods", "p", as("system:node:", ["system:nodes"])),
    'unknown node for user "system:node:"',
  );
});
