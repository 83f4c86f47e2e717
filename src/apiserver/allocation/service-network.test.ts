import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";
import { isStatusError, type StatusError } from "#machinery";
import { startTestServer, type TestObject, type TestServer, type TestServerOptions } from "../test-server.ts";

const services = "/api/v1/namespaces/default/services";
const addresses = "/apis/networking.k8s.io/v1/ipaddresses";
const ranges = "/apis/networking.k8s.io/v1/servicecidrs";
const merge = { contentType: "application/merge-patch+json" };

type Network = NonNullable<TestServerOptions["network"]>;

class Cluster {
  readonly api: TestServer;

  constructor(api: TestServer) {
    this.api = api;
  }

  create(name: string, spec: object = {}): Promise<TestObject> {
    return this.api.call("POST", services, { metadata: { name }, spec: { ports: [{ port: 80 }], ...spec } });
  }

  change(name: string, spec: object): Promise<TestObject> {
    return this.api.call("PATCH", `${services}/${name}`, { spec }, merge);
  }

  /** The held addresses beside that of the `kubernetes` Service. */
  async held(): Promise<string[]> {
    const { items } = await this.api.call("GET", addresses);
    const names = items.map(({ metadata }) => metadata.name ?? "").sort();
    return names.filter((name) => name !== "10.96.0.1" && name !== "fd00::1");
  }

  async setReady(range: string, status: "True" | "False"): Promise<void> {
    const condition = { type: "Ready", status, reason: "", message: "", lastTransitionTime: "2026-01-01T00:00:00Z" };
    await this.api.call("PATCH", `${ranges}/${range}/status`, { status: { conditions: [condition] } }, merge);
  }
}

async function start(network: Network, context?: TestContext): Promise<Cluster> {
  const api = await startTestServer({ network });
  const close = () => api.close();
  if (context) context.after(close);
  else after(close);
  return new Cluster(api);
}

async function refused(work: Promise<unknown>): Promise<StatusError> {
  try {
    await work;
  } catch (error) {
    if (isStatusError(error)) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: "was not refused" });
}

const addressOf = ({ spec }: TestObject): string => spec.clusterIP as string;
const addressesOf = ({ spec }: TestObject): string[] => (spec.clusterIPs ?? []) as string[];
const nodePorts = ({ spec }: TestObject): (number | undefined)[] =>
  (spec.ports as { nodePort?: number }[]).map(({ nodePort }) => nodePort);

test("ranges: a full one gives nothing until another is there and ready; that of one that goes isn't used", async (t) => {
  const cluster = await start({ serviceCidr: "10.96.0.0/30" }, t);
  assert.equal(addressOf(await cluster.create("a")), "10.96.0.2");
  const full = await refused(cluster.create("b"));
  assert.equal(full.code, 500);
  assert.match(full.message, /failed to allocate a serviceIP for Service "b": range is full$/);
  const range = { metadata: { name: "more", finalizers: ["example.com/hold"] }, spec: { cidrs: ["10.97.0.0/29"] } };
  await cluster.api.call("POST", ranges, range);
  assert.match(addressOf(await cluster.create("b")), /^10\.97\.0\.[1-6]$/);
  await cluster.setReady("more", "False");
  await refused(cluster.create("c"));
  const outside = await refused(cluster.create("c", { clusterIP: "10.97.0.9" }));
  assert.match(outside.message, /failed to allocate IP 10\.97\.0\.9: the provided network does not match/);
  await cluster.setReady("more", "True");
  await cluster.create("c");
  await cluster.api.call("DELETE", `${ranges}/more`);
  await refused(cluster.create("d"));
  assert.equal((await cluster.held()).length, 3, "what was given stays");
});

test("ranges: an address is in one key, whichever range it came from", async (t) => {
  const cluster = await start({}, t);
  await cluster.api.call("POST", ranges, { metadata: { name: "part" }, spec: { cidrs: ["10.96.4.0/24"] } });
  await cluster.create("a", { clusterIP: "10.96.4.9" });
  await cluster.api.call("DELETE", `${ranges}/part`);
  assert.match((await refused(cluster.create("b", { clusterIP: "10.96.4.9" }))).message, /already allocated$/);
});

