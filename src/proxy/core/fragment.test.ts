import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointSlice, Service } from "#api";
import { proxySettings } from "../settings.ts";
import { contextOf } from "./context.ts";
import { chainName, type Fragment, fragmentOf } from "./fragment.ts";
import { servicePorts } from "./service-port.ts";

const place = { nodeName: "n1", zone: "" };
const facts = { ...place, addresses: ["192.0.2.1", "fd00:2::1"], podCidrs: [], serviceCidrs: [] };
const detectLocal = { ...proxySettings().detectLocal, clusterCidrs: ["10.244.0.0/16"] };
const context = contextOf("IPv4", proxySettings({ detectLocal }), facts);

const service = (spec: Partial<Service["spec"]> = {}, status: Service["status"] = {}): Service => ({
  metadata: { name: "web", namespace: "ns" },
  spec: { clusterIP: "10.96.0.7", clusterIPs: ["10.96.0.7"], ports: [{ port: 80, protocol: "TCP" }], ...spec },
  status,
});
const slice = (...endpoints: [address: string, node?: string, conditions?: object][]): EndpointSlice => ({
  metadata: { name: "web-x", namespace: "ns" },
  addressType: "IPv4",
  ports: [{ name: "", port: 8080, protocol: "TCP" }],
  endpoints: endpoints.map(([address, nodeName = "n1", conditions = { ready: true }]) => ({
    addresses: [address],
    nodeName,
    conditions,
  })),
});
const fragment = (of: Service, ...slices: EndpointSlice[]): Fragment =>
  fragmentOf(servicePorts(of, slices, place), context);
/** Of one map, sorted as they were made. */
const elements = (of: Fragment, map: string) =>
  [...of.elements].flatMap(([id, value]) =>
    id.startsWith(`${map} `) ? [`${id.slice(map.length + 1)} ${value}`.trim()] : [],
  );

test("fragment: a cluster address goes to the shape of its number of endpoints, which are elements of a map", () => {
  const made = fragment(service(), slice(["10.244.0.2"], ["10.244.1.2", "n2"]));
  assert.deepEqual(elements(made, "service-ips"), ["10.96.0.7 . tcp . 80 goto tcp-spread-2"]);
  assert.deepEqual(elements(made, "cluster-ips"), ["10.96.0.7"]);
  assert.deepEqual(elements(made, "tcp-endpoints"), [
    "10.96.0.7 . 80 . 0 10.244.0.2 . 8080",
    "10.96.0.7 . 80 . 1 10.244.1.2 . 8080",
  ]);
  const own = "10.244.0.2 . 10.244.0.2 . tcp . 8080";
  assert.deepEqual(elements(made, "hairpin-connections"), [own], "only of this node's endpoints");
  assert.deepEqual([...made.shapes.keys()], ["tcp-spread-2"]);
  assert.equal(made.chains.size + made.sets.size, 0);
});

test("fragment: no endpoints reject, endpoints only elsewhere with a local policy drop", () => {
  assert.deepEqual(elements(fragment(service()), "no-endpoint-services"), ["10.96.0.7 . tcp . 80 goto reject-chain"]);
  const elsewhere = fragment(service({ internalTrafficPolicy: "Local" }), slice(["10.244.1.2", "n2"]));
  assert.deepEqual(elements(elsewhere, "no-endpoint-services"), ["10.96.0.7 . tcp . 80 drop"]);
  assert.deepEqual(elements(elsewhere, "service-ips"), []);
});

const nodePort = { type: "NodePort", ports: [{ port: 80, nodePort: 30080 }] };

test("fragment: a node port masquerades, with the local policy only what comes from this node", () => {
  const cluster = fragment(service(nodePort), slice(["10.244.0.2"]));
  assert.deepEqual(elements(cluster, "service-nodeports"), ["tcp . 30080 goto tcp-port-masquerade-1"]);
  assert.deepEqual(elements(cluster, "tcp-port-endpoints"), ["30080 . 0 10.244.0.2 . 8080"]);
  const slices = slice(["10.244.0.2"], ["10.244.1.2", "n2"]);
  const local = fragment(service({ ...nodePort, externalTrafficPolicy: "Local" }), slices);
  assert.deepEqual(elements(local, "service-nodeports"), ["tcp . 30080 goto tcp-port-local-1-of-2"]);
  assert.deepEqual(elements(local, "tcp-port-endpoints"), [
    "30080 . 0 10.244.0.2 . 8080",
    "30080 . 65536 10.244.0.2 . 8080",
    "30080 . 65537 10.244.1.2 . 8080",
  ]);
  const rules = local.shapes.get("tcp-port-local-1-of-2")?.rules ?? [];
  assert.match(
    rules[0] ?? "",
    /^ip saddr 10\.244\.0\.0\/16 .* dnat .* random mod 2 offset 65536 map @tcp-port-endpoints$/,
  );
  assert.match(rules.at(-2) ?? "", /dnat .* random mod 1 map @tcp-port-endpoints$/);
});

