import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import type { Event, Node } from "#api";
import { insideNamespace, ip, runInNamespace, startMachine, type TestMachine, whyNoNamespaces } from "#testing";
import type { NetworkMode, NodeNetwork } from "./contract.ts";

const clusterCidrs = ["10.244.0.0/16", "fd00:10:244::/56"];
const port = 80;
const patienceMs = 20_000;

if (!insideNamespace)
  test("routes: packets between machines", { skip: whyNoNamespaces() ?? false, timeout: 180_000 }, () =>
    runInNamespace(import.meta.filename),
  );
else {
  const machines: TestMachine[] = [];
  const pod = (index: number) => `10.244.${index}.9`;
  const pod6 = (index: number) => `fd00:10:244:${index}::9`;
  const address = (index: number) => `192.0.2.${index}`;
  const nodeOf = (index: number, change: { addresses?: string[]; podCIDRs?: string[] } = {}): Node => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: `m${index}`, uid: `m${index}`, creationTimestamp: `2026-01-01T00:00:0${index}Z` },
    spec: { podCIDRs: change.podCIDRs ?? [`10.244.${index}.0/24`, `fd00:10:244:${index}::/64`] },
    status: {
      addresses: (change.addresses ?? [address(index)]).map((each) => ({ type: "InternalIP", address: each })),
    },
  });

  async function join(index: number, mode: NetworkMode, nodeAddresses: string[]): Promise<TestMachine> {
    const machine = machines[index];
    assert.ok(machine);
    // As some distributions have it.
    machine.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1");
    const podCidrs = [`10.244.${index}.0/24`, `fd00:10:244:${index}::/64`];
    const serviceCidrs = ["10.96.0.0/16"];
    const prepare = { bridge: "sampan0", owner: `/m${index}`, podCidrs, serviceCidrs, nodeAddresses, mode };
    const { mtu } = await machine.tell<NodeNetwork>({ prepare });
    const second = { address: pod6(index), gateway: `fd00:10:244:${index}::1` };
    const place = { bridge: "sampan0", address: pod(index), gateway: `10.244.${index}.1` };
    await machine.tell({ pod: { ...place, second, port, mtu } });
    await machine.tell({ routes: { nodeName: `m${index}`, clusterCidrs } });
    return machine;
  }

  const tellAll = (nodes: readonly Node[]) =>
    Promise.all(machines.filter((machine) => machine !== undefined).map((machine) => machine.tell({ nodes })));
  const get = (from: number, to: string, { path = "/", seconds = 9 } = {}) => {
    const command = `exec 3<>/dev/tcp/${to}/${port}; printf 'GET ${path} HTTP/1.0\\r\\n\\r\\n' >&3; tail -n 1 <&3`;
    return machines[from]?.tell<string>({
      inPod: pod(from),
      command: ["timeout", `${seconds}`, "bash", "-c", command],
    });
  };
  const getBig = async (from: number, to: string) => (await get(from, to, { path: "/big" }))?.length;
  const isCut = (from: number, to: number) =>
    assert.rejects(async () => {
      await get(from, pod(to), { seconds: 0.3 });
    });
  /** The server tells whom it saw: nobody changed the address. */
  const reaches = async (from: number, to: number) => {
    assert.equal(await get(from, pod(to)), `${pod(to)} from ::ffff:${pod(from)}`);
    assert.equal(await get(from, pod6(to)), `${pod(to)} from ${pod6(from)}`);
  };
  const routesOf = (index: number) =>
    ["-4", "-6"].map((family) => machines[index]?.run("ip", family, "route", "show", "proto", "83")).join("");

  /** The kernel tells nobody here when it has a route: it is looked at until it does. */
  async function until(index: number, look: RegExp | ((routes: string) => boolean)): Promise<void> {
    const end = performance.now() + patienceMs;
    for (;;) {
      const routes = routesOf(index);
      if (typeof look === "function" ? look(routes) : look.test(routes)) return;
      if (performance.now() > end) assert.fail(`m${index} has ${routes}after ${machines[index]?.said()}`);
      await new Promise((next) => setImmediate(next));
    }
  }

  async function said(index: number, what: RegExp): Promise<void> {
    const end = performance.now() + patienceMs;
    while (!what.test(machines[index]?.said() ?? "")) {
      assert.ok(performance.now() < end, `m${index} said ${machines[index]?.said()}`);
      await new Promise((next) => setImmediate(next));
    }
  }

  async function begin(count: number): Promise<void> {
    const started = await Promise.all(Array.from({ length: count }, (_, i) => startMachine(`m${i + 1}`)));
    for (const [i, machine] of started.entries()) machines[i + 1] = machine;
  }
  async function end(): Promise<void> {
    await Promise.all(machines.map((machine) => machine?.close()));
    machines.length = 0;
    for (const bridge of ["lan1", "lan2"]) ip("link", "delete", bridge);
  }
  function segment(bridge: string, ...addresses: string[]): void {
    ip("link", "set", "lo", "up");
    ip("link", "add", bridge, "type", "bridge");
    for (const each of addresses) ip("address", "add", each, "dev", bridge, ...(each.includes(":") ? ["nodad"] : []));
    ip("link", "set", bridge, "up");
    // A cable knows no rules for packets.
    execFileSync("sysctl", ["-qw", "net.bridge.bridge-nf-call-iptables=0", "net.bridge.bridge-nf-call-ip6tables=0"]);
  }

  describe("routes: three machines on one segment", { timeout: 120_000 }, () => {
    before(async () => {
      segment("lan1");
      segment("lan2");
      await begin(3);
      for (const index of [1, 2, 3])
        machines[index]?.plug("lan1", { addresses: [`${address(index)}/24`, `2001:db8::${index}/64`] });
      for (const index of [1, 2, 3]) await join(index, "auto", [address(index), `2001:db8::${index}`]);
    });
    after(end);
    const node = (index: number) => nodeOf(index, { addresses: [address(index), `2001:db8::${index}`] });

    test("each is the gateway to its pods, for both families, and nothing is wrapped", async () => {
      await tellAll([node(1), node(2)]);
      await until(1, /fd00:10:244:2::\/64 via 2001:db8::2 dev eth0/);
      await until(2, /10\.244\.1\.0\/24 via 192\.0\.2\.1 dev eth0.*fd00:10:244:1::\/64 via 2001:db8::1/s);
      await reaches(1, 2);
      await reaches(2, 1);
      assert.doesNotMatch(machines[1]?.run("ip", "link") ?? "", /sampan-vx0/);
    });

    test("one that joins is reached; one that is gone is forgotten, and a stranger's route is left alone", async () => {
      machines[1]?.run("ip", "route", "add", "10.244.200.0/24", "via", address(2));
      await tellAll([node(1), node(2), node(3)]);
      for (const index of [1, 2, 3]) await until(index, (routes) => routes.trim().split("\n").length === 4);
      await reaches(3, 1);
      await reaches(2, 3);
      await tellAll([node(1), node(3)]);
      await until(1, (routes) => !routes.includes("10.244.2.0") && !routes.includes("244:2::"));
      assert.match(machines[1]?.run("ip", "route") ?? "", /10\.244\.200\.0\/24 via 192\.0\.2\.2/);
      await tellAll([node(1), node(2), node(3)]);
      await until(1, /10\.244\.2\.0/);
    });

    test("an interface that was down has its routes again at once", async () => {
      machines[1]?.run("ip", "link", "set", "eth0", "down");
      await until(1, (routes) => !/via 192/.test(routes));
      machines[1]?.run("ip", "link", "set", "eth0", "up");
      // Its IPv6 address went with it: until it is back, those pods are reached over IPv4.
      await until(1, /10\.244\.2\.0\/24 via 192\.0\.2\.2 dev eth0/);
      machines[1]?.run("ip", "address", "add", "2001:db8::1/64", "dev", "eth0", "nodad");
      await until(1, /fd00:10:244:2::\/64 via 2001:db8::2 dev eth0/);
      await reaches(1, 2);
    });

    test("a route that somebody took away is back", async () => {
      machines[1]?.run("ip", "route", "delete", "10.244.3.0/24");
      await until(1, /10\.244\.3\.0\/24 via 192\.0\.2\.3/);
      await reaches(1, 3);
    });

    test("a stranger's route that is in the way stays, is told of, and is followed by ours when it goes", async () => {
      await tellAll([node(1), node(2)]);
      await until(1, (routes) => !routes.includes("10.244.3.0"));
      machines[1]?.run("ip", "route", "add", "10.244.3.0/24", "via", address(2));
      await tellAll([node(1), node(2), node(3)]);
      await said(1, /could not be made.*10\.244\.3\.0.*File exists/);
      assert.match(machines[1]?.run("ip", "route", "show", "10.244.3.0/24") ?? "", /via 192\.0\.2\.2 dev eth0 $/m);
      await until(1, /fd00:10:244:3::/);
      machines[1]?.run("ip", "route", "delete", "10.244.3.0/24");
      await until(1, /10\.244\.3\.0\/24 via 192\.0\.2\.3/);
      await reaches(1, 3);
    });

    test("a node that moves is reached at its new address", async () => {
      machines[3]?.run("ip", "address", "add", "192.0.2.33/24", "dev", "eth0");
      const moved = nodeOf(3, { addresses: ["192.0.2.33", "2001:db8::3"] });
      await tellAll([node(1), node(2), moved]);
      await until(1, /10\.244\.3\.0\/24 via 192\.0\.2\.33/);
      await reaches(1, 3);
      await tellAll([node(1), node(2), node(3)]);
      await until(1, /10\.244\.3\.0\/24 via 192\.0\.2\.3 /);
    });

    test("what changed while nobody looked is found at the next start, and kept until then", async () => {
      await machines[1]?.tell({ stopRoutes: true });
      assert.match(routesOf(1), /10\.244\.3\.0/);
      await reaches(1, 3);
      machines[1]?.run("ip", "route", "add", "10.244.77.0/24", "via", address(2), "proto", "83");
      await machines[1]?.tell({ nodes: [node(1), node(2)] });
      await join1Again();
      await until(1, (routes) => !routes.includes("10.244.77.0") && !routes.includes("10.244.3.0"));
      assert.match(routesOf(1), /10\.244\.2\.0/);
      await machines[1]?.tell({ nodes: [node(1)] });
      await until(1, (routes) => routes.trim() === "");
      await tellAll([node(1), node(2), node(3)]);
      await until(1, /10\.244\.2\.0.*10\.244\.3\.0/s);
    });

    async function join1Again(): Promise<void> {
      const podCidrs = ["10.244.1.0/24", "fd00:10:244:1::/64"];
      const nodeAddresses = [address(1), "2001:db8::1"];
      const prepare = {
        bridge: "sampan0",
        owner: "/m1",
        podCidrs,
        serviceCidrs: [],
        nodeAddresses,
        mode: "auto",
      } as const;
      assert.equal((await machines[1]?.tell<NodeNetwork>({ prepare }))?.hasRoutes, true);
      await machines[1]?.tell({ routes: { nodeName: "m1", clusterCidrs } });
    }

    test("two with the same pods: the older one has them, the other is said to have trouble", async () => {
      const twin = nodeOf(3, { podCIDRs: ["10.244.2.0/24"] });
      await tellAll([node(1), node(2), twin]);
      await until(1, (routes) => !routes.includes("10.244.3.0"));
      assert.match(routesOf(1), /10\.244\.2\.0\/24 via 192\.0\.2\.2/);
      await said(1, /10\.244\.2\.0\/24 is that of m2/);
      // Each tells of its own share; who it belongs to has all to say.
      const ofOwn = async () => (await machines[2]?.tell<Event[]>({ events: true })) ?? [];
      while ((await ofOwn()).length === 0) await new Promise((next) => setImmediate(next));
      const [event] = await ofOwn();
      assert.deepEqual([event?.type, event?.reason, event?.involvedObject.name], ["Warning", "PodCIDRConflict", "m3"]);
      assert.deepEqual(await machines[1]?.tell({ events: true }), []);
      await tellAll([node(1), node(2), node(3)]);
      await until(1, /10\.244\.3\.0/);
    });

    test("a cut cable, and one that loses packets: as soon as it is well, so are pods", async () => {
      ip("link", "set", "m2", "down");
      await isCut(1, 2);
      ip("link", "set", "m2", "up");
      await reaches(1, 2);
      nft("add table bridge cut; add chain bridge cut f { type filter hook forward priority 0; }");
      nft("add rule bridge cut f ip daddr 10.244.3.0/24 drop");
      await isCut(1, 3);
      nft("flush chain bridge cut f; add rule bridge cut f numgen random mod 50 == 0 drop");
      assert.equal(await getBig(1, pod(3)), 2 ** 20);
      nft("delete table bridge cut");
      await reaches(1, 3);
    });

    test("a slow link carries large transfers", async (t) => {
      try {
        execFileSync("tc", ["qdisc", "add", "dev", "m2", "root", "netem", "delay", "20ms", "5ms"], { stdio: "pipe" });
      } catch (error) {
        t.skip(`tc can't delay here: ${(error as { stderr?: string }).stderr}`);
        return;
      }
      assert.equal(await getBig(1, pod(2)), 2 ** 20);
      execFileSync("tc", ["qdisc", "delete", "dev", "m2", "root"]);
      await reaches(1, 2);
    });

    test("nothing is left afterwards", async () => {
      await machines[3]?.tell({ remove: true });
      const left = ["link", "route", "-6 route"].map((what) => machines[3]?.run("ip", ...what.split(" "))).join("");
      assert.doesNotMatch(left, /sampan|10\.244|fd00/);
    });
  });

  describe("routes: machines on two segments with a router between", { timeout: 120_000 }, () => {
    before(async () => {
      segment("lan1", "192.0.2.254/24");
      segment("lan2", "198.51.100.254/24");
      execFileSync("sysctl", ["-qw", "net.ipv4.ip_forward=1"]);
      // The router is a stranger: what isn't between nodes doesn't pass.
      nft("add table ip router; add chain ip router f { type filter hook forward priority 0; }");
      nft("add rule ip router f ip daddr 10.0.0.0/8 drop; add rule ip router f ip saddr 10.0.0.0/8 drop");
      await begin(3);
      const plug = { 1: ["lan1", "192.0.2.1"], 2: ["lan1", "192.0.2.2"], 3: ["lan2", "198.51.100.3"] } as const;
      for (const [index, [lan, own]] of Object.entries(plug))
        machines[Number(index)]?.plug(lan, {
          addresses: [`${own}/24`],
          gateways: [lan === "lan1" ? "192.0.2.254" : "198.51.100.254"],
        });
      for (const [index, [, own]] of Object.entries(plug)) await join(Number(index), "auto", [own]);
      await tellAll([node(1), node(2), node(3)]);
      await until(1, /10\.244\.3\.0\/24 via 10\.244\.3\.1 dev sampan-vx0/);
      for (const index of [1, 2, 3]) await until(index, (routes) => routes.trim().split("\n").length === 4);
    });
    after(async () => {
      nft("delete table ip router");
      await end();
    });
    const node = (index: number) => nodeOf(index, { addresses: [index === 3 ? "198.51.100.3" : address(index)] });

    test("neighbours are sent to directly, others through VXLAN; IPv6 goes through IPv4", async () => {
      assert.match(routesOf(1), /10\.244\.2\.0\/24 via 192\.0\.2\.2 dev eth0/);
      assert.match(routesOf(1), /fd00:10:244:2::\/64 via fd00:10:244:2::1 dev sampan-vx0/);
      for (const [from, to] of [
        [1, 2],
        [1, 3],
        [3, 1],
        [2, 3],
      ] as const)
        await reaches(from, to);
    });

    test("a node's own packets come from an address that pods know the way to", async () => {
      const command = `exec 3<>/dev/tcp/${pod(3)}/${port}; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; tail -n 1 <&3`;
      assert.equal(machines[1]?.run("timeout", "3", "bash", "-c", command), `${pod(3)} from ::ffff:10.244.1.1`);
    });

    test("what doesn't fit is told to its sender: large transfers and large datagrams arrive", async () => {
      assert.match(machines[1]?.run("ip", "link", "show", "sampan-vx0") ?? "", /mtu 1450/);
      assert.match(machines[1]?.run("ip", "link", "show", "sampan0") ?? "", /mtu 1500/);
      assert.equal(await getBig(1, pod(3)), 2 ** 20);
      assert.equal(await getBig(3, pod6(1)), 2 ** 20);
      // The first of 1472 bytes may be lost, as on any path that turns out to be narrower.
      const echo = `const s = require("dgram").createSocket("udp4"); const again = () => { s.send("x".repeat(1472), ${port}, "${pod(3)}", () => {}); };
        s.on("message", (m) => { console.log(m.length); process.exit(); }); s.on("error", again); again(); setInterval(again, 20);`;
      const command = ["timeout", "5", process.execPath, "-e", echo];
      assert.equal(await machines[1]?.tell<string>({ inPod: pod(1), command }), "1472\n");
    });

    test("a device that somebody took away is back with all that belongs to it", async () => {
      machines[1]?.run("ip", "link", "delete", "sampan-vx0");
      await until(1, /10\.244\.3\.0\/24 via 10\.244\.3\.1 dev sampan-vx0/);
      await reaches(1, 3);
    });

    test("entries of a node that is gone go with it, and the device with the last", async () => {
      machines[2]?.run("ip", "link", "show", "sampan-vx0");
      await tellAll([node(2), node(3)]);
      await until(3, (routes) => !routes.includes("10.244.1.0"));
      assert.equal(entries(3), 1);
      await tellAll([node(2)]);
      await until(3, /10\.244\.2\.0/);
      await until(2, (routes) => routes.trim() === "");
      while ((machines[2]?.run("ip", "link") ?? "").includes("sampan-vx0"))
        await new Promise((next) => setImmediate(next));
      await tellAll([node(1), node(2), node(3)]);
      await until(2, /10\.244\.3\.0/);
      await until(3, /10\.244\.1\.0.*10\.244\.2\.0/s);
      await reaches(2, 3);
    });
    const entries = (index: number) =>
      [...(machines[index]?.run("bridge", "fdb", "show", "dev", "sampan-vx0") ?? "").matchAll(/ dst /g)].length;

    test("a router that is away, and is back", async () => {
      ip("link", "set", "lan2", "down");
      await isCut(1, 3);
      await reaches(1, 2);
      ip("link", "set", "lan2", "up");
      await reaches(1, 3);
    });

    test("another mode: all is wrapped, pods get what fits, and nothing of the old way stays", async () => {
      for (const index of [1, 2]) {
        await machines[index]?.tell({ stopRoutes: true });
        const podCidrs = [`10.244.${index}.0/24`, `fd00:10:244:${index}::/64`];
        const nodeAddresses = [address(index)];
        const place = { bridge: "sampan0", owner: `/m${index}`, serviceCidrs: [] };
        const network = await machines[index]?.tell<NodeNetwork>({
          prepare: { ...place, podCidrs, nodeAddresses, mode: "vxlan" },
        });
        assert.equal(network?.mtu, 1450);
        assert.match(machines[index]?.run("ip", "link", "show", "sampan0") ?? "", /mtu 1450/);
        await machines[index]?.tell({ routes: { nodeName: `m${index}`, clusterCidrs } });
      }
      await until(1, /10\.244\.2\.0\/24 via 10\.244\.2\.1 dev sampan-vx0/);
      await until(2, /10\.244\.1\.0\/24 via 10\.244\.1\.1 dev sampan-vx0/);
      assert.doesNotMatch(routesOf(1), /eth0/);
      await reaches(1, 2);
      assert.equal(await getBig(2, pod(1)), 2 ** 20);
    });

    test("nothing is left afterwards", async () => {
      await machines[3]?.tell({ remove: true });
      const left = ["link", "route", "-6 route"].map((what) => machines[3]?.run("ip", ...what.split(" "))).join("");
      assert.doesNotMatch(left, /sampan|10\.244|fd00/);
      assert.doesNotMatch(machines[3]?.run("nft", "list", "tables") ?? "", /sampan-network/);
    });
  });
}

function nft(script: string): void {
  execFileSync("nft", ["-f", "-"], { input: script.replaceAll("; add", "\nadd") });
}