test("addresses: come and go with the type of the Service", async (t) => {
  const cluster = await start({}, t);
  const { create, change, held } = bound(cluster);
  await create("a", { clusterIP: "10.96.0.9" });
  assert.deepEqual(await held(), ["10.96.0.9"]);
  const { metadata, spec } = await cluster.api.call("GET", `${addresses}/10.96.0.9`);
  assert.deepEqual(metadata.labels, {
    "ipaddress.kubernetes.io/ip-family": "IPv4",
    "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
  });
  assert.deepEqual(spec.parentRef, { resource: "services", namespace: "default", name: "a" });
  await change("a", { type: "ExternalName", externalName: "x.example" });
  assert.deepEqual(await held(), []);
  await create("b", { clusterIP: "10.96.0.9" });
  assert.match(
    (await refused(change("a", { type: "ClusterIP", externalName: null, clusterIP: "10.96.0.9" }))).message,
    /already/,
  );
  await change("a", { type: "NodePort", externalName: null });
  assert.equal((await held()).length, 2);
  await create("none", { clusterIP: "None" });
  assert.equal((await held()).length, 2);
  await cluster.api.call("DELETE", services, undefined, { query: { labelSelector: "!component" } });
  assert.deepEqual(await held(), []);
});

test("addresses: a Service that stays for its finalizer keeps them", async (t) => {
  const cluster = await start({}, t);
  const object = { metadata: { name: "a", finalizers: ["example.com/x"] }, spec: { ports: [{ port: 80 }] } };
  await cluster.api.call("POST", services, object);
  await cluster.api.call("DELETE", `${services}/a`);
  assert.equal((await cluster.held()).length, 1);
  await cluster.api.call("PATCH", `${services}/a`, { metadata: { finalizers: null } }, merge);
  assert.deepEqual(await cluster.held(), []);
});

const dual: Network = { serviceCidr: "10.96.0.0/16,fd00::/108" };

for (const [name, spec, families, policy] of [
  ["nothing", {}, "IPv4", "SingleStack"],
  ["a preference", { ipFamilyPolicy: "PreferDualStack" }, "IPv4,IPv6", "PreferDualStack"],
  [
    "a demand in an order",
    { ipFamilyPolicy: "RequireDualStack", ipFamilies: ["IPv6", "IPv4"] },
    "IPv6,IPv4",
    "RequireDualStack",
  ],
  ["a family", { ipFamilies: ["IPv6"] }, "IPv6", "SingleStack"],
  ["an address", { clusterIP: "fd00::99" }, "IPv6", "SingleStack"],
] as const)
  test(`two families: ${name} asked for gives ${families}`, async (t) => {
    const made = await (await start(dual, t)).create("a", spec);
    assert.deepEqual([made.spec.ipFamilies, made.spec.ipFamilyPolicy], [families.split(","), policy]);
    const given = addressesOf(made).map((address) => (address.includes(":") ? "IPv6" : "IPv4"));
    assert.equal(given.join(), families);
    assert.equal(addressOf(made), addressesOf(made)[0]);
  });

test("two families: the second comes and goes with the policy, the first stays", async (t) => {
  const cluster = await start(dual, t);
  const { create, change, held } = bound(cluster);
  const first = addressOf(await create("a"));
  const widened = await change("a", { ipFamilyPolicy: "RequireDualStack" });
  assert.equal(addressesOf(widened)[0], first);
  assert.deepEqual(await held(), [...addressesOf(widened)].sort());
  assert.match(
    (await refused(change("a", { ipFamilies: ["IPv6", "IPv4"] }))).message,
    /spec\.clusterIPs\[0\]: Invalid value: "[^"]+": expected an IPv6 value as indicated by `ipFamilies\[0\]`/,
  );
  await change("a", { ipFamilyPolicy: "SingleStack" });
  assert.deepEqual(await held(), [first]);
});

test("two families: neither is given when one can't be", async (t) => {
  const { create, held } = bound(await start(dual, t));
  await create("a", { clusterIP: "fd00::99" });
  const both = { ipFamilyPolicy: "RequireDualStack", clusterIP: "10.96.0.9", clusterIPs: ["10.96.0.9", "fd00::99"] };
  assert.match((await refused(create("b", both))).message, /failed to allocate IP fd00::99: provided IP is already/);
  assert.deepEqual(await held(), ["fd00::99"]);
});

test("one family: more can't be demanded, and may be preferred", async (t) => {
  const { create } = bound(await start({}, t));
  const { message } = await refused(create("a", { ipFamilyPolicy: "RequireDualStack" }));
  assert.match(
    message,
    /spec\.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack/,
  );
  assert.deepEqual((await create("b", { ipFamilyPolicy: "PreferDualStack" })).spec.ipFamilies, ["IPv4"]);
});

test("IPv6 alone: the server's own address too", async (t) => {
  const cluster = await start({ serviceCidr: "fd00:1::/108" }, t);
  assert.equal(addressOf(await cluster.api.call("GET", `${services}/kubernetes`)), "fd00:1::1");
  assert.match(addressOf(await cluster.create("a")), /^fd00:1::/);
});

