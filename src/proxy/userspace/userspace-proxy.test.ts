import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { connect, createServer, type Server } from "node:net";
import { test } from "node:test";
import { promisify } from "node:util";
import { FakeClock, realClock, silentLogger } from "#base";
import {
  createFakeInformers,
  insideNamespace,
  ip,
  makeBridge,
  makePod,
  runInNamespace,
  whyNoNamespaces,
} from "#testing";
import { proxySettings } from "../settings.ts";
import { removeLocalRoutes, type ChangeRoutes } from "./local-routes.ts";
import { createUserspaceProxy, type UserspaceOptions } from "./userspace-proxy.ts";

const changeRoutes: ChangeRoutes = async (lines) => {
  const failures = [];
  for (const line of lines)
    try {
      await promisify(execFile)("ip", line.split(" "));
    } catch (error) {
      failures.push({ line, message: (error as Error).message });
    }
  return failures;
};

if (!insideNamespace)
  test("user-space proxy: packets in namespaces", { skip: whyNoNamespaces() ?? false }, () =>
    runInNamespace(import.meta.filename),
  );
else insideTests();

const services = "v1/services";
const slices = "discovery.k8s.io/v1/endpointslices";
type Endpoint = readonly [address: string, port: number, node?: string];

interface Given {
  readonly address?: string;
  readonly protocol?: "TCP" | "UDP";
  readonly nodePort?: number;
  readonly spec?: object;
  readonly status?: object;
}

/** What the world and a proxy in it are made of; `here` is this node. */
function makeProxy(given: Partial<UserspaceOptions> = {}) {
  const informers = createFakeInformers();
  const proxy = createUserspaceProxy({
    ...{ informers, nodeName: "here", changeRoutes },
    settings: proxySettings({
      ...{ nodePortAddresses: [], serviceCidrs: ["10.96.0.0/16", "fd96::/108"] },
      detectLocal: { mode: "ClusterCIDR", clusterCidrs: ["10.1.0.0/16"], bridgeInterface: "", interfaceNamePrefix: "" },
    }),
    ...{ clock: realClock, log: silentLogger },
    ...given,
  });
  const stop = new AbortController();
  const running = proxy.run(stop.signal);
  const settled = async () => {
    await new Promise((next) => setImmediate(next));
    await proxy.settled();
  };
  return {
    async set(
      name: string,
      endpoints: readonly Endpoint[],
      { address = vip, protocol = "TCP", nodePort, spec, status }: Given = {},
    ) {
      const metadata = { name, namespace: "ns" };
      const port = { port: 80, protocol, ...(nodePort !== undefined && { nodePort }) };
      informers.set(services, {
        metadata,
        spec: { clusterIP: address, clusterIPs: [address], ports: [port], ...spec },
        ...(status && { status }),
      } as object);
      const ports = new Set(endpoints.map(([, number]) => number));
      for (const number of [8080, 8081])
        informers.set(slices, {
          metadata: { name: `${name}-${number}`, namespace: "ns", labels: { "kubernetes.io/service-name": name } },
          addressType: address.includes(":") ? "IPv6" : "IPv4",
          endpoints: endpoints
            .filter(([, each]) => each === number && ports.has(number))
            .map(([endpoint, , node = "here"]) => ({
              addresses: [endpoint],
              conditions: { ready: true },
              nodeName: node,
            })),
          ports: [{ name: "", port: number, protocol }],
        } as object);
      await settled();
    },
    async remove(name: string) {
      informers.remove(services, { metadata: { name, namespace: "ns" } });
      await settled();
    },
    settled,
    async close() {
      stop.abort();
      await running;
      await removeLocalRoutes(changeRoutes);
    },
  };
}

const vip = "10.96.0.5";

/** What a client reads until the end, or the error's code. */
const ask = (host: string, port: number, words = ""): Promise<string> =>
  new Promise((resolve) => {
    let text = "";
    const socket = connect({ host, port, allowHalfOpen: true }, () => socket.end(words));
    socket.setEncoding("utf8").on("data", (more: string) => (text += more));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
    socket.on("end", () => resolve(text));
  });

/** Answers only when the client has said all: its name, what it heard, and from whom. */
/** `greeting`: said at once instead. */
async function serve(host: string, port = 8080, greeting?: string): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    if (greeting) socket.end(greeting);
    let heard = "";
    socket.setEncoding("utf8").on("data", (more: string) => (heard += more));
    if (!greeting) socket.on("end", () => socket.end(`${host}${heard === "" ? "" : ` heard ${heard.length}`}`));
    socket.on("error", () => socket.destroy());
  });
  await new Promise<void>((done) => server.listen(port, host, done));
  return server;
}

