/**
 * What a Service of type LoadBalancer gets: an address of the pool for itself alone, or those of the nodes, whose ports then are its own.
 * Who answers for an address of the pool on the network is decided here for all nodes, so that they needn't agree. Pure.
 */
import { createHash } from "node:crypto";
import type { EndpointSlice, LoadBalancerIngress, Node, Service } from "#api";
import { nodeCondition, type SeenNode } from "../lib/nodes.ts";
import { isDeleting, nameOf, type Seen } from "../lib/objects.ts";
import type { Claims } from "./claims.ts";
import { type AddressPool, canonicalIp, type Family, familyOf } from "./pool.ts";

export const finalizer = "service.kubernetes.io/load-balancer-cleanup";
export const poolClass = "sampan.dev/pool";
export const nodesClass = "sampan.dev/nodes";
/** On Services, by users: addresses with commas between, one of each family at most. `spec.loadBalancerIP` says one. */
export const requestAnnotation = "sampan.dev/load-balancer-ips";
/** On Services, by the controller: the node that answers for the pool's addresses. */
export const announcerAnnotation = "sampan.dev/announced-by";
export const portsCondition = "LoadBalancerPortsError";

const excludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers";
/** By the cluster autoscaler, of a node that is about to go. */
const goingTaint = "ToBeDeletedByClusterAutoscaler";

export type SeenService = Seen<Service>;
export type Way = "pool" | "nodes";

/** How it is balanced by us; undefined: it isn't. */
export function wayOf({ spec }: SeenService, pool: AddressPool | undefined): Way | undefined {
  if (spec?.type !== "LoadBalancer") return undefined;
  if (spec.loadBalancerClass === undefined) return pool ? "pool" : "nodes";
  return spec.loadBalancerClass === poolClass ? "pool" : spec.loadBalancerClass === nodesClass ? "nodes" : undefined;
}

export const hasFinalizer = (service: SeenService): boolean =>
  service.metadata.finalizers?.includes(finalizer) ?? false;

export const needsCleanup = (service: SeenService): boolean =>
  hasFinalizer(service) && (isDeleting(service) || service.spec?.type !== "LoadBalancer");

/** May get traffic from outside; as upstream, and ready. */
export function isUsable(node: SeenNode): boolean {
  const { labels } = node.metadata;
  return (
    !isDeleting(node) &&
    nodeCondition(node, "Ready")?.status === "True" &&
    !isExcluded(labels?.[excludeLabel]) &&
    !node.spec?.taints?.some(({ key }) => key === goingTaint)
  );
}

/** What Go doesn't parse as a boolean excludes, too. */
const isExcluded = (label: string | undefined) =>
  label !== undefined && !["0", "f", "F", "false", "FALSE", "False"].includes(label);

/** Changes of anything else of a node change nothing here: it says each few minutes how it is. */
export const nodeFacts = (node: SeenNode): string =>
  JSON.stringify([isUsable(node), node.status?.addresses, kubeletPort(node)]);

const kubeletPort = ({ status }: Seen<Node>) => status?.daemonEndpoints?.kubeletEndpoint?.Port;

/** What upstream balances anew for: the user hears of it by events. */
export const signatureOf = ({ spec, metadata }: SeenService): string => {
  const { [announcerAnnotation]: _own, ...annotations } = metadata.annotations ?? {};
  const { ports, sessionAffinity, sessionAffinityConfig, loadBalancerIP, loadBalancerSourceRanges } = spec ?? {};
  const { externalIPs, externalTrafficPolicy, healthCheckNodePort, ipFamilies, loadBalancerClass } = spec ?? {};
  return JSON.stringify([
    ...[metadata.uid, annotations, ports, sessionAffinity, sessionAffinityConfig, loadBalancerIP],
    ...[loadBalancerSourceRanges, externalIPs, externalTrafficPolicy, healthCheckNodePort, ipFamilies],
    loadBalancerClass,
  ]);
};

export interface BalancerState {
  readonly pool: AddressPool | undefined;
  /** Addresses, and ports of nodes as `80/TCP`. */
  readonly claims: Claims;
  /** Usable ones, of all Services. */
  readonly nodes: readonly SeenNode[];
  /** Of this Service. */
  readonly slices: readonly Seen<EndpointSlice>[];
  /** TCP ports of the nodes that are the cluster's own: `6443` to who has it. */
  readonly reserved: ReadonlyMap<number, string>;
}

export interface BalancerPlan {
  readonly ingress: readonly LoadBalancerIngress[];
  readonly claims: readonly string[];
  readonly announcer?: string;
  /** Why it got nothing, or less than it asked for. */
  readonly failure?: string;
  /** The failure is about its ports. */
  readonly isPortTaken?: boolean;
}

export function planBalancer(key: string, service: SeenService, state: BalancerState): BalancerPlan {
  const nodes = service.spec?.externalTrafficPolicy === "Local" ? withEndpoints(state) : state.nodes;
  if (wayOf(service, state.pool) === "nodes") return planNodes(key, service, { ...state, nodes });
  const found = planPool(key, service, state);
  const [address] = found.claims;
  const announcer = address === undefined ? undefined : announcerOf(address, nodes);
  return announcer === undefined ? found : { ...found, announcer };
}