test("node ports: a small range runs out; what is chosen comes out of the range alone", async (t) => {
  const { parsePortRange } = await import("./port-range.ts");
  const cluster = await start({ nodePorts: parsePortRange("30000-30001") }, t);
  const { create, change } = bound(cluster);
  const type = "NodePort";
  const first = nodePorts(await create("a", { type }));
  const second = nodePorts(await create("b", { type }));
  assert.deepEqual([...first, ...second].sort(), [30_000, 30_001]);
  assert.match((await refused(create("c", { type }))).message, /failed to allocate a nodePort: range is full$/);
  assert.match(
    (await refused(create("c", { type, ports: [{ port: 80, nodePort: 31_000 }] }))).message,
    /provided port is not in the valid range\. The range of valid ports is 30000-30001$/,
  );
  await change("a", { type: "ClusterIP" });
  assert.deepEqual(nodePorts(await create("c", { type })), first);
});

test("balancer: node ports only when they are wanted; a port for health checks when traffic stays local", async (t) => {
  const { create, change } = bound(await start({}, t));
  const type = "LoadBalancer";
  assert.deepEqual(nodePorts(await create("a", { type, allocateLoadBalancerNodePorts: false })), [undefined]);
  const [given] = nodePorts(await change("a", { allocateLoadBalancerNodePorts: true }));
  assert.ok(given);
  assert.deepEqual(nodePorts(await change("a", { allocateLoadBalancerNodePorts: false })), [given], "it keeps them");
  const local = { type, externalTrafficPolicy: "Local" };
  const made = await create("b", { ...local, healthCheckNodePort: 31_000 });
  assert.equal(made.spec.healthCheckNodePort, 31_000);
  const { message, code } = await refused(create("c", { ...local, healthCheckNodePort: 31_000 }));
  assert.equal(code, 500);
  assert.match(message, /failed to allocate requested HealthCheck NodePort 31000: provided port is already allocated$/);
  await refused(create("c", { type: "NodePort", ports: [{ port: 80, nodePort: 31_000 }] }));
  const cluster = await change("b", { externalTrafficPolicy: "Cluster" });
  assert.equal(cluster.spec.healthCheckNodePort, undefined);
  await create("c", { type: "NodePort", ports: [{ port: 80, nodePort: 31_000 }] });
});

test("races: of many who ask for one address or one port, exactly one gets it", async (t) => {
  const { create, held } = bound(await start({}, t));
  const won = async (spec: object, prefix: string) => {
    const asked = Array.from({ length: 20 }, (_, i) => create(`${prefix}${i}`, spec));
    return (await Promise.allSettled(asked)).filter(({ status }) => status === "fulfilled").length;
  };
  assert.equal(await won({ clusterIP: "10.96.0.50" }, "a"), 1);
  assert.equal(await won({ type: "NodePort", ports: [{ port: 80, nodePort: 30_050 }] }, "p"), 1);
  assert.equal((await held()).length, 2, "whoever lost kept nothing");
});

test("dry run: shows what upstream shows, and keeps nothing", async (t) => {
  const cluster = await start({}, t);
  const body = {
    metadata: { name: "a" },
    spec: {
      type: "NodePort",
      ports: [
        { name: "a", port: 80 },
        { name: "b", port: 81 },
      ],
    },
  };
  const made = await cluster.api.call("POST", services, body, { query: { dryRun: "All" } });
  assert.equal(addressOf(made), "10.96.0.0");
  assert.deepEqual(nodePorts(made), [32_769, 32_770]);
  assert.deepEqual(await cluster.held(), []);
});

test("a Service takes its Endpoints along, so that the next of its name begins without", async (t) => {
  const cluster = await start({}, t);
  await cluster.create("a");
  await cluster.api.call("POST", "/api/v1/namespaces/default/endpoints", { metadata: { name: "a" } });
  await cluster.api.call("DELETE", `${services}/a`);
  const left = await refused(cluster.api.call("GET", "/api/v1/namespaces/default/endpoints/a"));
  assert.equal(left.code, 404);
});

test("a thousand Services: nothing is listed to make them", async (t) => {
  const cluster = await start({}, t);
  await cluster.create("first", { type: "NodePort" });
  const { store } = cluster.api;
  let lists = 0;
  const range = store.range.bind(store);
  store.range = (request) => {
    lists++;
    return range(request);
  };
  const names = Array.from({ length: 1_000 }, (_, i) => `s${i}`);
  const made = await Promise.all(names.map((name) => cluster.create(name, { type: "NodePort" })));
  assert.equal(new Set(made.map(addressOf)).size, 1_000);
  assert.equal(new Set(made.flatMap(nodePorts)).size, 1_000);
  assert.equal(lists, 0);
});

/** Methods that can be taken apart. */
function bound(cluster: Cluster) {
  return {
    create: cluster.create.bind(cluster),
    change: cluster.change.bind(cluster),
    held: cluster.held.bind(cluster),
  };
}
