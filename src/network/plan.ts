/**
 * Which way packets take to the pods of each other node. Pure: nodes and what this machine says about the way to them become entries of the
 * kernel's tables; the difference to the entries that are there becomes lines for `ip -batch` and `bridge -batch`.
 *
 * A node on the same segment (no router between) is the gateway to its pods itself; any other gets them wrapped into VXLAN. That is decided
 * for each family of each node: pods' IPv6 may be wrapped between machines that are IPv4 neighbours only.
 */
import type { NetworkMode } from "./contract.ts";
import type { Route } from "./ip.ts";

import { routeProtocol, vxlanName } from "./names.ts";
import { addressIn, addressText, contains, type Family, familyOf, type Range, printRange, readRange } from "./range.ts";
import { RangeSet } from "./range-set.ts";
import { hardwareAddress } from "./vxlan.ts";

export interface OtherNode {
  readonly name: string;
  /** Of two nodes with the same addresses the older one has them. */
  readonly created: string;
  /** As the node object has them, its first address first. */
  readonly addresses: readonly string[];
  readonly podCidrs: readonly string[];
}

export interface PlanInput {
  readonly nodes: readonly OtherNode[];
  /** This node. */
  readonly podCidrs: readonly string[];
  readonly gateways: readonly string[];
  readonly nodeAddresses: readonly string[];
  readonly bridge: string;
  readonly mode: NetworkMode;
  /** Nobody gets packets for anything else, whatever a node object says. */
  readonly clusterCidrs: readonly string[];
  /** What `ip route get` says about other nodes' addresses; those without a way are missing. */
  readonly ways: ReadonlyMap<string, Route>;
}

/** An entry's key is what the kernel knows it by; its text is all of it. */
export type Entries = ReadonlyMap<string, string>;

export interface Plan {
  /** `10.244.1.0/24` → `via 10.0.0.2 dev eth0`. */
  readonly routes: Entries;
  /** Of the VXLAN device: gateway → hardware address. */
  readonly neighbours: Entries;
  /** Of the VXLAN device: hardware address → node's address. */
  readonly forwards: Entries;
  /** Nodes whose pods aren't reached, and why: as text, since each is said once. */
  readonly problems: ReadonlyMap<string, string>;
}

export const emptyPlan: Plan = { routes: new Map(), neighbours: new Map(), forwards: new Map(), problems: new Map() };

export function planRoutes(input: PlanInput): Plan {
  if (input.mode === "none") return emptyPlan;
  const plan = {
    routes: new Map<string, string>(),
    neighbours: new Map<string, string>(),
    forwards: new Map<string, string>(),
    problems: new Map<string, string>(),
  };
  const cluster = input.clusterCidrs.map(readRange).filter((range) => range !== undefined);
  const taken = new RangeSet<string>();
  const own = input.podCidrs.map(readRange).filter((range) => range !== undefined);
  for (const range of own) taken.add(range, "this node");
  for (const node of [...input.nodes].sort(byAge))
    for (const cidr of node.podCidrs) {
      const range = readRange(cidr);
      // Pods here have no address of that family.
      if (range && !own.some(({ family }) => family === range.family)) continue;
      const refusal = refusalOf(range, { cidr, cluster, taken });
      if (!range || refusal !== undefined) {
        plan.problems.set(`${node.name} ${cidr}`, refusal ?? "");
        continue;
      }
      taken.add(range, node.name);
      const way = wayTo(node, range, input);
      if (way === "none") continue;
      if ("problem" in way) plan.problems.set(`${node.name} ${cidr}`, way.problem);
      else if ("hop" in way) plan.routes.set(printRange(range), `via ${way.hop} dev ${way.dev}`);
      else {
        const gateway = addressIn(cidr, 1);
        const mac = hardwareAddress(node.name);
        plan.routes.set(printRange(range), `via ${gateway} dev ${vxlanName} src ${way.source} onlink`);
        plan.neighbours.set(gateway, mac);
        plan.forwards.set(mac, way.remote);
      }
    }
  return plan;
}

type Way =
  | { readonly hop: string; readonly dev: string }
  | { readonly remote: string; readonly source: string }
  | { readonly problem: string }
  /** It is this machine: a simulated node, which has no pods of its own. */
  | "none";

