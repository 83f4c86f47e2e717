import assert from "node:assert/strict";
import { test } from "node:test";
import type { Route } from "./ip.ts";
import { changeBetween, emptyPlan, type OtherNode, type Plan, planRoutes } from "./plan.ts";
import { hardwareAddress } from "./vxlan.ts";

const here = {
  podCidrs: ["10.244.0.0/24"],
  gateways: ["10.244.0.1"],
  nodeAddresses: ["192.0.2.1"],
  bridge: "sampan0",
  mode: "auto",
  clusterCidrs: ["10.244.0.0/16"],
} as const;
const dualHere = {
  ...here,
  podCidrs: ["10.244.0.0/24", "fd00:10:244::/64"],
  gateways: ["10.244.0.1", "fd00:10:244::1"],
  clusterCidrs: ["10.244.0.0/16", "fd00:10:244::/56"],
};
const ways = new Map<string, Route>([
  ...["192.0.2.2", "192.0.2.3", "2001:db8::2"].map((dst) => [dst, { dst, dev: "eth0" }] as const),
  ["198.51.100.4", { dst: "198.51.100.4", gateway: "192.0.2.254", dev: "eth0" }],
  ["2001:db8:1::4", { dst: "2001:db8:1::4", gateway: "fe80::1", dev: "eth0" }],
  ["10.244.0.77", { dst: "10.244.0.77", dev: "sampan0" }],
  ["192.0.2.99", { dst: "192.0.2.99", type: "local", dev: "lo" }],
]);
const node = (name: string, addresses: string[], podCidrs: string[], created = "2026-01-01T00:00:00Z"): OtherNode => ({
  ...{ name, addresses, podCidrs, created },
});
const mac = hardwareAddress("far");
const overVxlan = "via 10.244.4.1 dev sampan-vx0 src 10.244.0.1 onlink";