test("fragment: the outside is dropped where a local policy has nothing, pods and the node still get in", () => {
  const made = fragment(service({ ...nodePort, externalTrafficPolicy: "Local" }), slice(["10.244.1.2", "n2"]));
  assert.deepEqual(elements(made, "no-endpoint-nodeports"), ["tcp . 30080 drop"]);
  assert.deepEqual(elements(made, "service-nodeports"), ["tcp . 30080 goto tcp-port-local-0-of-1"]);
  assert.deepEqual(elements(fragment(service(nodePort)), "no-endpoint-nodeports"), ["tcp . 30080 goto reject-chain"]);
});

test("fragment: external and load-balancer addresses; source ranges guard the balancer's alone", () => {
  const balanced = { ...nodePort, type: "LoadBalancer", externalIPs: ["198.51.100.1", "198.51.100.1", "nonsense"] };
  const status = {
    loadBalancer: { ingress: [{ ip: "203.0.113.9" }, { ip: "203.0.113.8", ipMode: "Proxy" }, { ip: "fd00::9" }] },
  };
  const ranges = { loadBalancerSourceRanges: [" 10.1.2.3/8 ", "192.0.2.0/24", "fd00::/8"] };
  const made = fragment(service({ ...balanced, ...ranges }, status), slice(["10.244.0.2"]));
  assert.deepEqual(elements(made, "service-ips"), [
    "10.96.0.7 . tcp . 80 goto tcp-spread-1",
    "198.51.100.1 . tcp . 80 goto tcp-masquerade-1",
    "203.0.113.9 . tcp . 80 goto tcp-masquerade-1",
  ]);
  const chain = chainName("firewall", "ns/web/tcp/");
  assert.deepEqual(elements(made, "firewall-ips"), [`203.0.113.9 . tcp . 80 goto ${chain}`]);
  // The node is within 192.0.2.0/24: what it sends to the balancer's address may have that as its source.
  assert.deepEqual(made.chains.get(chain), ["ip saddr != { 10.0.0.0/8, 192.0.2.0/24, 203.0.113.9 } drop"]);
  const open = { ...balanced, loadBalancerSourceRanges: ["10.0.0.0/8", "0.0.0.0/0"] };
  assert.deepEqual(elements(fragment(service(open, status), slice(["10.244.0.2"])), "firewall-ips"), []);
});

test("fragment: session affinity remembers clients for the service's time, in chains of its own", () => {
  const sticky = { sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } };
  const made = fragment(service({ ...sticky, ...nodePort }), slice(["10.244.0.2"], ["10.244.0.3"]));
  assert.deepEqual(new Set(made.sets.values()), new Set(["{ type ipv4_addr; flags dynamic,timeout; timeout 60s; }"]));
  const chain = chainName("service", "ns/web/tcp/");
  assert.deepEqual(elements(made, "service-ips"), [`10.96.0.7 . tcp . 80 goto ${chain}`]);
  assert.deepEqual(elements(made, "service-nodeports"), [`tcp . 30080 goto ${chainName("external", "ns/web/tcp/")}`]);
  const rules = made.chains.get(chain) ?? [];
  assert.match(rules[0] ?? "", /^ip saddr @affinity60-\S+10\.244\.0\.2\/8080 goto endpoint-/);
  assert.match(rules[2] ?? "", /^numgen random mod 2 0 goto endpoint-\S+10\.244\.0\.2\/8080$/);
  assert.match(rules[3] ?? "", /^goto endpoint-\S+10\.244\.0\.3\/8080$/);
  assert.deepEqual(elements(made, "tcp-endpoints"), []);
});

test("fragment: each family has what is of it", () => {
  const dual = service({ clusterIP: "fd00::7", clusterIPs: ["fd00::7", "10.96.0.7"] });
  const six: EndpointSlice = { ...slice(["FD00:1:0::2"]), addressType: "IPv6" };
  const ports = servicePorts(dual, [slice(["10.244.0.2"]), six], place);
  assert.deepEqual(elements(fragmentOf(ports, context), "tcp-endpoints"), ["10.96.0.7 . 80 . 0 10.244.0.2 . 8080"]);
  const contextSix = contextOf("IPv6", proxySettings(), facts);
  assert.deepEqual(elements(fragmentOf(ports, contextSix), "tcp-endpoints"), ["fd00::7 . 80 . 0 fd00:1::2 . 8080"]);
});

test("names: chains of a service tell which it is, and stay below nft's limit", () => {
  assert.match(chainName("service", "ns/web/tcp/http"), /^service-[0-9A-F]{8}-ns\/web\/tcp\/http$/);
  const long = (end: string) => chainName("endpoint", "x".repeat(300) + end);
  assert.ok(long("a").length <= 255);
  assert.notEqual(long("a"), long("b"));
});
