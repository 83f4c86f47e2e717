/** Which endpoints a service's port has from this node: the cases of upstream's topology, terminating and policy tables. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointSlice, Service } from "#api";
import { type ServicePort, servicePorts } from "./service-port.ts";

interface Endpoint {
  readonly on?: string;
  /** r: ready, s: serving, t: terminating. */
  readonly is?: string;
  readonly zones?: string[];
  readonly nodes?: string[];
}
/** Endpoint `n` has address 10.0.0.n. */
const slice = (endpoints: readonly Endpoint[]): EndpointSlice => ({
  metadata: { name: "web-x", namespace: "ns" },
  addressType: "IPv4",
  ports: [{ name: "", port: 80, protocol: "TCP" }],
  endpoints: endpoints.map(({ on = "n2", is = "rs", zones, nodes }, at) => ({
    addresses: [`10.0.0.${at + 1}`],
    nodeName: on,
    conditions: { ready: is.includes("r"), serving: is.includes("s"), terminating: is.includes("t") },
    ...((zones || nodes) && {
      hints: {
        ...(zones && { forZones: zones.map((name) => ({ name })) }),
        ...(nodes && { forNodes: nodes.map((name) => ({ name })) }),
      },
    }),
  })),
});
const service = (spec: Partial<Service["spec"]> = {}): Service => ({
  metadata: { name: "web", namespace: "ns" },
  spec: { clusterIP: "10.96.0.7", clusterIPs: ["10.96.0.7"], ports: [{ port: 80, protocol: "TCP" }], ...spec },
});
const place = { nodeName: "n1", zone: "a" };
const last = ({ address }: { address: string }) => Number(address.split(".")[3]);
/** `cluster endpoints|local endpoints`, and `none` when there is nobody anywhere. */
const chosen = ({ clusterEndpoints, localEndpoints, hasEndpoints }: ServicePort) =>
  `${clusterEndpoints.map(last).join(" ")}|${localEndpoints.map(last).join(" ")}${hasEndpoints ? "" : " none"}`;

const local = { internalTrafficPolicy: "Local" };
const outerLocal = { type: "NodePort", externalTrafficPolicy: "Local", ports: [{ port: 80, nodePort: 30080 }] };
const here = { on: "n1" };

const cases: readonly [name: string, want: string, spec: Partial<Service["spec"]>, ...Endpoint[]][] = [
  ["ready ones", "1 2|", {}, here, {}],
  ["none", "| none", {}],
  ["none ready", "| none", {}, { is: "" }, { is: "s" }],
  ["those that end are left while others are ready", "1|", {}, {}, { is: "st" }],
  ["those that end when none is ready", "2|", {}, { is: "t" }, { is: "st" }],
  ["local policy", "|1", local, here, {}],
  ["local policy, only elsewhere", "|", local, {}],
  ["local policy, nobody", "| none", local, { is: "" }],
  ["local policy, ends here, ready elsewhere", "|1", local, { ...here, is: "st" }, {}],
  ["local policy, only ending elsewhere", "|", local, { is: "st" }],
  ["local outer policy has both", "1 2|1", outerLocal, here, {}],
  ["local outer policy, ends here, ready elsewhere", "2|1", outerLocal, { ...here, is: "st" }, {}],
  ["local outer policy without anything outer", "1 2|", { externalTrafficPolicy: "Local" }, here, {}],
  ["local both ways", "1 2|1", { ...outerLocal, ...local }, here, {}],
  ["zone hints", "1 3|", {}, { zones: ["a"] }, { zones: ["b"] }, { zones: ["b", "a"] }],
  ["zone hints missing at one", "1 2 3|", {}, { zones: ["a"] }, { zones: ["b"] }, {}],
  ["zone hints missing at one that isn't ready", "1|", {}, { zones: ["a"] }, { zones: ["b"] }, { is: "" }],
  ["zone hints for others", "1 2|", {}, { zones: ["c"] }, { zones: ["b"] }],
  ["zone hints for here only where nothing is ready", "2|", {}, { zones: ["a"], is: "st" }, { zones: ["b"] }],
  ["zone hints and the local policy", "2|1", outerLocal, { ...here, zones: ["b"] }, { zones: ["a"] }],
  ["node hints", "2|", {}, { nodes: ["n2"] }, { nodes: ["n1"] }],
  ["node hints before zone hints", "2|", {}, { nodes: ["n2"], zones: ["a"] }, { nodes: ["n1"], zones: ["b"] }],
  ["node hints for others, then zones", "1|", {}, { nodes: ["n2"], zones: ["a"] }, { nodes: ["n3"], zones: ["b"] }],
  ["node hints missing at one, then zones", "1|", {}, { zones: ["a"] }, { nodes: ["n1"], zones: ["b"] }],
  ["node hints for others, no zones", "1 2|", {}, { nodes: ["n2"] }, { nodes: ["n3"] }],
  ["hints of those that end don't count", "1|", {}, { zones: ["b"], is: "st" }],
];
for (const [name, want, spec, ...endpoints] of cases)
  test(`endpoints: ${name}`, () => {
    assert.deepEqual(servicePorts(service(spec), [slice(endpoints)], place).map(chosen), [want]);
  });

