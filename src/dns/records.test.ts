import assert from "node:assert/strict";
import { test } from "node:test";
import type { Service } from "#api";
import { parsePointer, type Resolution, resolve } from "./records.ts";
import { types } from "./wire.ts";
import { dashed, type Zone, type ZoneEndpoint } from "./zone.ts";

const http = [{ name: "http", port: 80, protocol: "TCP" }];
const several = [...http, { name: "dns", port: 53, protocol: "UDP" }, { port: 8080 }];
const service = (name: string, spec: Service["spec"], namespace = "ns"): Service => ({
  metadata: { name, namespace },
  spec,
});
const external = (name: string, externalName: string) => service(name, { type: "ExternalName", externalName });
const services = [
  service("web", { clusterIP: "10.96.0.7", clusterIPs: ["10.96.0.7"], ports: http }),
  service("several", { clusterIP: "10.96.0.8", clusterIPs: ["10.96.0.8"], ports: several }),
  service("dual", { clusterIP: "10.96.0.9", clusterIPs: ["10.96.0.9", "fd00::9"], ports: http }),
  service("six", { clusterIP: "fd00::6", clusterIPs: ["fd00::6"], ports: http }),
  service("db", { clusterIP: "None", clusterIPs: ["None"], ports: http }),
  service("plain", { clusterIP: "None" }),
  service("none", { clusterIP: "None" }),
  service("old", { clusterIP: "10.96.0.30", ports: http }, "svc"),
  service("old", { clusterIP: "10.96.0.31", ports: http }, "pod"),
  external("out", "Example.ORG."),
  external("to-web", "web.ns.svc.cluster.local"),
  external("to-nothing", "nothing.ns.svc.cluster.local"),
  external("to-old", "web.ns.cluster.local"),
  external("chain", "to-web.ns.svc.cluster.local"),
  external("far", "out.ns.svc.cluster.local"),
  external("loop-a", "loop-b.ns.svc.cluster.local"),
  external("loop-b", "loop-a.ns.svc.cluster.local"),
  external("self", "self.ns.svc.cluster.local"),
  external("address", "192.0.2.1"),
  external("long", `${"x".repeat(64)}.example`),
];
const endpoint = (address: string, more: Partial<ZoneEndpoint> = {}): ZoneEndpoint => ({
  ...{ address, hostname: dashed(address), ports: http },
  ...more,
});
const endpoints: Record<string, ZoneEndpoint[]> = {
  db: [
    endpoint("10.1.0.1", { hostname: "db-0" }),
    endpoint("10.1.0.2"),
    endpoint("fd00::1:0"),
    endpoint("10.1.0.4", { hostname: "twice" }),
    endpoint("10.1.0.5", { hostname: "twice" }),
  ],
  plain: [endpoint("10.1.0.20", { ports: [] })],
  web: [endpoint("10.1.0.7"), endpoint("10.1.0.8", { hostname: "named" })],
};
const zone: Zone = {
  service: (namespace, name) =>
    services.find(({ metadata }) => metadata.name === name && metadata.namespace === namespace),
  endpoints: (_namespace, name) => endpoints[name] ?? [],
  serviceByAddress: (address) => services.find(({ spec }) => spec?.clusterIP === address),
  endpointsByAddress: (address) =>
    Object.entries(endpoints).flatMap(([name, each]) =>
      each
        .filter((candidate) => candidate.address === address)
        .map(({ hostname }) => ({ namespace: "ns", service: name, hostname })),
    ),
  hasNamespace: (name) => ["ns", "svc", "pod", "empty"].includes(name),
  serial: () => 7,
  ownAddresses: ["127.0.0.1"],
};
type TypeName = keyof typeof types;
const ask = (name: string, type: TypeName = "A", domains = ["cluster.local"]) =>
  resolve({ name, type: types[type] }, { zone, domains });
