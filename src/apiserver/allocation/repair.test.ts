import assert from "node:assert/strict";
import { test } from "node:test";
import type { IPAddress, Service } from "#api";
import type { TestContext } from "node:test";
import { startTestServer, testCertificate, type TestObject } from "../test-server.ts";
import { AddressRange } from "./address-range.ts";
import { parsePortRange } from "./port-range.ts";
import { portKey } from "./port-table.ts";
import { type AddressState, type Repair, repairIpAddress, repairService } from "./repair-addresses.ts";
import { leakChecks, repairPorts } from "./repair-ports.ts";

const now = Date.UTC(2026, 0, 1);
const ours = {
  "ipaddress.kubernetes.io/ip-family": "IPv4",
  "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
};

const service = (name: string, spec: object): Service => ({ metadata: { name, namespace: "ns" }, spec }) as Service;
const at = (clusterIP: string, more: object = {}) => ({
  clusterIP,
  clusterIPs: [clusterIP],
  type: "ClusterIP",
  ...more,
});

interface AddressShape {
  readonly parent?: object;
  readonly labels?: Record<string, string>;
  readonly ageMs?: number;
}

const address = (name: string, { parent, labels = ours, ageMs = 61_000 }: AddressShape = {}): IPAddress =>
  ({
    metadata: { name, labels, creationTimestamp: new Date(now - ageMs).toISOString() },
    spec: { parentRef: { resource: "services", namespace: "ns", name: "a", ...parent } },
  }) as IPAddress;

function state(services: readonly Service[], addresses: readonly IPAddress[]): AddressState {
  return {
    ranges: [{ range: new AddressRange("10.0.0.0/24"), ready: false }],
    service: (namespace, name) => services.find(({ metadata: m }) => m.namespace === namespace && m.name === name),
    address: (name) => addresses.find(({ metadata }) => metadata.name === name),
  };
}

/** `Reason: note; write 10.0.0.1` */
const print = (repairs: readonly Repair[]): string =>
  repairs
    .map((repair) => {
      if (repair.type === "event") return `${repair.reason}: ${repair.note}`;
      return repair.type === "look-again" ? `again in ${repair.afterMs}` : `${repair.type} ${repair.address}`;
    })
    .join("; ");

const wrongReference =
  "ClusterIPNotAllocated: the ClusterIP [IPv4]: 10.0.0.1 for Service ns/a has a wrong reference; repairing; write 10.0.0.1";

for (const [name, spec, addresses, wanted] of [
  ["with its address", at("10.0.0.1"), [address("10.0.0.1")], ""],
  ["without any", at("None"), [], ""],
  ["of a name", { type: "ExternalName" }, [], ""],
  [
    "whose address is missing",
    at("10.0.0.1"),
    [],
    "ClusterIPNotAllocated: Cluster IP [IPv4]: 10.0.0.1 is not allocated; repairing; write 10.0.0.1",
  ],
  ["whose address is none", at("x"), [], "ClusterIPNotValid: Cluster IP x is not a valid IP; please recreate Service"],
  [
    "outside of all ranges",
    at("10.1.0.1"),
    [],
    "ClusterIPOutOfRange: Cluster IP [IPv4]: 10.1.0.1 is not within any configured Service CIDR; please recreate service",
  ],
  [
    "whose address names no Service",
    at("10.0.0.1"),
    [address("10.0.0.1", { parent: { resource: "pods" } })],
    wrongReference,
  ],
  [
    "whose address names one that is gone",
    at("10.0.0.1"),
    [address("10.0.0.1", { parent: { name: "x" } })],
    wrongReference,
  ],
  [
    "whose address another has too",
    at("10.0.0.1"),
    [address("10.0.0.1", { parent: { name: "b" } })],
    "ClusterIPAlreadyAllocated: Cluster IP [IPv4]:10.0.0.1 was assigned to multiple services; please recreate service",
  ],
  ["whose address lost its labels", at("10.0.0.1"), [address("10.0.0.1", { labels: {} })], "write 10.0.0.1"],
] as const)
  test(`repair: a Service ${name}`, () => {
    const own = service("a", spec);
    assert.equal(print(repairService(own, state([own, service("b", at("10.0.0.1"))], addresses))), wanted);
  });

for (const [name, shape, spec, wanted] of [
  ["of its Service", {}, at("10.0.0.1"), ""],
  ["that somebody else made", { labels: {} }, undefined, ""],
  [
    "of nobody",
    {},
    undefined,
    "IPAddressNotAllocated: IPAddress: 10.0.0.1 for Service ns/a appears to have leaked: cleaning up; delete 10.0.0.1",
  ],
  ["of nobody yet", { ageMs: 59_000 }, undefined, "again in 1001"],
  [
    "of something else",
    { parent: { resource: "pods" } },
    undefined,
    "IPAddressNotAllocated: IPAddress 10.0.0.1 appears to have been modified, not referencing a Service &ParentReference{Group:,Resource:pods,Namespace:ns,Name:a,}: cleaning up; delete 10.0.0.1",
  ],
  [
    "of a Service with another",
    {},
    at("10.0.0.2"),
    "IPAddressWrongReference: IPAddress: 10.0.0.1 for Service ns/a has a wrong reference; cleaning up; delete 10.0.0.1",
  ],
  ["of one that becomes a name", { ageMs: 0 }, { type: "ExternalName" }, "again in 60001"],
] as const)
  test(`repair: an address ${name}`, () => {
    const services = spec ? [service("a", spec)] : [];
    assert.equal(print(repairIpAddress(address("10.0.0.1", shape), state(services, []), now)), wanted);
  });

