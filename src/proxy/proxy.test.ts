/** The proxy with real nftables: in a network namespace of its own, with pods that are namespaces on bridges. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { after, before, test } from "node:test";
import { createNft, realClock, silentLogger } from "#base";
import type { KubernetesObject } from "#machinery";
import {
  createFakeInformers,
  type FakeInformers,
  insideNamespace,
  ip,
  makeBridge,
  makePod,
  runInNamespace,
  type TestPod,
  whyNoNamespaces,
} from "#testing";
import type { Committed } from "./observer.ts";
import { createProxy, type Proxy as RunningProxy, removeRules } from "./proxy.ts";
import { type ProxySettings, proxySettings } from "./settings.ts";

type Kind = KubernetesObject & Record<string, unknown>;
const services = "v1/services";
const slices = "discovery.k8s.io/v1/endpointslices";
const vip = "10.96.0.7";
const vip6 = "fd00:96::7";
const service = (spec: object, more: object = {}): Kind => ({
  metadata: { name: "web", namespace: "ns" },
  spec: { clusterIP: vip, clusterIPs: [vip], ports: [{ port: 80 }], ...spec },
  ...more,
});
/** Addresses are on node n1, those in 10.244.1.0/24 on n2. */
const slice = (...addresses: string[]): Kind => {
  const isSix = addresses.some((address) => address.includes(":"));
  return {
    metadata: { name: isSix ? "web-6" : "web-4", namespace: "ns", labels: { "kubernetes.io/service-name": "web" } },
    addressType: isSix ? "IPv6" : "IPv4",
    ports: ["TCP", "UDP"].map((protocol) => ({ name: "", port: 8080, protocol })),
    endpoints: addresses.map((address) => ({
      addresses: [address],
      nodeName: address.startsWith("10.244.1.") ? "n2" : "n1",
      conditions: { ready: true },
    })),
  };
};

const request = (host: string, port: number, { seconds, times }: { seconds: number; times: number }) => [
  ...["timeout", `${seconds}`, "bash", "-c"],
  `for i in {1..${times}}; do
    exec 3<>/dev/tcp/${host}/${port} && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && while read -r line; do echo "$line"; done <&3; echo "$line"
  done`,
];
/** One after another, each `10.244.0.2 from 10.244.0.3`. */
function askMany(from: TestPod | undefined, host: string, times: number, port = 80): string[] {
  const answers = talk(from, request(host, port, { seconds: 10, times })).match(/^\S+ from \S+$/gm) ?? [];
  assert.equal(answers.length, times);
  return answers.map((answer) => answer.replace("::ffff:", ""));
}
/** The same once, or `refused`, or `silent`. */
function ask(from: TestPod | undefined, host: string, port = 80, seconds = 5): string {
  const answer = talk(from, request(host, port, { seconds, times: 1 }));
  if (/refused/i.test(answer)) return "refused";
  return /^\S+ from \S+$/m.exec(answer)?.[0].replace("::ffff:", "") ?? "silent";
}
const talk = (from: TestPod | undefined, command: string[]) =>
  from ? from.run("sh", "-c", `"$@" 2>&1; true`, "sh", ...command) : spawn(command);
function spawn([program = "", ...args]: string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  return stdout + stderr;
}
const node = undefined;

const why = whyNoNamespaces();
if (!insideNamespace)
  test("proxy: real nftables in a namespace", { skip: why ?? false }, () => runInNamespace(import.meta.filename));