const text = (record: Resolution["answers"][number]) => {
  const { ttl: _ttl, name, type, ...data } = record;
  return [...(name === undefined ? [] : [name]), type, ...Object.values(data)].join(" ");
};
const answers = (resolution: Resolution | undefined) => resolution?.answers.map(text);

for (const [name, type, want] of [
  ["web.ns.svc.cluster.local", "A", ["A 10.96.0.7"]],
  ["web.ns.cluster.local", "A", ["A 10.96.0.7"]],
  ["dual.ns.svc.cluster.local", "A", ["A 10.96.0.9"]],
  ["dual.ns.svc.cluster.local", "AAAA", ["AAAA fd00::9"]],
  ["six.ns.svc.cluster.local", "AAAA", ["AAAA fd00::6"]],
  ["db.ns.svc.cluster.local", "A", ["A 10.1.0.1", "A 10.1.0.2", "A 10.1.0.4", "A 10.1.0.5"]],
  ["db.ns.svc.cluster.local", "AAAA", ["AAAA fd00::1:0"]],
  ["plain.ns.svc.cluster.local", "A", ["A 10.1.0.20"]],
  ["db-0.db.ns.svc.cluster.local", "A", ["A 10.1.0.1"]],
  ["twice.db.ns.svc.cluster.local", "A", ["A 10.1.0.4", "A 10.1.0.5"]],
  ["10-1-0-2.db.ns.svc.cluster.local", "A", ["A 10.1.0.2"]],
  ["10-1-0-2.db.ns.cluster.local", "A", ["A 10.1.0.2"]],
  ["fd00--1-0.db.ns.svc.cluster.local", "AAAA", ["AAAA fd00::1:0"]],
  ["10-1-0-7.web.ns.svc.cluster.local", "A", ["A 10.1.0.7"]],
  ["named.web.ns.svc.cluster.local", "A", ["A 10.1.0.8"]],
  ["10-1-0-9.ns.pod.cluster.local", "A", ["A 10.1.0.9"]],
  ["fd00--1.ns.pod.cluster.local", "AAAA", ["AAAA fd00::1"]],
  ["dns-version.cluster.local", "TXT", ["TXT 1.1.0"]],
  ["7.0.96.10.in-addr.arpa", "PTR", ["PTR web.ns.svc.cluster.local"]],
  ["1.0.1.10.in-addr.arpa", "PTR", ["PTR db-0.db.ns.svc.cluster.local"]],
  ["7.0.1.10.in-addr.arpa", "PTR", ["PTR 10-1-0-7.web.ns.svc.cluster.local"]],
  [`6.${"0.".repeat(27)}0.0.d.f.ip6.arpa`, "PTR", ["PTR six.ns.svc.cluster.local"]],
  [`0.0.0.0.1.${"0.".repeat(23)}0.0.d.f.ip6.arpa`, "PTR", ["PTR fd00--1-0.db.ns.svc.cluster.local"]],
  ["_http._tcp.web.ns.svc.cluster.local", "SRV", ["SRV 100 80 web.ns.svc.cluster.local"]],
  ["_http._tcp.web.ns.cluster.local", "SRV", ["SRV 100 80 web.ns.cluster.local"]],
  ["_http._tcp.web.ns.svc.cluster.local", "A", ["A 10.96.0.7"]],
  ["_dns._udp.several.ns.svc.cluster.local", "SRV", ["SRV 100 53 several.ns.svc.cluster.local"]],
  ["several.ns.svc.cluster.local", "SRV", [80, 53, 8080].map((port) => `SRV 33 ${port} several.ns.svc.cluster.local`)],
  ["dual.ns.svc.cluster.local", "SRV", ["SRV 50 80 dual.ns.svc.cluster.local"]],
  [
    "_http._tcp.db.ns.svc.cluster.local",
    "SRV",
    ["db-0", "10-1-0-2", "fd00--1-0", "twice"].map((host) => `SRV 20 80 ${host}.db.ns.svc.cluster.local`),
  ],
  [
    "_http._tcp.db.ns.cluster.local",
    "SRV",
    ["db-0", "10-1-0-2", "fd00--1-0", "twice"].map((host) => `SRV 20 80 ${host}.db.ns.cluster.local`),
  ],
  ["out.ns.svc.cluster.local", "A", ["CNAME example.org"]],
  ["out.ns.svc.cluster.local", "CNAME", ["CNAME example.org"]],
  ["out.ns.svc.cluster.local", "MX", ["CNAME example.org"]],
  ["to-web.ns.svc.cluster.local", "A", ["CNAME web.ns.svc.cluster.local", "web.ns.svc.cluster.local A 10.96.0.7"]],
  ["to-old.ns.svc.cluster.local", "A", ["CNAME web.ns.cluster.local", "web.ns.cluster.local A 10.96.0.7"]],
  ["to-web.ns.svc.cluster.local", "CNAME", ["CNAME web.ns.svc.cluster.local"]],
  [
    "chain.ns.svc.cluster.local",
    "A",
    [
      "CNAME to-web.ns.svc.cluster.local",
      "to-web.ns.svc.cluster.local CNAME web.ns.svc.cluster.local",
      "web.ns.svc.cluster.local A 10.96.0.7",
    ],
  ],
  ["far.ns.svc.cluster.local", "A", ["CNAME out.ns.svc.cluster.local", "out.ns.svc.cluster.local CNAME example.org"]],
  // Namespaces of these names: the form without `svc`, where the other one means nothing.
  ["old.svc.cluster.local", "A", ["A 10.96.0.30"]],
  ["old.svc.svc.cluster.local", "A", ["A 10.96.0.30"]],
  ["old.pod.cluster.local", "A", ["A 10.96.0.31"]],
  ["old.pod.svc.cluster.local", "A", ["A 10.96.0.31"]],
  ["cluster.local", "SOA", ["cluster.local SOA 7"]],
  ["cluster.local", "NS", ["NS ns.dns.cluster.local"]],
  ["ns.dns.cluster.local", "A", ["A 127.0.0.1"]],
] as const)
  test(`dns: ${type} ${name}`, () => {
    assert.deepEqual(answers(ask(name, type)), [...want]);
  });

