/**
 * What a node's network needs before any pod: forwarding, the bridge with its addresses, and a way for the node itself to addresses of
 * Services on machines without a default route. One look at the machine and one batch of changes; everything is idempotent and undone by
 * `removeNodeNetwork`. With mode `none` somebody else connects pods, and nothing is made but forwarding.
 */
import { readdir, readFile, writeFile } from "node:fs/promises";
import type { NetworkMode, NodeNetwork } from "./contract.ts";
import { changeLinks, ipJson, type Link, type Route } from "./ip.ts";
import { bridgeName, routeProtocol, vxlanName } from "./names.ts";
import { NetworkError } from "./network-error.ts";
import { addressIn, familyOf, type Family, isIpv6 } from "./range.ts";
import { hardwareAddress, removeVxlan, vxlanHeaderBytes } from "./vxlan.ts";

export interface NodeNetworkOptions {
  readonly bridge: string;
  /** The data folder: two clusters in one network namespace would take each other's packets. */
  readonly owner: string;
  /** This node's: one of each family at most. */
  readonly podCidrs: readonly string[];
  readonly serviceCidrs: readonly string[];
  /** Found out when missing. */
  readonly nodeAddresses?: readonly string[] | undefined;
  /** Of the interface with the node's address when missing, less what VXLAN adds. */
  readonly mtu?: number | undefined;
  readonly mode: NetworkMode;
}

const usualMtu = 1500;

export async function prepareNodeNetwork(options: NodeNetworkOptions): Promise<NodeNetwork> {
  const { mode, owner, podCidrs, serviceCidrs } = options;
  const bridge = mode === "none" ? "" : options.bridge;
  const families = [...new Set([...podCidrs, ...serviceCidrs].map(familyOf))];
  if (bridge !== "" && podCidrs.length === 0)
    throw new NetworkError("the node has no pod addresses to make a network of");
  const machine = await lookAround(families);
  const { links } = machine;
  const found = links.find(({ ifname }) => ifname === options.bridge);
  const whose = machine.aliases.get(options.bridge);
  if (whose && whose !== owner)
    throw new NetworkError(
      `interface ${options.bridge} belongs to the cluster of ${whose}; \`sampan down --data-dir ${whose}\` removes it`,
    );
  const bridgeAddresses = bridge === "" ? [] : podCidrs.map((cidr) => addressIn(cidr, 1));
  const nodeAddresses = addressesOf(options, machine, {
    families: podCidrs.length > 0 ? podCidrs.map(familyOf) : families,
    bridgeAddresses,
  });
  const [nodeAddress = ""] = nodeAddresses;
  const gateways = bridge === "" ? nodeAddresses : bridgeAddresses;
  const [gateway = nodeAddress] = gateways;
  const uplinkMtu = mtuOf(machine, nodeAddress);
  const mtu = options.mtu ?? uplinkMtu - (mode === "vxlan" ? vxlanHeaderBytes[familyOf(nodeAddress)] : 0);
  await setForwarding(families, podCidrs.some(isIpv6));
  if (bridge !== "") await makeBridge({ bridge, owner, podCidrs, gateways, mtu, found });
  // Nobody hangs on it any more.
  else if (found && !links.some(({ master }) => master === found.ifname))
    await changeLinks([`link delete ${found.ifname}`]);
  // A packet needs a route before the rules for Services can turn it. Back through the bridge a pod would first be told of a better way,
  // and then, for the kernel counts what it says to each, not any more that it is refused. IPv6 has no way through `lo`.
  const ways = serviceCidrs
    .filter((cidr) => !machine.routes[familyOf(cidr)].some(isDefault))
    .map((cidr) => [cidr, gateways.find((address) => familyOf(address) === familyOf(cidr))] as const)
    .filter(([, source]) => source !== undefined)
    .map(
      ([cidr, source]) =>
        `route replace ${cidr} dev ${isIpv6(cidr) && bridge ? bridge : "lo"} src ${source} proto ${routeProtocol.services}`,
    );
  await changeLinks(ways);
  const hasRoutes =
    links.some(({ ifname }) => ifname === vxlanName) ||
    Object.values(machine.routes).some((routes) => routes.some(({ protocol }) => protocol === routeProtocol.nodes));
  const [podCidr = ""] = podCidrs;
  return { nodeAddress, nodeAddresses, gateway, gateways, podCidr, podCidrs, bridge, mtu, uplinkMtu, mode, hasRoutes };
}