for (const { title, input = {}, nodes, routes = {}, forwards = {}, problems = [] } of [
  {
    title: "a neighbour is the gateway to its pods",
    nodes: [node("near", ["192.0.2.2"], ["10.244.2.0/24"])],
    routes: { "10.244.2.0/24": "via 192.0.2.2 dev eth0" },
  },
  {
    title: "what goes to a node behind a router is wrapped",
    nodes: [node("far", ["198.51.100.4"], ["10.244.4.0/24"])],
    routes: { "10.244.4.0/24": overVxlan },
    forwards: { [mac]: "198.51.100.4" },
  },
  {
    title: "each node has its own way",
    nodes: [node("far", ["198.51.100.4"], ["10.244.4.0/24"]), node("near", ["192.0.2.2"], ["10.244.2.0/24"])],
    routes: { "10.244.2.0/24": "via 192.0.2.2 dev eth0", "10.244.4.0/24": overVxlan },
    forwards: { [mac]: "198.51.100.4" },
  },
  {
    title: "with mode vxlan neighbours too",
    input: { mode: "vxlan", ways: new Map() },
    nodes: [node("far", ["192.0.2.2"], ["10.244.4.0/24"])],
    routes: { "10.244.4.0/24": overVxlan },
    forwards: { [mac]: "192.0.2.2" },
  },
  {
    title: "with mode host-routes nodes behind a router aren't reached",
    input: { mode: "host-routes" },
    nodes: [node("far", ["198.51.100.4"], ["10.244.4.0/24"])],
    problems: [/far 10\.244\.4\.0\/24 it is no neighbour \(198\.51\.100\.4\)/],
  },
  {
    title: "an address that no route leads to is wrapped: a way may come",
    nodes: [node("far", ["203.0.113.9"], ["10.244.4.0/24"])],
    routes: { "10.244.4.0/24": overVxlan },
    forwards: { [mac]: "203.0.113.9" },
  },
  {
    title: "an address among pods is no neighbour's",
    nodes: [node("far", ["10.244.0.77"], ["10.244.4.0/24"])],
    routes: { "10.244.4.0/24": overVxlan },
    forwards: { [mac]: "10.244.0.77" },
  },
  {
    title: "with mode none nothing is made",
    input: { mode: "none" },
    nodes: [node("near", ["192.0.2.2"], ["10.244.2.0/24"])],
  },
  {
    title: "a node without addresses of pods or of its own waits",
    nodes: [node("new", [], ["10.244.2.0/24"]), node("newer", ["192.0.2.3"], [])],
    problems: [/new 10\.244\.2\.0\/24 it has no address yet/],
  },
  {
    title: "simulated nodes are this machine",
    nodes: [node("s", ["127.0.0.1"], ["10.244.9.0/24"]), node("t", ["192.0.2.99"], ["10.244.8.0/24"])],
  },
  {
    title: "of two with the same pods the older one has them",
    nodes: [
      node("a", ["192.0.2.2"], ["10.244.2.0/24"], "2026-01-02T00:00:00Z"),
      node("b", ["192.0.2.3"], ["10.244.2.0/24"], "2026-01-01T00:00:00Z"),
    ],
    routes: { "10.244.2.0/24": "via 192.0.2.3 dev eth0" },
    problems: [/a 10\.244\.2\.0\/24 its pod network 10\.244\.2\.0\/24 is that of b$/],
  },
  {
    title: "nobody takes a part of another's",
    nodes: [
      node("a", ["192.0.2.2"], ["10.244.2.0/24"]),
      node("b", ["192.0.2.3"], ["10.244.2.128/25"]),
      node("c", ["192.0.2.3"], ["10.244.0.0/20"]),
    ],
    routes: { "10.244.2.0/24": "via 192.0.2.2 dev eth0" },
    problems: [/b .* is that of a$/, /c .* is that of this node$/],
  },
  {
    title: "what a node says of the rest of the world isn't believed",
    nodes: [node("a", ["192.0.2.2"], ["0.0.0.0/0"]), node("b", ["192.0.2.3"], ["8.8.8.0/24", "bad"])],
    problems: [/a 0\.0\.0\.0\/0 .* isn't in the cluster's/, /b 8\.8\.8\.0\/24 .* isn't in/, /b bad .* is no range/],
  },
  {
    title: "who has this node's address is told so",
    nodes: [node("twin", ["192.0.2.1"], ["10.244.2.0/24"])],
    problems: [/twin .* its address 192\.0\.2\.1 is this node's/],
  },
  {
    title: "a family that pods here don't have is left out",
    nodes: [node("near", ["192.0.2.2", "2001:db8::2"], ["10.244.2.0/24", "fd00:10:244:2::/64"])],
    routes: { "10.244.2.0/24": "via 192.0.2.2 dev eth0" },
  },
  {
    title: "two families, both direct",
    input: dualHere,
    nodes: [node("near", ["192.0.2.2", "2001:db8::2"], ["10.244.2.0/24", "fd00:10:244:2::/64"])],
    routes: { "10.244.2.0/24": "via 192.0.2.2 dev eth0", "fd00:10:244:2::/64": "via 2001:db8::2 dev eth0" },
  },
  {
    title: "two families, IPv6 wrapped into IPv4 between neighbours that have no other",
    input: dualHere,
    nodes: [node("far", ["192.0.2.2"], ["10.244.2.0/24", "fd00:10:244:2::/64"])],
    routes: {
      "10.244.2.0/24": "via 192.0.2.2 dev eth0",
      "fd00:10:244:2::/64": "via fd00:10:244:2::1 dev sampan-vx0 src fd00:10:244::1 onlink",
    },
    forwards: { [mac]: "192.0.2.2" },
  },
  {
    title: "a node of the other family only can't be sent anything",
    nodes: [node("six", ["2001:db8:1::4"], ["10.244.2.0/24"])],
    problems: [/it has no IPv4 address, which packets between nodes have/],
  },
] as {
  title: string;
  input?: object;
  nodes: OtherNode[];
  routes?: Record<string, string>;
  forwards?: Record<string, string>;
  problems?: RegExp[];
}[])
  test(`routes: ${title}`, () => {
    const plan = planRoutes({ ...here, ways, ...input, nodes });
    assert.deepEqual(Object.fromEntries(plan.routes), routes);
    assert.deepEqual(Object.fromEntries(plan.forwards), forwards);
    const said = [...plan.problems].map((pair) => pair.join(" "));
    assert.equal(said.length, problems.length, said.join("; "));
    for (const [i, pattern] of problems.entries()) assert.match(said[i] ?? "", pattern);
  });

test("routes: a device's address is the node's own for good, and no group's", () => {
  assert.equal(hardwareAddress("a"), hardwareAddress("a"));
  const seen = new Set<string>();
  for (let i = 0; i < 2000; i++) {
    const address = hardwareAddress(`node-${i}`);
    assert.match(address, /^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/);
    seen.add(address);
  }
  assert.equal(seen.size, 2000);
});

test("change: nothing when all is there, and removed when nobody is", () => {
  const plan = planRoutes({ ...here, ways, nodes: [node("far", ["198.51.100.4"], ["10.244.4.0/24"])] });
  assert.deepEqual(changeBetween(plan, plan), { bridge: [], ip: [] });
  assert.deepEqual(changeBetween(plan, emptyPlan), {
    bridge: [`fdb delete ${mac} dev sampan-vx0 dst 198.51.100.4`],
    ip: ["route delete 10.244.4.0/24 proto 83", "neigh delete 10.244.4.1 dev sampan-vx0"],
  });
});

test("change: any sequence of nodes leaves what the last ones want", () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  const kernel = createKernel();
  let now: Plan = emptyPlan;
  const nodes = new Map<string, OtherNode>();
  for (let step = 0; step < 500; step++) {
    for (let events = random(5); events >= 0; events--) {
      const name = `n${random(12)}`;
      if (random(4) === 0) nodes.delete(name);
      else {
        const addresses = [[], ["192.0.2.2"], ["192.0.2.3", "2001:db8::2"], ["198.51.100.4"], ["2001:db8:1::4"]];
        const part = random(8);
        const cidrs = [[], [`10.244.${part}.0/24`], [`10.244.${part}.0/24`, `fd00:10:244:${part}::/64`], ["9.0.0.0/8"]];
        const created = `2026-01-0${1 + random(9)}T00:00:00Z`;
        nodes.set(name, node(name, addresses[random(5)] ?? [], cidrs[random(4)] ?? [], created));
      }
    }
    const mode = (["auto", "auto", "auto", "vxlan", "host-routes", "none"] as const)[random(6)] ?? "auto";
    const wanted = planRoutes({ ...dualHere, mode, ways, nodes: [...nodes.values()] });
    const { bridge, ip } = changeBetween(now, wanted);
    for (const line of [...bridge, ...ip]) kernel.run(line);
    now = wanted;
    assert.deepEqual(kernel.sorted(), sortedPlan(wanted), `seed ${seed}, step ${step}`);
    const taken = [...wanted.routes.keys()].filter((cidr) => here.podCidrs.some((own) => own === cidr));
    assert.deepEqual(taken, [], `seed ${seed}, step ${step}`);
  }
});

const sortedPlan = ({ routes, neighbours, forwards }: Plan) =>
  [...routes, ...neighbours, ...forwards].map(String).sort();

/** Takes what the kernel takes, and refuses what it refuses. */
function createKernel() {
  const tables = { route: new Map<string, string>(), neigh: new Map<string, string>(), fdb: new Map<string, string>() };
  return {
    run(line: string): void {
      const [object = "", verb, key = "", ...rest] = line.split(" ");
      const table = tables[object as keyof typeof tables];
      const text = rest
        .join(" ")
        .replace(/ proto 83$/, "")
        .replace(/^lladdr (\S+) dev sampan-vx0 nud permanent$/, "$1")
        .replace(/^dev sampan-vx0 dst /, "");
      if (verb === "delete") assert.ok(table.delete(key), `${line}: there is none`);
      else {
        assert.ok(verb === "replace" || (verb === "add" && !table.has(key)), `${line}: it is there`);
        table.set(key, text);
      }
    },
    sorted: () =>
      Object.values(tables)
        .flatMap((table) => [...table])
        .map(String)
        .sort(),
  };
}