else {
  let one: TestPod;
  let two: TestPod;
  /** On another node, as far as the proxy knows. */
  let far: TestPod;
  /** Not in the cluster. */
  let outside: TestPod;
  before(async () => {
    for (const [name, ...addresses] of [
      ["br0", "10.244.0.1/24", "fd00:244::1/64"],
      ["br1", "10.244.1.1/24"],
      ["br2", "192.0.2.1/24"],
    ] as const) {
      makeBridge(name, addresses[0]);
      for (const each of addresses.slice(1)) ip("address", "add", each, "dev", name, "nodad");
    }
    execFileSync("sysctl", ["-qw", "net.ipv6.conf.all.forwarding=1"]);
    for (const range of ["10.96.0.0/16", "fd00:96::/64", "203.0.113.0/24"]) ip("route", "add", range, "dev", "br0");
    const pod = (bridge: string, address: string, gateway: string, second?: string) =>
      makePod({
        bridge,
        address,
        gateway,
        port: 8080,
        ...(second && { second: { address: second, gateway: "fd00:244::1" } }),
      });
    [one, two, far, outside] = await Promise.all([
      pod("br0", "10.244.0.2", "10.244.0.1", "fd00:244::2"),
      pod("br0", "10.244.0.3", "10.244.0.1", "fd00:244::3"),
      pod("br1", "10.244.1.2", "10.244.1.1"),
      pod("br2", "192.0.2.9", "192.0.2.1"),
    ]);
  });
  after(() => {
    for (const each of [one, two, far, outside]) each.close();
  });

  interface Running {
    readonly informers: FakeInformers;
    readonly proxy: RunningProxy;
    readonly commits: Committed[];
    close(): Promise<void>;
  }
  const detectLocal = { ...proxySettings().detectLocal, clusterCidrs: ["10.244.0.0/16", "fd00:244::/48"] };
  /** With the objects given as resource and object. */
  async function start(settings: Partial<ProxySettings>, ...objects: [string, object][]): Promise<Running> {
    const informers = createFakeInformers();
    informers.set("v1/nodes", {
      metadata: { name: "n1" },
      ...{
        status: {
          addresses: [
            { type: "InternalIP", address: "192.0.2.1" },
            { type: "InternalIP", address: "fd00:244::1" },
          ],
        },
      },
    });
    for (const [resource, object] of objects) informers.set(resource, object);
    const commits: Committed[] = [];
    const failures: unknown[] = [];
    const proxy = createProxy({
      informers,
      nodeName: "n1",
      settings: proxySettings({ detectLocal, serviceCidrs: ["10.96.0.0/16", "fd00:96::/64"], ...settings }),
      hostPorts: true,
      apply: createNft(),
      observer: {
        committed: (result) => commits.push(result),
        failed: (error) => failures.push(error),
        queued: () => undefined,
      },
      clock: realClock,
      log: silentLogger,
    });
    const stop = new AbortController();
    const running = proxy.run(stop.signal);
    await new Promise((next) => setImmediate(next));
    await proxy.settled();
    const close = async () => {
      stop.abort();
      await running;
      assert.deepEqual(failures, [], "no transaction was refused");
      await removeRules(createNft());
      assert.equal(execFileSync("nft", ["list", "ruleset"], { encoding: "utf8" }), "", "nothing is left");
    };
    return { informers, proxy, commits, close };
  }
  const ruleset = () => execFileSync("nft", ["list", "ruleset"], { encoding: "utf8" });

  test("proxy: a cluster address answers the node, pods and the pod itself; what isn't there refuses", async () => {
    const { informers, proxy, close } = await start({}, [services, service({})], [slices, slice(one.address)]);
    assert.match(ask(node, vip), /^10\.244\.0\.2 from /, "from the node");
    assert.equal(ask(two, vip), "10.244.0.2 from 10.244.0.3", "from a pod, with the pod's own address");
    assert.equal(ask(one, vip), "10.244.0.2 from 10.244.0.1", "a pod through its service to itself");
    assert.equal(ask(outside, vip), "10.244.0.2 from 10.244.0.1", "from outside: masqueraded");
    for (const from of [node, two, outside]) {
      assert.equal(ask(from, vip, 81), "refused", `a port the service does not have, from ${from?.address}`);
      assert.equal(ask(from, "10.96.9.9"), "refused", "an address no service has");
    }
    informers.set(slices, slice(one.address, two.address, far.address));
    await proxy.settled();
    const seen = new Set(askMany(node, vip, 60).map((answer) => answer.split(" ")[0]));
    assert.deepEqual([...seen].sort(), [one.address, two.address, far.address], "all endpoints are used");
    informers.set(slices, slice());
    await proxy.settled();
    for (const from of [node, two, outside]) assert.equal(ask(from, vip), "refused", "no endpoints");
    informers.remove(services, service({}));
    informers.remove(slices, slice());
    await proxy.settled();
    assert.doesNotMatch(ruleset(), /10\.96\.0\.7/, "nothing of a removed service is left");
    await close();
  });

  const nodePort = { type: "NodePort", ports: [{ port: 80, nodePort: 30080 }] };

  test("proxy: a node port answers at the node's own addresses only, masqueraded", async () => {
    const objects: [string, object][] = [
      [services, service(nodePort)],
      [slices, slice(one.address)],
    ];
    const primary = await start({}, ...objects);
    assert.equal(ask(outside, "192.0.2.1", 30080), "10.244.0.2 from 10.244.0.1");
    assert.equal(ask(node, "192.0.2.1", 30080), "10.244.0.2 from 10.244.0.1", "from the node");
    assert.equal(ask(outside, "10.244.0.1", 30080), "refused", "another address of the machine");
    await primary.close();
    const all = await start({ nodePortAddresses: [] }, ...objects);
    assert.equal(ask(outside, "10.244.0.1", 30080), "10.244.0.2 from 10.244.0.1", "every address");
    assert.equal(ask(node, "127.0.0.1", 30080, 1), "refused", "but loopback ones");
    all.informers.set(slices, slice());
    await all.proxy.settled();
    assert.equal(ask(outside, "10.244.0.1", 30080), "refused", "no endpoints");
    await all.close();
    const some = await start({ nodePortAddresses: ["10.0.0.0/8"] }, ...objects);
    assert.equal(ask(outside, "10.244.1.1", 30080), "10.244.0.2 from 10.244.0.1", "in the range");
    assert.equal(ask(outside, "192.0.2.1", 30080), "refused", "not in the range");
    await some.close();
  });

  test("proxy: the local policy keeps the client's address and the traffic here; pods and the node may go anywhere", async () => {
    const local = service({ ...nodePort, externalTrafficPolicy: "Local", externalIPs: ["203.0.113.1"] });
    const { informers, proxy, close } = await start({}, [services, local], [slices, slice(one.address, far.address)]);
    const here = new Set(askMany(outside, "192.0.2.1", 12, 30080));
    assert.deepEqual([...here], ["10.244.0.2 from 192.0.2.9"], "only here, as who it is");
    assert.equal(ask(outside, "203.0.113.1"), "10.244.0.2 from 192.0.2.9", "at an external address too");
    informers.set(slices, slice(far.address));
    await proxy.settled();
    assert.equal(ask(outside, "192.0.2.1", 30080, 0.5), "silent", "dropped where nothing is");
    assert.match(ask(node, "192.0.2.1", 30080), /^10\.244\.1\.2 from 10\.244\.1\.1/, "the node, masqueraded");
    assert.equal(ask(two, "192.0.2.1", 30080), "10.244.1.2 from 10.244.0.3", "a pod, as who it is");
    assert.equal(ask(two, vip), "10.244.1.2 from 10.244.0.3", "the cluster address isn't concerned");
    informers.set(services, service({ internalTrafficPolicy: "Local" }));
    await proxy.settled();
    assert.equal(ask(two, vip, 80, 0.5), "silent", "internal policy with endpoints only elsewhere");
    informers.set(slices, slice(one.address, far.address));
    await proxy.settled();
    assert.deepEqual([...new Set(askMany(two, vip, 12))], ["10.244.0.2 from 10.244.0.3"], "internal policy");
    await close();
  });

  test("proxy: a load balancer's address admits its source ranges", async () => {
    const status = { loadBalancer: { ingress: [{ ip: "203.0.113.9" }] } };
    const balancer = { ...nodePort, type: "LoadBalancer" };
    const balanced = (...loadBalancerSourceRanges: string[]) =>
      service({ ...balancer, loadBalancerSourceRanges }, { status });
    const open = [
      balanced(),
      balanced("192.0.2.0/24", "10.0.0.0/8", "10.244.0.0/16"),
      balanced("1.2.3.0/24", "0.0.0.0/0"),
    ];
    const { informers, proxy, close } = await start({}, [slices, slice(one.address)]);
    for (const each of open) {
      informers.set(services, each);
      await proxy.settled();
      assert.match(ask(outside, "203.0.113.9"), /^10\.244\.0\.2 from 10\.244\.0\.1/);
    }
    informers.set(services, balanced("198.51.100.0/24"));
    await proxy.settled();
    assert.equal(ask(outside, "203.0.113.9", 80, 0.5), "silent", "not in the ranges");
    assert.equal(ask(two, "203.0.113.9", 80, 0.5), "silent", "a pod neither");
    assert.match(ask(outside, "192.0.2.1", 30080), /^10\.244\.0\.2 /, "node ports have no ranges");
    const proxying = { loadBalancer: { ingress: [{ ip: "203.0.113.9", ipMode: "Proxy" }] } };
    informers.set(services, service(balancer, { status: proxying }));
    await proxy.settled();
    assert.doesNotMatch(ruleset(), /203\.0\.113\.9/, "a proxying balancer is not short-circuited");
    await close();
  });

  test("proxy: session affinity holds, and is switched off and on", async () => {
    const sticky = (timeoutSeconds: number) =>
      service({ sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds } } });
    const endpoints = [one.address, two.address, far.address];
    const { informers, proxy, close } = await start({}, [services, sticky(60)], [slices, slice(...endpoints)]);
    const isSticky = () => new Set(askMany(node, vip, 20)).size === 1;
    assert.ok(isSticky(), "on");
    const [first] = ask(node, vip).split(" ");
    informers.set(slices, slice(...endpoints.filter((each) => each !== first)));
    await proxy.settled();
    assert.notEqual(ask(node, vip).split(" ")[0], first, "its endpoint is gone");
    assert.ok(isSticky(), "to another");
    informers.set(services, service({}));
    informers.set(slices, slice(...endpoints));
    await proxy.settled();
    assert.ok(!isSticky(), "off");
    informers.set(services, sticky(1));
    await proxy.settled();
    assert.match(ruleset(), /timeout 1s/);
    informers.set(services, sticky(7200));
    await proxy.settled();
    assert.ok(isSticky(), "on again, with another time");
    assert.match(ruleset(), /timeout 2h/);
    await close();
  });

  test("proxy: both families, each with a table of its own", async () => {
    const dual = service({ ...nodePort, clusterIPs: [vip, vip6], ipFamilies: ["IPv4", "IPv6"] });
    const { informers, proxy, close } = await start({}, [services, service({})], [slices, slice(one.address)]);
    assert.doesNotMatch(ruleset(), /table ip6/, "none without need");
    informers.set(services, dual);
    informers.set(slices, slice("fd00:244::2", "fd00:244::3"));
    await proxy.settled();
    assert.match(ask(node, vip6), /^10\.244\.0\.[23] from fd00:/, "from the node");
    assert.match(ask(two, vip6), /^10\.244\.0\.(2 from fd00:244::3|3 from fd00:244::1)$/, "from a pod; from itself");
    assert.match(ask(node, "fd00:244::1", 30080), /^10\.244\.0\.[23] from fd00:/, "node port");
    assert.match(ask(two, vip), /^10\.244\.0\.2 /, "the other family");
    assert.equal(ask(two, "fd00:96::99"), "refused", "an address no service has");
    informers.set(slices, Object.assign(slice("fd00:244::2"), { endpoints: [] }));
    await proxy.settled();
    assert.equal(ask(node, vip6), "refused", "no endpoints in one family");
    assert.match(ask(node, vip), /^10\.244\.0\.2 /, "the other has some");
    await close();
  });

  // The names of the conformance suite: "HostPort validates that there is no conflict between pods with same hostPort but
  // different hostIP and protocol".
  test("proxy: host ports by address and protocol, on loopback too, and gone with their pod", async () => {
    const pod = (name: string, address: string, port: object, phase = "Running") => ({
      metadata: { name, namespace: "ns" },
      ...{ spec: { containers: [{ name: "c", ports: [{ containerPort: 8080, ...port }] }] } },
      ...{ status: { podIP: address, podIPs: [{ ip: address }], phase } },
    });
    const { informers, proxy, close } = await start(
      { nodePortAddresses: ["198.51.100.0/24"] },
      ["v1/pods", pod("a", one.address, { hostPort: 9080, hostIP: "127.0.0.1" })],
      ["v1/pods", pod("b", two.address, { hostPort: 9080, hostIP: "192.0.2.1" })],
      ["v1/pods", pod("c", far.address, { hostPort: 9080, hostIP: "192.0.2.1", protocol: "UDP" })],
      ["v1/pods", pod("d", two.address, { hostPort: 9081 })],
    );
    assert.match(ask(node, "127.0.0.1", 9080), /^10\.244\.0\.2 /, "loopback");
    assert.match(ask(node, "192.0.2.1", 9080), /^10\.244\.0\.3 /, "the node's address");
    assert.equal(ask(outside, "192.0.2.1", 9080), "10.244.0.3 from 192.0.2.9", "from outside, as who it is");
    assert.equal(ask(outside, "10.244.0.1", 9080), "refused", "another address");
    assert.equal(ask(outside, "10.244.0.1", 9081), "10.244.0.3 from 192.0.2.9", "every address");
    assert.match(ask(node, "127.0.0.1", 9081), /^10\.244\.0\.3 /, "every address, loopback");
    assert.equal(ask(one, "10.244.0.1", 9081), "10.244.0.3 from 10.244.0.2", "from a pod");
    assert.equal(ask(two, "10.244.0.1", 9081), "10.244.0.3 from 10.244.0.1", "from itself");
    informers.set("v1/pods", pod("d", two.address, { hostPort: 9081 }, "Succeeded"));
    await proxy.settled();
    assert.equal(ask(outside, "10.244.0.1", 9081), "refused", "the pod ended");
    await close();
  });

  test("proxy: UDP clients leave an endpoint that is gone; without any they are told", async () => {
    const udp = service({ ports: [{ port: 80, protocol: "UDP" }] });
    const { informers, proxy, close } = await start({}, [services, udp], [slices, slice(one.address)]);
    const program = (seconds: number) => `
      const socket = require("dgram").createSocket("udp4");
      socket.bind(4000, () => { socket.connect(80, "${vip}", () => socket.send("x")); });
      socket.on("message", () => { console.log("answered"); socket.close(); }).on("error", (e) => { console.log(e.code); socket.close(); });
      setTimeout(() => socket.close(), ${seconds * 1000}).unref();`;
    const send = () => far.run(process.execPath, "-e", program(3)).trim();
    /** Which endpoint each flow to the service has: the second source of a line. */
    const flows = () =>
      [...spawn(["conntrack", "-L", "-p", "udp", "--orig-dst", vip]).matchAll(/src=.*(src=\S+)/g)].map(
        ([, answers]) => answers,
      );
    assert.equal(send(), "answered");
    assert.deepEqual(flows(), ["src=10.244.0.2"]);
    informers.set(slices, slice(two.address));
    await proxy.settled();
    assert.deepEqual(flows(), [], "forgotten");
    assert.equal(send(), "answered");
    assert.deepEqual(flows(), ["src=10.244.0.3"], "the same client's port, another endpoint");
    informers.set(slices, slice(one.address, two.address));
    await proxy.settled();
    far.run("bash", "-c", `for i in {1..30}; do echo x > /dev/udp/${vip}/80; done`);
    assert.deepEqual([...new Set(flows())].sort(), ["src=10.244.0.2", "src=10.244.0.3"], "other clients: both");
    informers.set(slices, slice(two.address));
    await proxy.settled();
    assert.deepEqual([...new Set(flows())], ["src=10.244.0.3"], "those of the first are forgotten");
    informers.set(slices, slice());
    await proxy.settled();
    assert.deepEqual([...new Set(flows())], ["src=10.244.0.3"], "kept while there is nobody better");
    execFileSync("conntrack", ["-F"], { stdio: "pipe" });
    assert.equal(send(), "ECONNREFUSED", "no endpoints");
    await close();
  });

  test("proxy: tables of others stay; ours come back when somebody takes them", async () => {
    execFileSync("nft", ["add", "table", "ip", "other"]);
    const { commits, close } = await start({ syncPeriodMs: 50 }, [services, service({})], [slices, slice(one.address)]);
    assert.match(ruleset(), /table ip other/);
    for (const harm of [
      ["delete", "table", "ip", "sampan-proxy"],
      ["flush", "ruleset"],
      ["flush", "chain", "ip", "sampan-proxy", "nat-output"],
      ["flush", "map", "ip", "sampan-proxy", "service-ips"],
    ]) {
      const before = commits.length;
      execFileSync("nft", harm);
      while (commits.length === before) await new Promise((next) => setTimeout(next, 10));
      assert.equal(commits.at(-1)?.kind, "full");
      assert.match(ask(node, vip), /^10\.244\.0\.2 /, harm.join(" "));
    }
    await close();
  });
}
