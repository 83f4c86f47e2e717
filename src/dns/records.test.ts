import assert from "node:assert/strict";
import { test } from "node:test";
import type { Service } from "#api";
import { parsePointer, type Resolution, resolve } from "./records.ts";
import { dashed, type Zone, type ZoneEndpoint } from "./zone.ts";

const http = [{ name: "http", port: 80, protocol: "TCP" }];
const service = (name: string, spec: Service["spec"]): Service => ({ metadata: { name, namespace: "ns" }, spec });
const services = [
  service("web", { clusterIP: "10.96.0.7", clusterIPs: ["10.96.0.7"], ports: http }),
  service("db", { clusterIP: "None", clusterIPs: ["None"], ports: http }),
  service("slow", { clusterIP: "None", publishNotReadyAddresses: true }),
  service("out", { type: "ExternalName", externalName: "example.org" }),
];
const endpoint = (address: string, more: Partial<ZoneEndpoint> = {}): ZoneEndpoint => ({
  address,
  hostname: dashed(address),
  ready: true,
  ports: http,
  ...more,
});
const endpoints: Record<string, ZoneEndpoint[]> = {
  db: [endpoint("10.1.0.1", { hostname: "db-0" }), endpoint("10.1.0.2"), endpoint("10.1.0.3", { ready: false })],
  slow: [endpoint("10.1.0.3", { ready: false })],
};
const zone: Zone = {
  service: (namespace, name) =>
    namespace === "ns" ? services.find(({ metadata }) => metadata.name === name) : undefined,
  endpoints: (_namespace, name) => endpoints[name] ?? [],
  serviceByAddress: (address) => services.find(({ spec }) => spec?.clusterIP === address),
  endpointsByAddress: (address) =>
    services.flatMap((each) =>
      (endpoints[each.metadata.name ?? ""] ?? [])
        .filter((candidate) => candidate.address === address)
        .map((found) => ({ service: each, endpoint: found })),
    ),
  hasNamespace: (name) => name === "ns",
};
const ask = (name: string, type = "A") => resolve({ name, type }, { zone, domain: "cluster.local" });
const data = (resolution: Resolution | undefined) =>
  resolution?.answers.map((answer) => ("data" in answer ? answer.data : undefined));

for (const [name, type, want] of [
  ["web.ns.svc.cluster.local", "A", ["10.96.0.7"]],
  ["WEB.NS.svc.Cluster.Local", "A", ["10.96.0.7"]],
  ["web.ns.cluster.local", "A", ["10.96.0.7"]],
  ["db.ns.svc.cluster.local", "A", ["10.1.0.1", "10.1.0.2"]],
  ["db-0.db.ns.svc.cluster.local", "A", ["10.1.0.1"]],
  ["10-1-0-2.db.ns.svc.cluster.local", "A", ["10.1.0.2"]],
  ["slow.ns.svc.cluster.local", "A", ["10.1.0.3"]],
  ["out.ns.svc.cluster.local", "A", ["example.org"]],
  ["10-1-0-9.ns.pod.cluster.local", "A", ["10.1.0.9"]],
  ["dns-version.cluster.local", "TXT", ["1.1.0"]],
  ["7.0.96.10.in-addr.arpa", "PTR", ["web.ns.svc.cluster.local"]],
  ["1.0.1.10.in-addr.arpa", "PTR", ["db-0.db.ns.svc.cluster.local"]],
  [
    "_http._tcp.web.ns.svc.cluster.local",
    "SRV",
    [{ priority: 0, weight: 100, port: 80, target: "web.ns.svc.cluster.local" }],
  ],
  [
    "_http._tcp.db.ns.svc.cluster.local",
    "SRV",
    [
      { priority: 0, weight: 50, port: 80, target: "db-0.db.ns.svc.cluster.local" },
      { priority: 0, weight: 50, port: 80, target: "10-1-0-2.db.ns.svc.cluster.local" },
    ],
  ],
] as const)
  test(`dns: ${type} ${name}`, () => {
    assert.deepEqual(data(ask(name, type)), want);
  });

for (const [name, type, result] of [
  ["web.ns.svc.cluster.local", "AAAA", "empty"],
  ["web.ns.svc.cluster.local", "MX", "empty"],
  ["ns.svc.cluster.local", "A", "empty"],
  ["svc.cluster.local", "A", "empty"],
  ["none.svc.cluster.local", "A", "missing"],
  ["none.ns.svc.cluster.local", "A", "missing"],
  ["web.other.svc.cluster.local", "A", "missing"],
  ["x.web.ns.svc.cluster.local", "A", "missing"],
  ["_smtp._tcp.web.ns.svc.cluster.local", "SRV", "missing"],
  ["1-2-3.ns.pod.cluster.local", "A", "missing"],
  ["example.cluster.local", "A", "missing"],
] as const)
  test(`dns: ${type} ${name} is ${result}`, () => {
    assert.equal(ask(name, type)?.result, result);
  });

test("dns: names of others are forwarded", () => {
  for (const name of ["example.org", "notcluster.local", "9.9.9.9.in-addr.arpa"]) assert.equal(ask(name), undefined);
});

test("dns: reverse names of both families", () => {
  assert.equal(parsePointer("1.0.168.192.in-addr.arpa"), "192.168.0.1");
  const reversed = `1.${"0.".repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa`;
  assert.equal(parsePointer(reversed), "2001:db8::1");
});
