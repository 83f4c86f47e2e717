/**
 * The nftables objects of one service (or of one pod's host ports): elements of the shared maps, and the shapes they lead to. Services
 * that remember clients or admit only some sources have chains and sets of their own, named as upstream names them.
 * A fragment is self-contained, so a change of one service is the difference of two fragments, whatever else is in the table.
 */
import { createHash } from "node:crypto";
import { BlockList } from "node:net";
import { endpointName, type ProxyEndpoint } from "./endpoints.ts";
import type { ServicePort } from "./service-port.ts";
import {
  clusterOffset,
  endpointsMap,
  type Frontend,
  ipWord,
  localSpread,
  masqueradedSpread,
  type RuleContext,
  setMark,
  type Shape,
  spread,
} from "./shape.ts";

export interface Fragment {
  /** Chain name to its rules. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** Set name to its definition. */
  readonly sets: ReadonlyMap<string, string>;
  /** Key (`map element`) to value; the value is "" in sets. */
  readonly elements: ReadonlyMap<string, string>;
  readonly shapes: ReadonlyMap<string, Shape>;
}

export interface FragmentContext extends RuleContext {
  /** This node's own, to let it through to load-balancer addresses it carries itself. */
  readonly nodeAddresses: readonly string[];
}

/** nft's limit for names is 256 bytes with the terminator; those of the kernel's older tools are shorter. */
const nameBytesMax = 240;

interface Parts {
  readonly chains: Map<string, readonly string[]>;
  readonly sets: Map<string, string>;
  readonly elements: Map<string, string>;
  readonly shapes: Map<string, Shape>;
}

const nothing: ReadonlyMap<string, never> = new Map<string, never>();
export const emptyFragment: Fragment = { chains: nothing, sets: nothing, elements: nothing, shapes: nothing };

/** Of all ports of one service together, those of the context's family. */
export function fragmentOf(ports: readonly ServicePort[], context: FragmentContext): Fragment {
  const mine = ports.filter(({ family }) => family === context.family);
  if (mine.length === 0) return emptyFragment;
  const parts: Parts = { chains: new Map(), sets: new Map(), elements: new Map(), shapes: new Map() };
  for (const port of mine) addPort(port, context, parts);
  return { ...parts, chains: parts.chains.size > 0 ? parts.chains : nothing };
}

function addPort(service: ServicePort, context: FragmentContext, parts: Parts): void {
  const { protocol, port, clusterAddress, clusterEndpoints, localEndpoints, hasEndpoints } = service;
  const at = (address: string): Key => [`${address} . ${protocol} . ${port}`, `${address} . ${port}`];
  const atPort = (number: number): Key[] => (number > 0 ? [[`${protocol} . ${number}`, `${number}`]] : []);
  const internal = service.internalLocal ? localEndpoints : clusterEndpoints;
  const external = service.externalLocal ? localEndpoints : clusterEndpoints;
  const outer = [...service.externalAddresses, ...service.balancerAddresses].map(at);
  const outerPorts = atPort(service.nodePort);
  const hostPorts = atPort(service.hostPort ?? 0);
  if (service.affinitySeconds > 0) addAffinity(service, context, parts);

  const add = (map: string, key: string, value = "") => parts.elements.set(`${map} ${key}`, value);
  const addFrontend = (by: Frontend["by"], map: string, [key, endpointKey]: Key, target: Target) => {
    for (const [offset, endpoints] of target.endpoints)
      for (const [index, { address, port: targetPort }] of endpoints.entries())
        add(endpointsMap({ by, protocol }), `${endpointKey} . ${offset + index}`, `${address} . ${targetPort}`);
    if (target.shape) parts.shapes.set(target.shape.name, target.shape);
    add(map, key, `goto ${target.chain}`);
  };

  for (const { address, port: targetPort, local } of [...clusterEndpoints, ...localEndpoints])
    if (local) add("hairpin-connections", `${address} . ${address} . ${protocol} . ${targetPort}`);
  // Nobody there at all is told at once; endpoints that are only elsewhere are not for this traffic: it is dropped.
  const refusal = hasEndpoints ? "drop" : "goto reject-chain";
  if (clusterAddress !== undefined) {
    add("cluster-ips", clusterAddress);
    if (internal.length > 0)
      addFrontend("address", "service-ips", at(clusterAddress), internalTarget(service, internal, context));
    else add("no-endpoint-services", at(clusterAddress)[0], refusal);
  }
  if (hasEndpoints) {
    for (const key of outer)
      addFrontend("address", "service-ips", key, externalTarget("address", service, context, parts));
    for (const key of outerPorts)
      addFrontend("port", "service-nodeports", key, externalTarget("port", service, context, parts));
    for (const key of hostPorts)
      addFrontend("port", "host-ports", key, externalTarget("port", service, context, parts));
  }
  if (external.length === 0) {
    for (const [key] of outer) add("no-endpoint-services", key, refusal);
    for (const [key] of outerPorts) add("no-endpoint-nodeports", key, refusal);
  }
  addFirewall(service, context, parts);
}

/** Of a frontend in the maps of verdicts, and in those of endpoints. */
type Key = readonly [verdict: string, endpoint: string];

/** Where a frontend's packets go. */
interface Target {
  readonly chain: string;
  /** None for the chains of a service's own. */
  readonly shape?: Shape;
  /** Elements of the frontend's map, from which number on. */
  readonly endpoints: readonly (readonly [offset: number, endpoints: readonly ProxyEndpoint[]])[];
}