for (const [name, type, result] of [
  ["web.ns.svc.cluster.local", "AAAA", "empty"],
  ["web.ns.svc.cluster.local", "MX", "empty"],
  ["web.ns.svc.cluster.local", "ANY", "empty"],
  ["web.ns.svc.cluster.local", "SOA", "empty"],
  ["ns.svc.cluster.local", "A", "empty"],
  ["ns.cluster.local", "A", "empty"],
  ["svc.cluster.local", "A", "empty"],
  ["pod.cluster.local", "A", "empty"],
  ["ns.pod.cluster.local", "A", "empty"],
  ["none.pod.cluster.local", "A", "missing"],
  ["cluster.local", "A", "empty"],
  ["dns.cluster.local", "A", "empty"],
  ["dns-version.cluster.local", "A", "empty"],
  ["none.svc.cluster.local", "A", "missing"],
  ["nothing.ns.svc.cluster.local", "A", "missing"],
  ["nothing.ns.svc.cluster.local", "SOA", "missing"],
  ["none.ns.svc.cluster.local", "A", "missing"],
  ["web.other.svc.cluster.local", "A", "missing"],
  ["x.web.ns.svc.cluster.local", "A", "missing"],
  ["x.y.z.web.ns.svc.cluster.local", "A", "missing"],
  ["*.ns.svc.cluster.local", "A", "missing"],
  ["_tcp.web.ns.svc.cluster.local", "A", "empty"],
  ["_udp.web.ns.svc.cluster.local", "A", "missing"],
  ["_smtp._tcp.web.ns.svc.cluster.local", "SRV", "missing"],
  ["_._tcp.several.ns.svc.cluster.local", "SRV", "missing"],
  ["_dns._tcp.several.ns.svc.cluster.local", "SRV", "missing"],
  ["plain.ns.svc.cluster.local", "SRV", "empty"],
  ["_http._tcp.out.ns.svc.cluster.local", "SRV", "missing"],
  ["x.out.ns.svc.cluster.local", "A", "missing"],
  ["to-nothing.ns.svc.cluster.local", "A", "missing"],
  ["loop-a.ns.svc.cluster.local", "A", "empty"],
  ["self.ns.svc.cluster.local", "A", "empty"],
  ["address.ns.svc.cluster.local", "A", "missing"],
  ["long.ns.svc.cluster.local", "A", "missing"],
  ["1-2-3.ns.pod.cluster.local", "A", "missing"],
  ["1-2-3-4.none.pod.cluster.local", "A", "missing"],
  ["x.1-2-3-4.ns.pod.cluster.local", "A", "missing"],
  ["example.cluster.local", "A", "missing"],
  ["web\\.ns.svc.cluster.local", "A", "missing"],
  ["cluster.local", "AXFR", "refused"],
] as const)
  test(`dns: ${type} ${name} is ${result}`, () => {
    assert.equal(ask(name, type)?.result, result);
  });

