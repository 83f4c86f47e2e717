import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointSlice, Node, Service } from "#api";
import { FakeTransport } from "#testing";
import { runController } from "../lib/fixture.ts";
import { Claims } from "./claims.ts";
import { loadBalancerController } from "./controller.ts";
import { parsePool } from "./pool.ts";
import {
  announcerAnnotation,
  announcerOf,
  type BalancerState,
  finalizer,
  isUsable,
  planBalancer,
} from "./reconcile.ts";

interface NodeShape {
  ready?: boolean;
  labels?: Record<string, string>;
  addresses?: [type: string, address: string][];
  taint?: string;
}

const node = (name: string, { ready = true, labels = {}, addresses, taint }: NodeShape = {}): Node => ({
  ...{ apiVersion: "v1", kind: "Node", metadata: { name, labels } },
  spec: taint ? { taints: [{ key: taint, effect: "NoSchedule" }] } : {},
  status: {
    addresses: (addresses ?? [["InternalIP", `192.168.7.${name.charCodeAt(0)}`]]).map(([type, address]) => ({
      type,
      address,
    })),
    conditions: [{ type: "Ready", status: ready ? "True" : "False" }],
    daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
  },
});

const service = (name: string, spec: Service["spec"] & object = {}, metadata: Service["metadata"] = {}): Service => ({
  ...{ apiVersion: "v1", kind: "Service" },
  metadata: { name, namespace: "default", uid: `uid-${name}`, ...metadata },
  spec: { type: "LoadBalancer", ipFamilies: ["IPv4"], ports: [{ port: 80, protocol: "TCP" }], ...spec },
});

const state = (given: Partial<BalancerState> & { ranges?: string[] } = {}): BalancerState => ({
  pool: given.ranges && parsePool(given.ranges),
  ...{ claims: new Claims(), nodes: [node("a"), node("b")], slices: [], reserved: new Map([[10250, "the kubelet"]]) },
  ...given,
});

test("load balancer's pool: what is one, and what isn't", () => {
  const pool = parsePool(["192.168.7.8/30", "10.0.0.250-10.0.1.1", "fd00::10-fd00::11"]);
  const taken = new Set<string>();
  const all = (family: "IPv4" | "IPv6") => {
    for (;;) {
      const next = pool.free(family, (address) => taken.has(address));
      if (next === undefined) return [...taken].filter((each) => each.includes(":") === (family === "IPv6"));
      taken.add(next);
    }
  };
  assert.deepEqual(all("IPv4").slice(0, 5), [
    "192.168.7.8",
    "192.168.7.9",
    "192.168.7.10",
    "192.168.7.11",
    "10.0.0.250",
  ]);
  assert.equal(all("IPv4").at(-1), "10.0.1.1");
  assert.deepEqual(all("IPv6"), ["fd00::10", "fd00::11"]);
  assert.ok(pool.contains("FD00:0::10") && !pool.contains("192.168.7.12") && !pool.contains("nobody"));
  assert.equal(pool.overlap("10.0.0.0/24"), "10.0.0.250-10.0.1.1");
  assert.equal(pool.overlap("10.1.0.0/24"), undefined);
  for (const wrong of ["", "x", "10.0.0.1-", "10.0.0.9-10.0.0.1", "10.0.0.1-fd00::1", "10.0.0.0/33", "1-2-3"])
    assert.throws(() => parsePool([wrong]), Error, wrong);
  assert.throws(() => parsePool(["10.0.0.0/24", "10.0.0.7"]), /overlap/);
});

test("load balancer: nodes that count", () => {
  const cases: [NodeShape, boolean][] = [
    [{}, true],
    [{ ready: false }, false],
    [{ taint: "ToBeDeletedByClusterAutoscaler" }, false],
    [{ taint: "other" }, true],
    ...(["", "true", "x", "1"].map((value) => [value, false]) as [string, boolean][])
      .concat([["false", true]])
      .map(([value, counts]): [NodeShape, boolean] => [
        { labels: { "node.kubernetes.io/exclude-from-external-load-balancers": value } },
        counts,
      ]),
  ];
  for (const [shape, counts] of cases) assert.equal(isUsable(node("a", shape)), counts, JSON.stringify(shape));
});