interface Machine {
  /** What interfaces are said to be for. */
  readonly aliases: ReadonlyMap<string, string | undefined>;
  readonly links: readonly Link[];
  readonly routes: Readonly<Record<Family, readonly Route[]>>;
}

async function lookAround(families: readonly Family[]): Promise<Machine> {
  const [named, links, IPv4, IPv6] = await Promise.all([
    ipJson<Pick<Link, "ifname" | "ifalias">>("link", "show"), // addresses are shown without aliases
    ipJson<Link>("address", "show"),
    families.includes("IPv4") ? ipJson<Route>("-4", "route", "show") : [],
    families.includes("IPv6") ? ipJson<Route>("-6", "route", "show") : [],
  ]);
  return {
    aliases: new Map(named.map(({ ifname, ifalias }) => [ifname, ifalias])),
    links,
    routes: { IPv4, IPv6 },
  };
}

const isDefault = ({ dst }: Route) => dst === "default";

interface Wanted {
  readonly families: readonly Family[];
  readonly bridgeAddresses: readonly string[];
}

/** What was given; else those of the interfaces with the default routes; else, on a machine without one, the bridge's. */
function addressesOf(
  { nodeAddresses: given = [] }: NodeNetworkOptions,
  machine: Machine,
  { families, bridgeAddresses }: Wanted,
): string[] {
  if (given.length > 0) return [...given];
  const outward = families.flatMap((family) => {
    const route = machine.routes[family].filter(isDefault).sort((a, b) => (a.metric ?? 0) - (b.metric ?? 0))[0];
    return route ? [addressOf(route, machine, family)] : [];
  });
  const found = outward.filter((address) => address !== undefined);
  if (found.length > 0) return found;
  const dev = families.flatMap((family) => machine.routes[family].filter(isDefault))[0]?.dev;
  if (dev)
    throw new NetworkError(
      `interface ${dev} has the default route but no ${families.join(" or ")} address; pass --node-ip IP`,
    );
  if (bridgeAddresses.length > 0) return [...bridgeAddresses];
  throw new NetworkError("there is no default route to tell this node's address by; pass --node-ip IP");
}

function addressOf({ dev, prefsrc }: Route, { links }: Machine, family: Family): string | undefined {
  if (prefsrc) return prefsrc;
  const infos = links.find(({ ifname }) => ifname === dev)?.addr_info ?? [];
  return infos.find(({ local, scope }) => familyOf(local) === family && scope === "global")?.local;
}

const mtuOf = ({ links }: Machine, address: string): number =>
  links.find(({ ifname, addr_info }) => ifname !== bridgeName && addr_info.some(({ local }) => local === address))
    ?.mtu ?? usualMtu;

interface BridgeOptions extends Pick<NodeNetwork, "bridge" | "podCidrs" | "gateways" | "mtu"> {
  readonly owner: string;
  readonly found: Link | undefined;
}