function withEndpoints({ nodes, slices }: BalancerState): SeenNode[] {
  const names = new Set(
    slices.flatMap(({ endpoints = [] }) =>
      (endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false).map(({ nodeName }) => nodeName),
    ),
  );
  return nodes.filter((node) => names.has(nameOf(node)));
}

const familiesOf = ({ spec }: SeenService) => (spec?.ipFamilies ?? ["IPv4"]) as readonly Family[]; // validated by the API server

function planPool(key: string, service: SeenService, { pool, claims }: BalancerState): BalancerPlan {
  const nothing = (failure: string): BalancerPlan => ({ ingress: [], claims: [], failure });
  if (!pool) return nothing(`class ${poolClass} needs --load-balancer-pool`);
  const requested = requestsOf(service);
  for (const text of requested.wrong) return nothing(`"${text}" is no IP address`);
  const held = claims.held(key).filter((thing) => pool.contains(thing));
  const given: string[] = [];
  const problems: string[] = [];
  for (const family of familiesOf(service)) {
    const asked = requested.addresses.find((address) => familyOf(address) === family);
    if (asked !== undefined) {
      const holder = claims.holder(asked);
      if (!pool.contains(asked)) problems.push(`${asked} is not in the pool ${pool.text}`);
      else if (holder !== undefined && holder !== key) problems.push(`${asked} is taken by Service ${holder}`);
      else given.push(asked);
      continue;
    }
    if (!pool.has(family)) {
      problems.push(`the pool ${pool.text} has no ${family} addresses`);
      continue;
    }
    const address =
      held.find((thing) => familyOf(thing) === family) ?? pool.free(family, (thing) => claims.isTaken(thing, key));
    if (address === undefined) problems.push(`no free ${family} address is left in the pool ${pool.text}`);
    else given.push(address);
  }
  for (const address of requested.addresses)
    if (!familiesOf(service).includes(familyOf(address) ?? "IPv4"))
      problems.push(`${address} is not of a family of this Service`);
  const failure = problems.length === 0 ? {} : { failure: problems.join("; ") };
  // Half of what is required is nothing; of what is merely preferred half is well.
  if (problems.length > 0 && (service.spec?.ipFamilyPolicy !== "PreferDualStack" || given.length === 0))
    return { ingress: [], claims: [], ...failure };
  return { ingress: given.map(virtual), claims: given, ...failure };
}

const virtual = (ip: string): LoadBalancerIngress => ({ ip, ipMode: "VIP" });

function requestsOf({ spec, metadata }: SeenService): { addresses: string[]; wrong: string[] } {
  const texts = [...(metadata.annotations?.[requestAnnotation]?.split(",") ?? []), spec?.loadBalancerIP ?? ""]
    .map((text) => text.trim())
    .filter((text) => text !== "");
  const addresses = texts.flatMap((text) => canonicalIp(text) ?? []);
  return { addresses: [...new Set(addresses)], wrong: texts.filter((text) => canonicalIp(text) === undefined) };
}

/** The ports of a Service of the second way, as claims. */
export const portClaims = ({ spec }: SeenService): string[] =>
  (spec?.ports ?? []).map(({ port, protocol = "TCP" }) => `${port}/${protocol}`);

function planNodes(key: string, service: SeenService, state: BalancerState): BalancerPlan {
  const { claims, reserved, nodes } = state;
  const wanted = portClaims(service);
  const taken = wanted.flatMap((port) => {
    const holder = claims.holder(port);
    if (holder !== undefined && holder !== key) return [`${port} by Service ${holder}`];
    const own = port.endsWith("/TCP") ? reserved.get(Number.parseInt(port, 10)) : undefined;
    return own === undefined ? [] : [`${port} by ${own}`];
  });
  if (taken.length > 0)
    return { ingress: [], claims: [], failure: `ports of the nodes are taken: ${taken.join(", ")}`, isPortTaken: true };
  const ingress = familiesOf(service).flatMap((family) =>
    nodes.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1)).flatMap((node) => addressesOf(node, family)),
  );
  return { ingress: [...new Set(ingress)].map(virtual), claims: wanted };
}

/** Those that are known outside, else those inside. */
function addressesOf({ status }: SeenNode, family: Family): string[] {
  const of = (type: string) =>
    (status?.addresses ?? [])
      .filter((each) => each.type === type && familyOf(each.address) === family)
      .map(({ address }) => address);
  const external = of("ExternalIP");
  return external.length > 0 ? external : of("InternalIP").slice(0, 1);
}

/** The same for the same nodes, evenly spread over addresses; when a node goes, only its own addresses move. */
export function announcerOf(address: string, nodes: readonly SeenNode[]): string | undefined {
  const weight = (name: string) => createHash("sha256").update(`${address} ${name}`).digest("hex");
  return nodes
    .map((node) => nameOf(node))
    .map((name) => ({ name, weight: weight(name) }))
    .sort((a, b) => (a.weight < b.weight ? -1 : 1))[0]?.name;
}

export const reservedPorts = (
  nodes: readonly SeenNode[],
  apiservers: Seen<EndpointSlice> | undefined,
): Map<number, string> =>
  new Map([
    ...nodes.flatMap((node): [number, string][] => {
      const port = kubeletPort(node);
      return port ? [[port, "the kubelet"]] : [];
    }),
    ...(apiservers?.ports ?? []).flatMap(({ port }): [number, string][] => (port ? [[port, "the API server"]] : [])),
  ]);