test("load balancer: what a Service gets", () => {
  const slice = (nodeName: string, ready: boolean): EndpointSlice => ({
    ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata: {}, addressType: "IPv4" },
    endpoints: [{ addresses: ["10.244.0.9"], nodeName, conditions: { ready } }],
  });
  const held = new Claims();
  held.hold("default/other", ["10.9.0.1", "443/TCP"]);
  const two = [node("a", { addresses: [["ExternalIP", "1.2.3.4"], ["InternalIP", "192.168.7.1"], ["InternalIP", "fd00::1"]] }), node("b")]; // biome-ignore format: one row
  const cases: [what: string, Service, BalancerState, ips: string[], failure?: RegExp][] = [
    ["addresses of nodes", service("a"), state(), ["192.168.7.97", "192.168.7.98"]],
    ["external ones first", service("a"), state({ nodes: two }), ["1.2.3.4", "192.168.7.98"]],
    ["both families", service("a", { ipFamilies: ["IPv6", "IPv4"] }), state({ nodes: two }), ["fd00::1", "1.2.3.4", "192.168.7.98"]], // biome-ignore format: one row
    ["nobody's endpoint", service("a", { externalTrafficPolicy: "Local" }), state({ slices: [slice("b", false)] }), []],
    ["an endpoint at b", service("a", { externalTrafficPolicy: "Local" }), state({ slices: [slice("a", false), slice("b", true)] }), ["192.168.7.98"]], // biome-ignore format: one row
    ["a port that is taken", service("a", { ports: [{ port: 443 }] }), state({ claims: held }), [], /443\/TCP by Service default\/other/], // biome-ignore format: one row
    ["the same of UDP", service("a", { ports: [{ port: 443, protocol: "UDP" }] }), state({ claims: held }), ["192.168.7.97", "192.168.7.98"]], // biome-ignore format: one row
    ["the kubelet's", service("a", { ports: [{ port: 10250 }] }), state(), [], /10250\/TCP by the kubelet/],
    ["the pool's first", service("a"), state({ ranges: ["10.9.0.1-10.9.0.3"] }), ["10.9.0.1"]],
    ["the next", service("a"), state({ claims: held, ranges: ["10.9.0.1-10.9.0.3"] }), ["10.9.0.2"]],
    ["none left", service("a"), state({ claims: held, ranges: ["10.9.0.1"] }), [], /no free IPv4 address is left/],
    ["wanted", service("a", { loadBalancerIP: "10.9.0.3" }), state({ ranges: ["10.9.0.1-10.9.0.3"] }), ["10.9.0.3"]],
    ["wanted, another's", service("a", { loadBalancerIP: "10.9.0.1" }), state({ claims: held, ranges: ["10.9.0.1-10.9.0.3"] }), [], /10.9.0.1 is taken by Service default\/other/], // biome-ignore format: one row
    [
      "wanted, foreign",
      service("a", { loadBalancerIP: "8.8.8.8" }),
      state({ ranges: ["10.9.0.1"] }),
      [],
      /not in the pool/,
    ],
    [
      "no class without its pool",
      service("a", { loadBalancerClass: "sampan.dev/pool" }),
      state(),
      [],
      /--load-balancer-pool/,
    ],
    ["nodes in spite of a pool", service("a", { loadBalancerClass: "sampan.dev/nodes" }), state({ ranges: ["10.9.0.1"] }), ["192.168.7.97", "192.168.7.98"]], // biome-ignore format: one row
    ["by annotation, both", service("a", { ipFamilies: ["IPv4", "IPv6"] }, { annotations: { "sampan.dev/load-balancer-ips": "fd00::2, 10.9.0.2" } }), state({ ranges: ["10.9.0.1-10.9.0.3", "fd00::/126"] }), ["10.9.0.2", "fd00::2"]], // biome-ignore format: one row
    ["half is too little", service("a", { ipFamilies: ["IPv4", "IPv6"], ipFamilyPolicy: "RequireDualStack" }), state({ ranges: ["10.9.0.1"] }), [], /no IPv6/], // biome-ignore format: one row
    ["half will do", service("a", { ipFamilies: ["IPv4", "IPv6"], ipFamilyPolicy: "PreferDualStack" }), state({ ranges: ["10.9.0.1"] }), ["10.9.0.1"], /no IPv6/], // biome-ignore format: one row
  ];
  for (const [what, given, facts, ips, failure] of cases) {
    const plan = planBalancer("default/a", given, facts);
    assert.deepEqual(plan.ingress.map(({ ip }) => ip), ips, what); // biome-ignore format: one row
    assert.match(plan.failure ?? "", failure ?? /^$/, what);
  }
});

