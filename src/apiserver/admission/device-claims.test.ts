import assert from "node:assert/strict";
import { test } from "node:test";
import type { ResourceClaim } from "#api";
import type { AdmissionRequest, Lookup } from "./chain.ts";
import { deviceClaims } from "./device-claims.ts";

const granted = new Set<string>();
const plugin = deviceClaims({
  authorize: ({ verb, subresource, name }) => ({
    allowed: granted.has(`${verb} ${subresource} ${name}`.trim()),
    reason: "",
  }),
});
const labels: Record<string, Record<string, string>> = { open: { "resource.kubernetes.io/admin-access": "true" } };
const lookup = {
  kind: () => "namespaces",
  get: async (_kind: unknown, _namespace: string, name: string) => ({ metadata: { name, labels: labels[name] } }),
} as unknown as Lookup; // as much of it as the plugin asks

interface Write {
  readonly subresource?: string;
  readonly namespace?: string;
  readonly resource?: string;
  readonly object: object;
  readonly old?: object;
  /** Of the account's node. */
  readonly node?: string;
}

async function refusal({ subresource = "", namespace = "ns", resource = "resourceclaims", node, ...write }: Write) {
  const request = {
    operation: subresource ? "UPDATE" : "CREATE",
    resource: { group: "resource.k8s.io", version: "v1", resource, kind: "ResourceClaim" },
    subresource,
    namespace,
    name: "x",
    verb: "patch",
    user: {
      name: "system:serviceaccount:ns:driver",
      uid: "",
      groups: [],
      extra: node ? { "authentication.kubernetes.io/node-name": [node] } : {},
    },
    ...write,
  } as unknown as AdmissionRequest; // as much of it as the plugin reads
  assert.ok(plugin.handles(request));
  try {
    await plugin.validate?.(request, lookup);
    return "";
  } catch (error) {
    return (error as Error).message.replace(/^.*? is invalid: /, "");
  }
}

const admin = {
  devices: {
    requests: [
      { name: "a", exactly: { deviceClassName: "k" } },
      { name: "b", exactly: { deviceClassName: "k", adminAccess: true } },
    ],
  },
};

test("device claims: admin access needs a labelled namespace", async () => {
  const detail =
    "Forbidden: admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace";
  assert.equal(await refusal({ object: { spec: admin } }), `spec.devices.requests[1].adminAccess: ${detail}`);
  const template = { resource: "resourceclaimtemplates", object: { spec: { spec: admin } } };
  assert.equal(await refusal(template), `spec.devices.requests[1].adminAccess: ${detail}`);
  assert.equal(await refusal({ namespace: "open", object: { spec: admin } }), "");
});

const allocation = {
  devices: { results: [{ request: "r", driver: "d.io", pool: "p", device: "gpu" }] },
  nodeSelector: { nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: ["n1"] }] }] },
};
const before: ResourceClaim["status"] = { allocation };
const told: ResourceClaim["status"] = { allocation, devices: [{ driver: "d.io", pool: "p", device: "gpu" }] };

test("device claims: who may bind them, and who may speak for a driver", async () => {
  const write = (object: ResourceClaim["status"], old: ResourceClaim["status"], node?: string) =>
    refusal({ subresource: "status", object: { status: object }, old: { status: old }, ...(node ? { node } : {}) });
  assert.match(
    await write(before, {}),
    /^status.allocation: Forbidden: changing status.allocation or status.reservedFor requires resource="resourceclaims\/binding", verb="patch" permission: /,
  );
  assert.match(
    await write(told, before),
    /^status.devices: Forbidden: changing status.devices requires resource="resourceclaims\/driver", verb="\[arbitrary-node:patch\]" permission: resourceclaims.resource.k8s.io "d.io" is forbidden: User "system:serviceaccount:ns:driver" cannot arbitrary-node:patch resource "resourceclaims\/driver" in API group "resource.k8s.io" in the namespace "ns"$/,
  );
  granted.add("patch binding");
  granted.add("associated-node:patch driver d.io");
  assert.equal(await write(before, {}), "");
  assert.equal(await write(told, before, "n1"), "");
  assert.match(await write(told, before, "n2"), /verb="\[arbitrary-node:patch\]"/);
  granted.add("arbitrary-node:patch driver d.io");
  assert.equal(await write(told, before, "n2"), "");
  assert.equal(await write({}, told), "");
});
