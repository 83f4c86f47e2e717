import assert from "node:assert/strict";
import { test } from "node:test";
import type { CertificateRequest, CertificateSigningRequest, Node } from "#api";
import { whyNot } from "./reconcile.ts";

const node = (name: string, ...addresses: string[]): Node => ({
  metadata: { name },
  status: { addresses: addresses.map((address) => ({ type: "InternalIP", address })) },
});
const csr = (username: string, groups = ["system:nodes", "system:authenticated"]) =>
  ({
    metadata: { name: "csr-1" },
    spec: { username, groups, request: "", signerName: "kubernetes.io/kubelet-serving" },
  }) satisfies CertificateSigningRequest;
const request = (commonName: string, dnsNames: string[], ipAddresses: string[]) =>
  ({
    commonName,
    organizations: ["system:nodes"],
    dnsNames,
    ipAddresses,
    emailAddresses: [],
    uris: [],
  }) as unknown as CertificateRequest; // only what is looked at

const nodes = [node("a", "192.0.2.1", "a"), node("b", "192.0.2.2", "b", "192.0.2.9")];
const cluster = { nodes, serviceCidrs: ["10.96.0.0/16", "fd00::/112"] };
const ofA = (names: string[], ips: string[], others: readonly Node[] = []) =>
  whyNot(csr("system:node:a"), request("system:node:a", names, ips), { ...cluster, nodes: [...nodes, ...others] });

test("serving approver: a node's own names and addresses are approved", () => {
  assert.equal(ofA(["a"], ["192.0.2.1"]), undefined);
  assert.equal(ofA([], ["192.0.2.1"]), undefined);
});

for (const [title, found, wanted] of [
  ["an address that the node doesn't tell of", ofA(["a"], ["192.0.2.3"]), "192.0.2.3 is none of the node's addresses"],
  ["another node's address", ofA(["a"], ["192.0.2.2"]), "192.0.2.2 is none of the node's addresses"],
  ["another name", ofA(["b"], ["192.0.2.1"]), "b is none of the node's addresses"],
  [
    "who is no node",
    whyNot(csr("alice", ["system:authenticated"]), request("system:node:a", ["a"], []), cluster),
    "who asks is no node",
  ],
  [
    "a node's name without its group",
    whyNot(csr("system:node:a", []), request("system:node:a", ["a"], []), cluster),
    "who asks is no node",
  ],
  [
    "one node for another",
    whyNot(csr("system:node:a"), request("system:node:b", ["b"], []), cluster),
    "it is for system:node:b, who asks is system:node:a",
  ],
  [
    "a node that isn't there",
    whyNot(csr("system:node:c"), request("system:node:c", ["c"], []), cluster),
    "there is no node c",
  ],
] as const)
  test(`serving approver: ${title} is left to administrators`, () => assert.equal(found, wanted));

test("serving approver: what a node claims for itself but isn't a node's is left to administrators", () => {
  const claims = (address: string, others: readonly Node[] = []) => {
    const list = [node("a", address), ...others];
    const isName = !/^[\d.:a-f]+$/.test(address);
    return whyNot(csr("system:node:a"), request("system:node:a", isName ? [address] : [], isName ? [] : [address]), {
      ...cluster,
      nodes: list,
    });
  };
  for (const name of [
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "web.default.svc",
    "localhost",
  ])
    assert.equal(claims(name), `${name} is no name of a node`);
  for (const address of ["10.96.0.1", "127.0.0.1", "::1", "fd00::1"])
    assert.equal(claims(address), `${address} is no address of a machine`);
  assert.equal(claims("192.0.2.2", [node("b", "192.0.2.2")]), "192.0.2.2 is another node's too");
  assert.equal(claims("b.example", [node("b.example")]), "b.example is another node's too");
  assert.equal(claims("a.example"), undefined);
});