test("load balancer: who answers for an address moves only when that node goes", () => {
  const nodes = ["a", "b", "c", "d"].map((name) => node(name));
  for (let at = 0; at < 50; at++) {
    const address = `10.9.0.${at}`;
    const first = announcerOf(address, nodes);
    const without = nodes.filter(({ metadata }) => metadata?.name !== "c");
    if (first !== "c") assert.equal(announcerOf(address, without), first);
    else assert.notEqual(announcerOf(address, without), "c");
  }
});

const at = "/api/v1/namespaces/default/services";
const add = (transport: FakeTransport, given: Service) => transport.create(at, given);
const found = (transport: FakeTransport, name: string) => transport.objects.get(`${at}/${name}`) as Service | undefined;
const ipsOf = (transport: FakeTransport, name: string) =>
  (found(transport, name)?.status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip).join();

test("load balancer: addresses follow nodes, ports belong to one, all is given back", async () => {
  const transport = new FakeTransport();
  transport.create("/api/v1/nodes", node("a"));
  add(transport, service("web"));
  const controller = runController(loadBalancerController, transport);
  await controller.until(() => ipsOf(transport, "web") === "192.168.7.97");
  assert.deepEqual(found(transport, "web")?.metadata?.finalizers, [finalizer]);
  const reasons = () => controller.events.map(({ reason }) => reason);
  assert.deepEqual(reasons(), ["EnsuringLoadBalancer", "EnsuredLoadBalancer"]);
  transport.create("/api/v1/nodes", node("b"));
  await controller.until(() => ipsOf(transport, "web") === "192.168.7.97,192.168.7.98");
  transport.put("/api/v1/nodes/a", node("a", { ready: false }));
  await controller.until(() => ipsOf(transport, "web") === "192.168.7.98");
  assert.deepEqual(reasons().slice(2), ["UpdatedLoadBalancer", "UpdatedLoadBalancer"]);

  add(transport, service("web2"));
  await controller.until(() => found(transport, "web2")?.status?.conditions?.[0]?.status === "True");
  assert.equal(ipsOf(transport, "web2"), "");
  assert.equal(
    controller.events.at(-1)?.message,
    "Error syncing load balancer: failed to ensure load balancer: ports of the nodes are taken: 80/TCP by Service default/web",
  );
  transport.patch(`${at}/web`, { spec: { type: "ClusterIP" } });
  await controller.until(() => ipsOf(transport, "web2") === "192.168.7.98");
  assert.equal(ipsOf(transport, "web"), "");
  assert.deepEqual(found(transport, "web")?.metadata?.finalizers, []);
  assert.equal(found(transport, "web2")?.status?.conditions?.[0]?.status, "False");

  transport.patch(`${at}/web2`, { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } });
  await controller.until(() => found(transport, "web2")?.metadata?.finalizers?.length === 0);
  assert.deepEqual(reasons().slice(-2), ["DeletingLoadBalancer", "DeletedLoadBalancer"]);
  await controller.stop();
});

test("load balancer: addresses of a pool stay through a restart, another class is another's", async () => {
  const transport = new FakeTransport();
  transport.create("/api/v1/nodes", node("a"));
  const options = { loadBalancerPool: ["10.9.0.1-10.9.0.2"] };
  const had = { loadBalancer: { ingress: [{ ip: "10.9.0.2", ipMode: "VIP" }] } };
  add(transport, { ...service("old", {}, { creationTimestamp: "2021-01-01T00:00:00Z" }), status: had });
  add(transport, { ...service("older", {}, { creationTimestamp: "2020-01-01T00:00:00Z" }), status: had });
  add(transport, service("foreign", { loadBalancerClass: "example.com/other" }));
  const first = runController(loadBalancerController, transport, options);
  await first.until(() => ipsOf(transport, "older") === "10.9.0.2" && ipsOf(transport, "old") === "10.9.0.1");
  await first.until(() => found(transport, "old")?.metadata?.annotations?.[announcerAnnotation] === "a");
  add(transport, service("late"));
  await first.until(() => first.events.some(({ message }) => message.includes("no free IPv4 address is left")));
  assert.equal(found(transport, "foreign")?.metadata?.finalizers, undefined);
  await first.stop();

  const second = runController(loadBalancerController, transport, options);
  transport.remove(`${at}/old`);
  await second.until(() => ipsOf(transport, "late") === "10.9.0.1");
  assert.equal(ipsOf(transport, "older"), "10.9.0.2");
  await second.stop();
});