test("dns: names of others are forwarded", () => {
  for (const name of ["example.org", "notcluster.local", "", "9.9.9.9.in-addr.arpa"])
    for (const type of ["A", "PTR"] as const) assert.equal(ask(name, type), undefined);
  assert.equal(ask("far.ns.svc.cluster.local")?.follow, "example.org");
});

test("dns: SRV names what it points to, each address once", () => {
  assert.deepEqual(ask("dual.ns.svc.cluster.local", "SRV")?.additionals.map(text), [
    "dual.ns.svc.cluster.local A 10.96.0.9",
    "dual.ns.svc.cluster.local AAAA fd00::9",
  ]);
  assert.equal(ask("_http._tcp.db.ns.svc.cluster.local", "SRV")?.additionals.length, 5);
});

test("dns: names of 1.0 under a domain of the user's, among several domains", () => {
  const domains = ["tenx.domain", "cluster.local", "more.tenx.domain"];
  assert.deepEqual(answers(ask("web.ns.tenx.domain", "A", domains)), ["A 10.96.0.7"]);
  assert.deepEqual(answers(ask("_http._tcp.web.ns.tenx.domain", "SRV", domains)), ["SRV 100 80 web.ns.tenx.domain"]);
  assert.deepEqual(answers(ask("web.ns.svc.more.tenx.domain", "A", domains)), ["A 10.96.0.7"]);
  assert.equal(ask("nothing.ns.more.tenx.domain", "A", domains)?.domain, "more.tenx.domain");
  assert.deepEqual(answers(ask("7.0.96.10.in-addr.arpa", "PTR", domains)), ["PTR web.ns.svc.tenx.domain"]);
});

test("dns: only answers that one Service decides are kept", () => {
  assert.equal(ask("web.ns.svc.cluster.local")?.owner, "ns/web");
  assert.equal(ask("nothing.ns.cluster.local")?.owner, "ns/nothing");
  for (const name of ["to-web.ns.svc.cluster.local", "ns.svc.cluster.local", "10-1-0-9.ns.pod.cluster.local"])
    assert.equal(ask(name)?.owner, undefined, name);
});

test("dns: reverse names of both families", () => {
  assert.equal(parsePointer("1.0.168.192.in-addr.arpa"), "192.168.0.1");
  const reversed = `1.${"0.".repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa`;
  assert.equal(parsePointer(reversed), "2001:db8::1");
});

test("dns: names of endpoints by address", () => {
  assert.deepEqual(["10.1.0.2", "FD00::1", "fd00::"].map(dashed), ["10-1-0-2", "fd00--1", "fd00--0"]);
});