async function makeBridge({ bridge, owner, podCidrs, gateways, mtu, found }: BridgeOptions): Promise<void> {
  const wanted = gateways.map((gateway, i) => `${gateway}/${podCidrs[i]?.split("/")[1]}`);
  // Of a share that this node had before: pods of it are gone from the cluster too.
  const stale = (found?.addr_info ?? [])
    .filter(({ scope, local, prefixlen }) => scope === "global" && !wanted.includes(`${local}/${prefixlen}`))
    .map(({ local, prefixlen }) => `address delete ${local}/${prefixlen} dev ${bridge}`);
  await changeLinks([
    // Without an address of its own it takes those of its cables, another with each pod, and pods would lose their gateway for seconds.
    ...(found ? [] : [`link add ${bridge} address ${hardwareAddress(`${owner} ${gateways[0]}`)} type bridge`]),
    `link set ${bridge} alias ${owner.includes('"') ? `'${owner}'` : `"${owner}"`}`,
    `link set ${bridge} mtu ${mtu}`,
    "link set lo up",
    ...stale,
    ...wanted.map((address) => `address replace ${address} dev ${bridge}${isIpv6(address) ? " nodad" : ""}`),
    `link set ${bridge} up`,
  ]);
  // With its first pod it begins to ask who else might have its address, and for a second no pod is found.
  if (gateways.some(isIpv6)) await setSysctl(`net/ipv6/conf/${bridge}/accept_dad`, "0");
}

async function setForwarding(families: readonly Family[], needsIpv6: boolean): Promise<void> {
  if (families.includes("IPv4")) {
    await setSysctl("net/ipv4/ip_forward", "1");
    // Without it, pods on one bridge would get answers from an endpoint's address instead of the Service's.
    await setSysctl("net/bridge/bridge-nf-call-iptables", "1");
  }
  if (!families.includes("IPv6")) return;
  await keepRouterAdvertisements();
  if (!(await setSysctl("net/ipv6/conf/all/forwarding", "1")) && needsIpv6)
    throw new NetworkError("this machine's kernel has no IPv6, and pods are to have addresses of it");
  await setSysctl("net/bridge/bridge-nf-call-ip6tables", "1");
}

/** An interface that forwards stops to listen to its router unless it is told not to: the machine would lose its own addresses. */
async function keepRouterAdvertisements(): Promise<void> {
  const folder = "/proc/sys/net/ipv6/conf";
  const names = await readdir(folder).catch(() => []); // without IPv6 there is nothing to keep
  for (const name of names) {
    if (name === "all") continue;
    const text = await readFile(`${folder}/${name}/accept_ra`, "utf8").catch(() => ""); // went meanwhile
    if (text.trim() === "1") await setSysctl(`net/ipv6/conf/${name}/accept_ra`, "2");
  }
}

/** False: the kernel was built without it, or the module isn't loaded, which `sampan check` says. */
async function setSysctl(name: string, value: string): Promise<boolean> {
  const file = `/proc/sys/${name}`;
  try {
    // In many containers it may be looked at only, and is right already.
    if ((await readFile(file, "utf8")).trim() !== value) await writeFile(file, value);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // fs rejects with errno errors
    return false;
  }
}

/** Whose bridge this is: a data folder; "" when it says nothing, undefined when there is no such interface. */
export async function bridgeOwner(bridge: string): Promise<string | undefined> {
  const found = (await ipJson<Link>("link", "show")).find(({ ifname }) => ifname === bridge);
  return found && (found.ifalias ?? "");
}

/** Nothing is left afterwards, whatever was there. */
export async function removeNodeNetwork(bridge: string): Promise<void> {
  const links = await ipJson<Link>("link", "show");
  // The host's ends of the pods' cables; those whose pod is already gone went with it.
  const ports = links.filter(({ master }) => master === bridge).map(({ ifname }) => ifname);
  const own = links.filter(({ ifname }) => ifname === bridge).map(({ ifname }) => ifname);
  await changeLinks([...ports, ...own].map((name) => `link delete ${name}`));
  if (links.some(({ ifname }) => ifname === vxlanName)) await removeVxlan();
  const routes = await Promise.all((["-4", "-6"] as const).map((family) => ipJson<Route>(family, "route", "show")));
  const protocols = new Set<string | undefined>(Object.values(routeProtocol));
  // Those of the links above went with them.
  const left = routes.flat().filter(({ protocol }) => protocols.has(protocol));
  await changeLinks(left.map(({ dst, protocol }) => `route delete ${dst} proto ${protocol}`));
}