function insideTests() {
  test("user-space proxy: a Service answers pods and the node at its address; half-closed, large and refused connections", async (t) => {
    makeBridge("br0", "10.244.0.1/24");
    const pod = await makePod({ bridge: "br0", address: "10.244.0.2", gateway: "10.244.0.1", port: 8080 });
    t.after(() => pod.close());
    const world = makeProxy();
    t.after(() => world.close());
    await world.set("web", [["10.244.0.2", 8080]], { nodePort: 30_080, spec: { type: "NodePort" } });
    const curl = (url: string) => pod.runBeside("curl", "-s", "-m", "3", url);
    // Hairpin too: the pod's own Service leads back to it.
    assert.equal(await curl(`http://${vip}/`), "10.244.0.2 from ::ffff:10.244.0.1");
    assert.equal(await curl("http://10.244.0.1:30080/"), "10.244.0.2 from ::ffff:10.244.0.1");
    const one = await serve("127.0.1.1");
    t.after(() => one.close());
    await world.set("web", [["127.0.1.1", 8080]]);
    assert.equal(await ask(vip, 80, "x".repeat(3_000_000)), "127.0.1.1 heard 3000000");
    // An unassigned address, an unassigned port, a Service without endpoints, one that is gone.
    assert.equal(await ask("10.96.0.9", 80), "ECONNREFUSED");
    assert.equal(await ask(vip, 81), "ECONNREFUSED");
    await assert.rejects(curl("http://10.96.0.9/"), { code: 7 });
    await world.set("web", []);
    assert.equal(await ask(vip, 80), "ECONNREFUSED");
    await world.set("web", [["127.0.1.1", 8080]]);
    assert.equal(await ask(vip, 80), "127.0.1.1");
    await world.remove("web");
    assert.equal(await ask(vip, 80), "ECONNREFUSED");
  });

  test("user-space proxy: endpoints in turn; one that refuses is passed over; affinity holds", async (t) => {
    const servers = await Promise.all([serve("127.0.1.1"), serve("127.0.1.2")]);
    t.after(() => servers.map((server) => server.close()));
    const world = makeProxy();
    t.after(() => world.close());
    await world.set("web", [
      ["127.0.1.1", 8080],
      ["127.0.1.2", 8080],
      ["127.0.1.3", 8080],
    ]);
    const answers = new Set<string>();
    for (let at = 0; at < 6; at++) answers.add(await ask(vip, 80));
    assert.deepEqual([...answers].sort(), ["127.0.1.1", "127.0.1.2"]);
    await world.set(
      "web",
      [
        ["127.0.1.1", 8080],
        ["127.0.1.2", 8080],
      ],
      { spec: { sessionAffinity: "ClientIP" } },
    );
    const kept = new Set<string>();
    for (let at = 0; at < 6; at++) kept.add(await ask(vip, 80));
    assert.equal(kept.size, 1);
    // Nobody behind it answers: the client is told, not left waiting.
    await world.set("web", [["127.0.1.3", 8080]]);
    assert.equal(await ask(vip, 80), "ECONNRESET");
  });

  test("user-space proxy: outer addresses, traffic policies, source ranges, health-check node ports", async (t) => {
    const servers = await Promise.all([serve("127.0.1.1", 8080, "one\n"), serve("127.0.1.2", 8080, "two\n")]);
    t.after(() => servers.map((server) => server.close()));
    const outside = await makePod({ bridge: "br0", address: "10.244.0.7", gateway: "10.244.0.1" });
    t.after(() => outside.close());
    const checks: unknown[] = [];
    const observer = {
      committed: () => undefined,
      failed: () => undefined,
      queued: () => undefined,
      unchanged: () => undefined,
      localEndpoints: (all: ReadonlyMap<string, unknown>) => checks.push(...all.values()),
    };
    const world = makeProxy({ observer });
    t.after(() => world.close());
    const endpoints: Endpoint[] = [
      ["127.0.1.1", 8080],
      ["127.0.1.2", 8080, "there"],
    ];
    // Telnet's protocol is none: curl shows what the server says until it ends.
    const from = async (host: string, port: number) => {
      const answers = new Set<string>();
      for (let at = 0; at < 4; at++)
        answers.add(await outside.runBeside("sh", "-c", `curl -s -m 3 telnet://${host}:${port} < /dev/null || true`));
      return [...answers].sort().join().replaceAll("\n", "");
    };
    const balancer = {
      type: "LoadBalancer",
      externalIPs: ["192.0.2.1"],
      externalTrafficPolicy: "Local",
      healthCheckNodePort: 32_000,
    };
    const status = { loadBalancer: { ingress: [{ ip: "192.0.2.2" }] } };
    await world.set("web", endpoints, {
      nodePort: 30_080,
      spec: { ...balancer, loadBalancerSourceRanges: ["10.9.0.0/16"] },
      status,
    });
    assert.deepEqual(checks.at(-1), { namespace: "ns", name: "web", port: 32_000, local: 1 });
    assert.equal(await from("10.244.0.1", 30_080), "one", "local only for others");
    assert.equal(await from("192.0.2.1", 80), "one");
    assert.equal(await from("192.0.2.2", 80), "", "out of the ranges");
    assert.equal(await from(vip, 80), "one,two");
    for (const [host, port] of [
      ["10.244.0.1", 30_080],
      ["192.0.2.1", 80],
    ] as const) {
      const own = new Set([await ask(host, port), await ask(host, port)]);
      assert.equal(own.size, 2, `this node may go anywhere, also through ${host}`);
    }
    assert.equal(await ask("192.0.2.2", 80), "ECONNRESET", "this node is out of the ranges too");
    await world.set("web", endpoints, { spec: { ...balancer, loadBalancerSourceRanges: ["10.244.0.1/32"] }, status });
    assert.match(await ask("192.0.2.2", 80), /one|two/);
    // A node port is not a port of every Service.
    await world.set("web", endpoints, { nodePort: 30_080, spec: { type: "NodePort" } });
    assert.equal(await ask(vip, 30_080), "ECONNRESET");
    await world.set("web", [["127.0.1.2", 8080, "there"]], { spec: { internalTrafficPolicy: "Local" } });
    assert.equal(await ask(vip, 80), "ECONNREFUSED", "nobody here");
    assert.throws(() => ip("route", "get", "192.0.2.1"), /unreachable/, "its route has gone with it");
  });

  test("user-space proxy: UDP answers come from the Service's address; flows to an endpoint that is gone find another", async (t) => {
    const echo = (host: string) =>
      new Promise<ReturnType<typeof createSocket>>((done) => {
        const socket = createSocket("udp4");
        socket.on("message", (message, client) => socket.send(`${host} ${message}`, client.port, client.address));
        socket.bind(8080, host, () => done(socket));
      });
    const servers = await Promise.all([echo("127.0.1.1"), echo("127.0.1.2")]);
    t.after(() => servers.map((server) => server.close()));
    const world = makeProxy();
    t.after(() => world.close());
    await world.set("dns", [["127.0.1.1", 8080]], { protocol: "UDP" });
    const client = createSocket("udp4");
    t.after(() => client.close());
    client.connect(80, vip);
    await new Promise((done) => client.once("connect", done));
    const say = (word: string) =>
      new Promise<string>((done) => {
        client.once("message", (message) => done(String(message)));
        client.send(word);
      });
    assert.equal(await say("a"), "127.0.1.1 a");
    await world.set("dns", [["127.0.1.2", 8080]], { protocol: "UDP" });
    assert.equal(await say("b"), "127.0.1.2 b");
    await world.set("dns", [], { protocol: "UDP" });
    const refused = new Promise<NodeJS.ErrnoException>((done) => client.on("error", done));
    client.send("c");
    assert.equal((await refused).code, "ECONNREFUSED");
  });

  test("user-space proxy: a port that a program of the machine has is tried again, and nothing else waits for it", async (t) => {
    const servers = await Promise.all([serve("127.0.1.1"), serve("0.0.0.0", 80)]);
    const [, other] = servers;
    t.after(() => servers.map((server) => server.close()));
    const clock = new FakeClock(realClock.now());
    const world = makeProxy({ clock });
    t.after(() => world.close());
    await world.set("taken", [["127.0.1.1", 8080]]);
    assert.equal(await ask(vip, 80), "0.0.0.0");
    await world.set("free", [["127.0.1.1", 8080]], { spec: { ports: [{ port: 81, protocol: "TCP" }] } });
    assert.equal(await ask(vip, 81), "127.0.1.1");
    await new Promise((done) => other?.close(done));
    clock.advance(5_000);
    for (;;) if ((await ask(vip, 80)) === "127.0.1.1") break;
  });

  test("user-space proxy: IPv6, at a cluster address, a node port and an address outside of the range", async (t) => {
    ip("-6", "address", "add", "fd01::1/64", "dev", "lo");
    const server = await serve("::1");
    t.after(() => server.close());
    const world = makeProxy();
    t.after(() => world.close());
    await world.set("six", [["::1", 8080]], {
      ...{ address: "fd96::5", nodePort: 30_081 },
      spec: { type: "NodePort", externalIPs: ["2001:db8::1"] },
    });
    assert.equal(await ask("fd96::5", 80), "::1");
    assert.equal(await ask("2001:db8::1", 80), "::1");
    assert.equal(await ask("fd01::1", 30_081), "::1");
    assert.equal(await ask("fd96::6", 80), "ECONNREFUSED");
  });

  test("user-space proxy: 2,000 Services", async (t) => {
    const server = await serve("127.0.1.1");
    t.after(() => server.close());
    const world = makeProxy();
    t.after(() => world.close());
    const address = (at: number) => `10.96.${1 + (at >> 8)}.${at & 255}`;
    await Promise.all(
      Array.from({ length: 2000 }, (_, at) => world.set(`web-${at}`, [["127.0.1.1", 8080]], { address: address(at) })),
    );
    for (const at of [0, 999, 1999]) assert.equal(await ask(address(at), 80), "127.0.1.1");
    await world.remove("web-999");
    assert.equal(await ask(address(999), 80), "ECONNREFUSED");
  });
}
