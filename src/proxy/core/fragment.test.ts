import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointSlice, Service } from "#api";
import { chainName, type Fragment, fragmentOf } from "./fragment.ts";
import { changeScript } from "./script.ts";
import { servicePorts } from "./service-port.ts";

const service = (spec: Partial<Service["spec"]> = {}): Service => ({
  metadata: { name: "web", namespace: "ns" },
  spec: { clusterIP: "10.96.0.7", clusterIPs: ["10.96.0.7"], ports: [{ port: 80, protocol: "TCP" }], ...spec },
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
  fragmentOf(servicePorts(of, slices, "n1"), { clusterCidr: "10.244.0.0/16" });
const elements = (of: Fragment, map: string) =>
  [...of.elements.values()].filter((each) => each.map === map).map(({ key, value }) => `${key} ${value}`.trim());
const chain = chainName("service", "ns/web/tcp/");

test("proxy: a cluster address goes to its service's chain, which spreads over the endpoints", () => {
  const made = fragment(service(), slice(["10.244.0.2"], ["10.244.1.2", "n2"]));
  assert.deepEqual(elements(made, "service-ips"), [`10.96.0.7 . tcp . 80 goto ${chain}`]);
  assert.deepEqual(elements(made, "cluster-ips"), ["10.96.0.7"]);
  const rules = made.chains.get(chain) ?? [];
  assert.match(rules[0] ?? "", /ip saddr != 10\.244\.0\.0\/16 jump mark-for-masquerade/);
  assert.match(rules.at(-1) ?? "", /^numgen random mod 2 vmap \{ 0 : goto endpoint-\w+-\S+, 1 : goto endpoint-/);
});

test("proxy: no endpoints reject, endpoints only elsewhere with a local policy drop", () => {
  assert.deepEqual(elements(fragment(service()), "no-endpoint-services"), ["10.96.0.7 . tcp . 80 goto reject-chain"]);
  const elsewhere = fragment(service({ internalTrafficPolicy: "Local" }), slice(["10.244.1.2", "n2"]));
  assert.deepEqual(elements(elsewhere, "no-endpoint-services"), ["10.96.0.7 . tcp . 80 drop"]);
  assert.equal(elsewhere.chains.size, 0);
});

test("proxy: endpoints that end are used only when none is ready", () => {
  const ending = { ready: false, serving: true, terminating: true };
  const ports = (...slices: EndpointSlice[]) =>
    servicePorts(service(), slices, "n1")[0]?.endpoints.map(({ address }) => address);
  assert.deepEqual(ports(slice(["10.244.0.2"], ["10.244.0.3", "n1", ending])), ["10.244.0.2"]);
  assert.deepEqual(ports(slice(["10.244.0.3", "n1", ending], ["10.244.0.4", "n1", { ready: false }])), ["10.244.0.3"]);
});

test("proxy: local policies fall back to what ends here, whatever is ready elsewhere", () => {
  const ending = { ready: false, serving: true, terminating: true };
  const slices = [slice(["10.244.0.3", "n1", ending], ["10.244.1.2", "n2"])];
  const [port] = servicePorts(service(), slices, "n1");
  assert.deepEqual(port?.endpoints, [{ address: "10.244.1.2", port: 8080 }]);
  assert.deepEqual(port?.localEndpoints, [{ address: "10.244.0.3", port: 8080 }]);
  const spec = { type: "NodePort", externalTrafficPolicy: "Local", ports: [{ port: 80, nodePort: 30080 }] };
  const made = fragment(service(spec), ...slices);
  const chainOf = (address: string) => [...made.chains.keys()].filter((name) => name.includes(address)).length;
  assert.deepEqual([chainOf("10.244.0.3"), chainOf("10.244.1.2")], [1, 1]);
  const external = made.chains.get(chainName("external", "ns/web/tcp/"))?.at(-1) ?? "";
  assert.match(external, /mod 1 vmap \{ 0 : goto endpoint-\S+10\.244\.0\.3/);
});

test("proxy: a node port masquerades, with the local policy only what comes from this node", () => {
  const spec = { type: "NodePort", ports: [{ port: 80, nodePort: 30080 }] };
  const cluster = fragment(service(spec), slice(["10.244.0.2"]));
  const external = chainName("external", "ns/web/tcp/");
  assert.deepEqual(elements(cluster, "service-nodeports"), [`tcp . 30080 goto ${external}`]);
  assert.equal(cluster.chains.get(external)?.[0], "jump mark-for-masquerade");
  const local = fragment(
    service({ ...spec, externalTrafficPolicy: "Local" }),
    slice(["10.244.0.2"], ["10.244.1.2", "n2"]),
  );
  assert.match(local.chains.get(external)?.at(-1) ?? "", /^numgen random mod 1 /);
});

test("proxy: session affinity remembers clients for the service's time", () => {
  const made = fragment(
    service({ sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } }),
    slice(["10.244.0.2"]),
  );
  assert.deepEqual([...made.sets.values()], ["{ type ipv4_addr; flags dynamic,timeout; timeout 60s; }"]);
  assert.match(made.chains.get(chain)?.[1] ?? "", /^ip saddr @affinity60-\S+ goto endpoint-/);
});

test("proxy: headless and external-name services have no rules", () => {
  assert.deepEqual(servicePorts(service({ clusterIP: "None" }), [], "n1"), []);
  assert.deepEqual(servicePorts(service({ type: "ExternalName", externalName: "x" }), [], "n1"), []);
});

// The suite's "Services should implement service.kubernetes.io/headless" and ".../service-proxy-name".
test("proxy: what is labelled headless or another proxy's is left to them, whatever the label's value", () => {
  const count = (of: Service, one: EndpointSlice) => servicePorts(of, [one], "n1")[0]?.endpoints.length;
  const labelled = <T extends Service | EndpointSlice>(object: T, label: string): T => ({
    ...object,
    metadata: { ...object.metadata, labels: { [`service.kubernetes.io/${label}`]: "" } },
  });
  assert.equal(count(service(), slice(["10.244.0.2"])), 1);
  assert.equal(count(service(), labelled(slice(["10.244.0.2"]), "headless")), 0);
  assert.equal(count(service(), labelled(slice(["10.244.0.2"]), "service-proxy-name")), 0);
  assert.equal(count(labelled(service(), "service-proxy-name"), slice(["10.244.0.2"])), undefined);
});

test("script: equal states need no transaction, a new endpoint touches its service only", () => {
  const before = fragment(service(), slice(["10.244.0.2"]));
  assert.equal(changeScript([{ before, after: fragment(service(), slice(["10.244.0.2"])) }]), "");
  const script = changeScript([{ before, after: fragment(service(), slice(["10.244.0.2"], ["10.244.0.3"])) }]);
  assert.match(script, /^add chain ip sampan-proxy endpoint-\S+10\.244\.0\.3\/8080\n/);
  assert.match(script, new RegExp(`flush chain ip sampan-proxy ${chain}\n`));
  assert.doesNotMatch(script, /element|delete/);
});

test("script: a removed service takes everything of it along", () => {
  const before = fragment(service(), slice(["10.244.0.2"]));
  const script = changeScript([{ before }]);
  assert.match(script, /delete element ip sampan-proxy service-ips \{ 10\.96\.0\.7 \. tcp \. 80 : goto service-/);
  assert.match(script, new RegExp(`delete chain ip sampan-proxy ${chain}\ndelete chain ip sampan-proxy endpoint-`));
});