const ofShape = (shape: Shape, ...endpoints: Target["endpoints"]): Target => ({ chain: shape.name, shape, endpoints });
const ofOwn = (chain: string): Target => ({ chain, endpoints: [] });

function internalTarget(service: ServicePort, usable: readonly ProxyEndpoint[], context: FragmentContext): Target {
  if (service.affinitySeconds > 0) return ofOwn(chainName(service.internalLocal ? "local" : "service", service.id));
  return ofShape(spread({ by: "address", protocol: service.protocol }, usable.length, context), [0, usable]);
}

/** Node ports, external and load-balancer addresses. */
function externalTarget(by: Frontend["by"], service: ServicePort, context: FragmentContext, parts: Parts): Target {
  const { externalLocal, clusterEndpoints, localEndpoints, protocol } = service;
  const frontend = { by, protocol };
  if (service.affinitySeconds > 0) {
    const chain = chainName("external", service.id);
    parts.chains.set(chain, externalRules(service, context));
    return ofOwn(chain);
  }
  if (!externalLocal)
    return ofShape(masqueradedSpread(frontend, clusterEndpoints.length, context), [0, clusterEndpoints]);
  const counts = { local: localEndpoints.length, all: clusterEndpoints.length };
  return ofShape(localSpread(frontend, counts, context), [0, localEndpoints], [clusterOffset, clusterEndpoints]);
}

function externalRules({ id, externalLocal, localEndpoints }: ServicePort, context: FragmentContext): string[] {
  const any = chainName("service", id);
  if (!externalLocal) return [setMark(context), `goto ${any}`];
  return [
    ...(context.isLocalPod ? [`${context.isLocalPod} goto ${any}`] : []),
    `fib saddr type local ${setMark(context)}`,
    `fib saddr type local goto ${any}`,
    ...(localEndpoints.length > 0 ? [`goto ${chainName("local", id)}`] : []),
  ];
}

/** A set of clients for each endpoint: who is in one goes there again. */
function addAffinity(service: ServicePort, { family }: FragmentContext, { chains, sets }: Parts): void {
  const { id, protocol, clusterEndpoints, localEndpoints, affinitySeconds } = service;
  const word = ipWord(family);
  for (const endpoint of [...clusterEndpoints, ...localEndpoints]) {
    const set = affinitySet(service, endpoint);
    sets.set(
      set,
      `{ type ${family === "IPv4" ? "ipv4_addr" : "ipv6_addr"}; flags dynamic,timeout; timeout ${affinitySeconds}s; }`,
    );
    chains.set(endpointChain(service, endpoint), [
      `update @${set} { ${word} saddr }`,
      `meta l4proto ${protocol} dnat to ${endpointName(endpoint)}`,
    ]);
  }
  for (const [kind, endpoints] of [
    ["service", clusterEndpoints],
    ["local", localEndpoints],
  ] as const) {
    if (endpoints.length === 0) continue;
    chains.set(chainName(kind, id), [
      ...endpoints.map((each) => `${word} saddr @${affinitySet(service, each)} goto ${endpointChain(service, each)}`),
      // One after another with growing odds: a map of them would be one of those unnamed maps the kernel is slow with.
      ...endpoints.map((each, index) => {
        const left = endpoints.length - index;
        return `${left > 1 ? `numgen random mod ${left} 0 ` : ""}goto ${endpointChain(service, each)}`;
      }),
    ]);
  }
}

/** Node ports are not subject to it. */
function addFirewall(service: ServicePort, { family, nodeAddresses }: FragmentContext, parts: Parts): void {
  const { id, protocol, port, balancerAddresses, sourceRanges } = service;
  if (balancerAddresses.length === 0 || sourceRanges.length === 0) return;
  const chain = chainName("firewall", id);
  // A load balancer's address that this node carries itself is the source of the node's own packets to it.
  const own = nodeAddresses.some((address) => sourceRanges.some((range) => isWithin(range, address)));
  const sources = [...sourceRanges, ...(own ? balancerAddresses : [])].join(", ");
  parts.chains.set(chain, [`${ipWord(family)} saddr != { ${sources} } drop`]);
  for (const address of balancerAddresses)
    parts.elements.set(`firewall-ips ${address} . ${protocol} . ${port}`, `goto ${chain}`);
}

function isWithin(range: string, address: string): boolean {
  const [base = "", bits] = range.split("/");
  const family = (text: string) => (text.includes(":") ? "ipv6" : "ipv4");
  const list = new BlockList();
  list.addSubnet(base, Number(bits), family(base));
  return family(base) === family(address) && list.check(address, family(address));
}

const endpointChain = ({ id }: ServicePort, { address, port }: ProxyEndpoint) =>
  chainName("endpoint", `${id}__${address.replaceAll(":", ".")}/${port}`);

/** The time is part of the name, because a set's time-out can't be changed while rules use it. */
const affinitySet = ({ id, affinitySeconds }: ServicePort, { address, port }: ProxyEndpoint) =>
  chainName(`affinity${affinitySeconds}`, `${id}__${address.replaceAll(":", ".")}/${port}`);

/** `service-HASH-namespace/name/tcp/port`: the hash makes it unique when the rest is cut. */
export function chainName(kind: string, id: string): string {
  const hash = createHash("sha256").update(id).digest("hex").slice(0, 8).toUpperCase();
  return `${kind}-${hash}-${id}`.slice(0, nameBytesMax);
}