test("endpoints: a node without a zone takes no zone's hints", () => {
  const slices = [slice([{ zones: ["a"] }, { zones: ["b"] }])];
  assert.deepEqual(servicePorts(service(), slices, { nodeName: "n1", zone: "" }).map(chosen), ["1 2|"]);
});

test("endpoints: an address in two slices is one; who ends gives way to who came, whichever is read first", () => {
  const ending = slice([{ is: "t" }]);
  const ready = slice([{}]);
  for (const slices of [
    [ending, ready],
    [ready, ending],
  ])
    assert.deepEqual(servicePorts(service(), slices, place).map(chosen), ["1|"]);
});

test("endpoints: missing conditions mean ready and serving; ports are matched by name and protocol", () => {
  const of = slice([{}]);
  const plain = { ...of, endpoints: [{ addresses: ["10.0.0.1"] }] };
  assert.deepEqual(servicePorts(service(), [plain], place).map(chosen), ["1|"]);
  for (const ports of [[{ name: "other", port: 80 }], [{ name: "", port: 80, protocol: "UDP" }], [{ name: "" }], []])
    assert.deepEqual(servicePorts(service(), [{ ...plain, ports }], place).map(chosen), ["| none"]);
});

test("service: headless and external-name services have no ports", () => {
  assert.deepEqual(servicePorts(service({ clusterIP: "None", clusterIPs: ["None"] }), [], place), []);
  assert.deepEqual(servicePorts(service({ type: "ExternalName", externalName: "x" }), [], place), []);
});

// The suite's "Services should implement service.kubernetes.io/headless" and ".../service-proxy-name".
test("service: what is labelled headless or another proxy's is left to them, whatever the label's value", () => {
  const labelled = <T extends Service | EndpointSlice>(object: T, label: string): T => ({
    ...object,
    metadata: { ...object.metadata, labels: { [`service.kubernetes.io/${label}`]: "" } },
  });
  assert.deepEqual(servicePorts(service(), [labelled(slice([{}]), "headless")], place).map(chosen), ["| none"]);
  assert.deepEqual(servicePorts(labelled(service(), "service-proxy-name"), [slice([{}])], place), []);
});

test("service: addresses are written one way, ranges by their network, what is of the other family or no address is left out", () => {
  const [port] = servicePorts(
    service({
      type: "LoadBalancer",
      externalIPs: ["198.051.100.001", "2001:DB8::1", "", "x"],
      loadBalancerSourceRanges: ["10.20.30.40/12 ", "2001:db8::/32", "x"],
      ports: [{ port: 80, protocol: "UDP", nodePort: 30080 }],
      externalTrafficPolicy: "Local",
      healthCheckNodePort: 31000,
    }),
    [{ ...slice([here, here, { on: "n1", is: "st" }, {}]), ports: [{ name: "", port: 80, protocol: "UDP" }] }],
    place,
  );
  assert.deepEqual(port?.externalAddresses, ["198.51.100.1"]);
  assert.deepEqual(port?.sourceRanges, ["10.16.0.0/12"]);
  assert.equal(port?.healthCheckNodePort, 31000);
  assert.deepEqual(port?.localReady, ["10.0.0.1", "10.0.0.2"]);
  assert.deepEqual(port?.serving, ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"]);
});
