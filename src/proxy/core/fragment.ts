/**
 * The nftables objects of one service: chains with their rules, sets, and elements of the shared maps. A fragment is
 * self-contained, so a change of one service is the difference of two fragments, whatever else is in the table.
 * Names and layout follow upstream's nftables mode, so that people find what they know.
 */
import { createHash } from "node:crypto";
import type { ProxyEndpoint, ServicePort } from "./service-port.ts";

export interface Fragment {
  /** Chain name to its rules, in an order in which each chain comes after those it goes to. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** Set name to its definition. */
  readonly sets: ReadonlyMap<string, string>;
  /** `map key` to value, for the shared maps; the key is unique over the whole table. */
  readonly elements: ReadonlyMap<string, MapElement>;
}

export interface MapElement {
  readonly map: MapName;
  readonly key: string;
  readonly value: string;
}

export type MapName =
  | "service-ips"
  | "service-nodeports"
  | "no-endpoint-services"
  | "no-endpoint-nodeports"
  | "cluster-ips";

export interface FragmentOptions {
  /** Source addresses of pods: traffic from elsewhere to a cluster address is masqueraded. */
  readonly clusterCidr: string;
}

/** nft's limit for names is 128 bytes with the terminator. */
const nameBytesMax = 120;

interface Parts {
  readonly chains: Map<string, readonly string[]>;
  readonly sets: Map<string, string>;
  readonly elements: Map<string, MapElement>;
}

/** Of all ports of one service together. */
export function fragmentOf(ports: readonly ServicePort[], options: FragmentOptions): Fragment {
  const parts: Parts = { chains: new Map(), sets: new Map(), elements: new Map() };
  for (const port of ports) {
    addInternal(port, options, parts);
    addExternal(port, options, parts);
  }
  return { ...parts, chains: inOrder(parts.chains) };
}

function addElement({ elements }: Parts, map: MapName, [key, value]: readonly [string, string]): void {
  elements.set(`${map} ${key}`, { map, key, value });
}

/** What clients use from inside: the cluster addresses. */
function addInternal(service: ServicePort, { clusterCidr }: FragmentOptions, parts: Parts): void {
  const usable = service.internalLocal ? service.localEndpoints : service.endpoints;
  const chain = chainName("service", service.id);
  if (usable.length > 0) {
    for (const endpoint of usable) addEndpoint(service, endpoint, parts);
    parts.chains.set(chain, [
      ...service.clusterAddresses.map(
        (address) =>
          `ip daddr ${address} ${service.protocol} dport ${service.port} ip saddr != ${clusterCidr} jump mark-for-masquerade`,
      ),
      ...balance(service, usable),
    ]);
  }
  for (const address of service.clusterAddresses) {
    addElement(parts, "cluster-ips", [address, ""]);
    const key = `${address} . ${service.protocol} . ${service.port}`;
    if (usable.length > 0) addElement(parts, "service-ips", [key, `goto ${chain}`]);
    else addElement(parts, "no-endpoint-services", [key, withoutEndpoints(service)]);
  }
}

/** What comes from outside: node ports, external and load-balancer addresses. */
function addExternal(service: ServicePort, { clusterCidr }: FragmentOptions, parts: Parts): void {
  const addresses = service.externalAddresses.map((address) => `${address} . ${service.protocol} . ${service.port}`);
  const nodePorts = service.nodePort > 0 ? [`${service.protocol} . ${service.nodePort}`] : [];
  if (addresses.length + nodePorts.length === 0) return;
  const usable = service.externalLocal ? service.localEndpoints : service.endpoints;
  if (usable.length === 0 && (!service.externalLocal || service.endpoints.length === 0)) {
    for (const key of addresses) addElement(parts, "no-endpoint-services", [key, withoutEndpoints(service)]);
    for (const key of nodePorts) addElement(parts, "no-endpoint-nodeports", [key, withoutEndpoints(service)]);
    return;
  }
  for (const endpoint of [...service.endpoints, ...usable]) addEndpoint(service, endpoint, parts);
  const any = chainName("any", service.id);
  const chain = chainName("external", service.id);
  parts.chains.set(any, balance(service, service.endpoints));
  if (service.externalLocal) {
    // Pods and the node itself may use any endpoint; the outside only those here, with its own address kept.
    parts.chains.set(chain, [
      `ip saddr ${clusterCidr} goto ${any}`,
      "fib saddr type local jump mark-for-masquerade",
      `fib saddr type local goto ${any}`,
      ...(usable.length > 0 ? balance(service, usable) : ["drop"]),
    ]);
  } else parts.chains.set(chain, ["jump mark-for-masquerade", `goto ${any}`]);
  for (const key of addresses) addElement(parts, "service-ips", [key, `goto ${chain}`]);
  for (const key of nodePorts) addElement(parts, "service-nodeports", [key, `goto ${chain}`]);
}

/** Nobody there at all is told at once; endpoints that are only elsewhere are not for this traffic: it is dropped. */
const withoutEndpoints = (service: ServicePort) => (service.endpoints.length > 0 ? "drop" : "goto reject-chain");

function addEndpoint(service: ServicePort, endpoint: ProxyEndpoint, { chains, sets }: Parts): void {
  const affinity = service.affinitySeconds > 0 ? affinitySet(service, endpoint) : undefined;
  if (affinity) sets.set(affinity, `{ type ipv4_addr; flags dynamic,timeout; timeout ${service.affinitySeconds}s; }`);
  chains.set(endpointChain(service, endpoint), [
    // A pod that reaches itself through its service must see another source.
    `ip saddr ${endpoint.address} jump mark-for-masquerade`,
    ...(affinity ? [`update @${affinity} { ip saddr }`] : []),
    `meta l4proto ${service.protocol} dnat to ${endpoint.address}:${endpoint.port}`,
  ]);
}

function balance(service: ServicePort, endpoints: readonly ProxyEndpoint[]): string[] {
  if (endpoints.length === 0) return [];
  const sticky =
    service.affinitySeconds > 0
      ? endpoints.map((each) => `ip saddr @${affinitySet(service, each)} goto ${endpointChain(service, each)}`)
      : [];
  const targets = endpoints.map((each, index) => `${index} : goto ${endpointChain(service, each)}`);
  return [...sticky, `numgen random mod ${endpoints.length} vmap { ${targets.join(", ")} }`];
}

/** Chains that others go to first. */
function inOrder(chains: Parts["chains"]): Parts["chains"] {
  const rank = (name: string) => ["endpoint", "service", "any", "external"].indexOf(name.split("-")[0] ?? "");
  return new Map([...chains].sort(([a], [b]) => rank(a) - rank(b)));
}

const endpointChain = (service: ServicePort, { address, port }: ProxyEndpoint) =>
  chainName("endpoint", `${service.id}__${address}/${port}`);

/** The time is part of the name, because a set's time-out can't be changed while rules use it. */
const affinitySet = (service: ServicePort, { address, port }: ProxyEndpoint) =>
  chainName(`affinity${service.affinitySeconds}`, `${service.id}__${address}/${port}`);

/** `service-HASH-namespace/name/tcp/port`: the hash makes it unique when the rest is cut. */
export function chainName(kind: string, id: string): string {
  const hash = createHash("sha256").update(id).digest("hex").slice(0, 8).toUpperCase();
  return `${kind}-${hash}-${id}`.slice(0, nameBytesMax);
}