function wayTo(node: OtherNode, { family }: Range, input: PlanInput): Way {
  const { mode, nodeAddresses, gateways, bridge, ways } = input;
  const addresses = node.addresses.flatMap((text) => addressText(text) ?? []).filter((address) => !isLoopback(address));
  const ofFamily = (wanted: Family) => addresses.find((address) => familyOf(address) === wanted);
  const underlay = familyOf(nodeAddresses[0] ?? "");
  const [hop, remote] = [ofFamily(family), ofFamily(underlay)];
  const here = addresses.find((address) => nodeAddresses.includes(address));
  if (here !== undefined) return { problem: `its address ${here} is this node's` };
  if (addresses.length === 0) return node.addresses.length > 0 ? "none" : { problem: "it has no address yet" };
  const way = hop === undefined ? undefined : ways.get(hop);
  if (way?.type === "local") return "none";
  if (mode !== "vxlan" && hop !== undefined && way?.dev && isNeighbour(way, bridge)) return { hop, dev: way.dev };
  if (mode === "host-routes")
    return { problem: `it is no neighbour (${hop ?? `no ${family} address`}), and routes are to do without VXLAN` };
  const source = gateways.find((address) => familyOf(address) === family);
  return remote === undefined || source === undefined
    ? { problem: `it has no ${underlay} address, which packets between nodes have` }
    : { remote, source };
}

const isLoopback = (address: string) => address === "::1" || address.startsWith("127.");

/** The same on all nodes, so that they agree on who has what. */
const byAge = (a: OtherNode, b: OtherNode) =>
  a.created === b.created ? (a.name < b.name ? -1 : 1) : a.created < b.created ? -1 : 1;

function refusalOf(
  range: Range | undefined,
  { cidr, cluster, taken }: { cidr: string; cluster: readonly Range[]; taken: RangeSet<string> },
): string | undefined {
  if (!range) return `its pod network ${JSON.stringify(cidr)} is no range of addresses`;
  if (!cluster.some((outer) => contains(outer, range))) return `its pod network ${cidr} isn't in the cluster's`;
  const owner = taken.overlapping(range);
  return owner === undefined ? undefined : `its pod network ${cidr} is that of ${owner}`;
}

const isNeighbour = ({ dev = "", gateway, via, type = "unicast" }: Route, bridge: string): boolean =>
  gateway === undefined && via === undefined && type === "unicast" && ![bridge, vxlanName, "lo"].includes(dev);

/** Lines of the two programs, in this order: where things are must be known before packets are sent there. */
export interface Change {
  readonly bridge: readonly string[];
  readonly ip: readonly string[];
}

/** From the entries that are there to those that should be. A route that isn't known to be ours is never replaced. */
export function changeBetween(now: Omit<Plan, "problems">, wanted: Omit<Plan, "problems">): Change {
  const forwardOf = (mac: string, address: string) => `${mac} dev ${vxlanName} dst ${address}`;
  return {
    bridge: [
      ...stale(now.forwards, wanted.forwards).map((mac) => `fdb delete ${forwardOf(mac, now.forwards.get(mac) ?? "")}`),
      ...fresh(now.forwards, wanted.forwards).map(([mac, address]) => `fdb replace ${forwardOf(mac, address)}`),
    ],
    ip: [
      ...stale(now.routes, wanted.routes).map((range) => `route delete ${range} proto ${routeProtocol.nodes}`),
      ...stale(now.neighbours, wanted.neighbours).map((gateway) => `neigh delete ${gateway} dev ${vxlanName}`),
      ...fresh(now.neighbours, wanted.neighbours).map(
        ([gateway, mac]) => `neigh replace ${gateway} lladdr ${mac} dev ${vxlanName} nud permanent`,
      ),
      ...fresh(now.routes, wanted.routes).map(
        ([range, text]) =>
          `route ${now.routes.has(range) ? "replace" : "add"} ${range} ${text} proto ${routeProtocol.nodes}`,
      ),
    ],
  };
}

const stale = (now: Entries, wanted: Entries): string[] => [...now.keys()].filter((key) => !wanted.has(key));
const fresh = (now: Entries, wanted: Entries): [string, string][] =>
  [...wanted].filter(([key, text]) => now.get(key) !== text);