const ported = (name: string, ...nodePorts: number[]): Service =>
  service(name, { type: "NodePort", ports: nodePorts.map((nodePort) => ({ port: 80, nodePort })) });

test("repair: ports that nobody reserved are, and what can't be is told", () => {
  const { events, take, release, leaks } = repairPorts({
    range: parsePortRange("30000-30100"),
    reserved: new Set([30_000]),
    services: [ported("a", 30_000, 30_001), ported("b", 30_001), ported("c", 80)],
    leaks: new Map(),
  });
  assert.deepEqual(
    events.map(({ service: { metadata }, reason, note }) => [metadata.name, reason, note]),
    [
      ["a", "PortNotAllocated", "Port 30001 is not allocated; repairing"],
      ["b", "PortAlreadyAllocated", "Port 30001 was assigned to multiple services; please recreate service"],
      ["c", "PortOutOfRange", "Port 80 is not within the port range 30000-30100; please recreate service"],
    ],
  );
  assert.deepEqual([take.map(({ port }) => port), release, leaks.size], [[30_001], [], 0]);
});

test("repair: a port that nobody has is given back only when it stays so", () => {
  let leaks: ReadonlyMap<number, number> = new Map();
  const base = { range: parsePortRange("30000-30100"), reserved: new Set([30_000]) };
  for (let check = 1; check <= leakChecks; check++) {
    const found = repairPorts({ ...base, services: [], leaks });
    assert.deepEqual([found.release, found.leaks.get(30_000)], [[], check]);
    ({ leaks } = found);
  }
  assert.equal(repairPorts({ ...base, services: [ported("a", 30_000)], leaks }).leaks.size, 0, "it came after all");
  assert.deepEqual(repairPorts({ ...base, services: [], leaks }).release, [30_000]);
});

test("repair: TCP and UDP share a port, a protocol twice doesn't; the port of health checks counts", () => {
  const port = (nodePort: number, protocol: string) => ({ port: 80, nodePort, protocol });
  const found = repairPorts({
    range: parsePortRange("30000-30100"),
    reserved: new Set(),
    services: [
      service("a", { ports: [port(30_000, "TCP"), port(30_000, "UDP")], healthCheckNodePort: 30_009 }),
      service("b", { ports: [port(30_001, "TCP"), port(30_001, "TCP")] }),
    ],
    leaks: new Map(),
  });
  assert.deepEqual(
    found.take.map(({ port: taken }) => taken),
    [30_000, 30_009, 30_001],
  );
  assert.deepEqual(found.events.filter(({ reason }) => reason === "PortAlreadyAllocated").length, 1);
});

interface RepairEvent extends TestObject {
  readonly reason: string;
  readonly regarding: { readonly name: string };
  readonly action: string;
  readonly type: string;
  readonly reportingController: string;
  readonly reportingInstance: string;
}

async function listening(t: TestContext) {
  const api = await startTestServer({ tls: await testCertificate(), network: { hostname: "h" } });
  t.after(() => api.close());
  await api.server.listen({ host: "127.0.0.1", port: 0 });
  const becomes = async <T>(look: () => Promise<T | undefined>): Promise<T> => {
    for (let i = 0; i < 100; i++) {
      const found = await look();
      if (found !== undefined) return found;
      await new Promise((next) => setTimeout(next, 20));
    }
    throw new Error(`never: ${look}`);
  };
  const eventOf = (name: string, reason: string) =>
    becomes(async () => {
      const { items } = await api.call("GET", "/apis/events.k8s.io/v1/namespaces/default/events");
      return (items as RepairEvent[]).find((event) => event.reason === reason && event.regarding.name === name);
    });
  return { api, becomes, eventOf };
}

const services = "/api/v1/namespaces/default/services";
const addresses = "/apis/networking.k8s.io/v1/ipaddresses";

test("repair: a deleted IPAddress comes back, and its Service is told", async (t) => {
  const { api, becomes, eventOf } = await listening(t);
  const made = await api.call("POST", services, { metadata: { name: "a" }, spec: { ports: [{ port: 80 }] } });
  const path = `${addresses}/${made.spec.clusterIP}`;
  const { metadata } = await api.call("GET", path);
  await api.call("DELETE", path);
  const again = await becomes(() => api.call("GET", path).catch(() => undefined));
  assert.notEqual(again.metadata.uid, metadata.uid);
  assert.deepEqual(again.spec.parentRef, { resource: "services", namespace: "default", name: "a" });
  const event = await eventOf("a", "ClusterIPNotAllocated");
  const { action, reportingController, reportingInstance, type } = event;
  assert.deepEqual(
    [action, reportingController, reportingInstance, type],
    ["ClusterIPAllocation", "ipallocator-repair-controller", "ipallocator-repair-controller-h", "Warning"],
  );
  await api.call("DELETE", `${services}/a`);
  await assert.rejects(api.call("GET", path), /not found/);
});

test("repair: a port whose key is lost is reserved again", async (t) => {
  const { api, becomes, eventOf } = await listening(t);
  const ports = [{ port: 80, nodePort: 30_080 }];
  await api.call("POST", services, { metadata: { name: "a" }, spec: { type: "NodePort", ports } });
  const key = portKey(30_080);
  await api.store.transact({ compare: [], operations: [{ type: "delete", key }] });
  await eventOf("a", "PortNotAllocated");
  const { items } = await becomes(async () => {
    const found = await api.store.range({ start: key });
    return found.items.length > 0 ? found : undefined;
  });
  assert.equal(Buffer.from(items[0]?.value ?? []).toString(), "default/a");
});
