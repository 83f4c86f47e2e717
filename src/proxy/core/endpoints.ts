/**
 * Which endpoints of a service's port traffic may go to, from this node. Follows upstream's pkg/proxy/topology.go and
 * endpointslicecache.go. Knows nothing of how packets are sent there.
 */
import { isIPv4 } from "node:net";
import { type EndpointSlice, parseIp, printIp } from "#api";
import type { DeepReadonly } from "#machinery";

export type Family = "IPv4" | "IPv6";

export interface ProxyEndpoint {
  readonly address: string;
  readonly port: number;
  /** On this node. */
  readonly local: boolean;
}

/** Where the proxy runs. */
export interface NodePlace {
  readonly nodeName: string;
  /** Of the node's label `topology.kubernetes.io/zone`; "" without. */
  readonly zone: string;
}

export interface Candidate extends ProxyEndpoint {
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly zones: readonly string[];
  readonly nodes: readonly string[];
}

/** What the policies of a service's port ask for. */
export interface Wanted {
  /** By traffic policy `Cluster`, also for what comes from inside to outer addresses with policy `Local`. */
  readonly cluster: boolean;
  readonly local: boolean;
}

export interface Choice {
  /** Sorted, so that equal states give equal rules; empty when not wanted. */
  readonly clusterEndpoints: readonly ProxyEndpoint[];
  readonly localEndpoints: readonly ProxyEndpoint[];
  /** Somewhere in the cluster, whether or not this node may use it. */
  readonly hasEndpoints: boolean;
}

const headlessLabel = "service.kubernetes.io/headless";

/** An address as it is compared and written: leading zeros are gone. */
export function canonicalAddress(text: string | undefined): { family: Family; text: string } | undefined {
  if (!text) return undefined;
  if (isIPv4(text)) return { family: "IPv4", text };
  const address = parseIp(text);
  return address && { family: address.family, text: printIp(address) };
}

export const endpointName = ({ address, port }: ProxyEndpoint): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;

/** All endpoints of one port in one family, sorted by address and port. An address that a pod on its way out still has is the new pod's. */
export function candidates(
  slices: readonly DeepReadonly<EndpointSlice>[],
  { family, protocol, portName, nodeName }: { family: Family; protocol: string; portName: string; nodeName: string },
): Candidate[] {
  const found = new Map<string, Candidate>();
  for (const slice of slices) {
    if (slice.addressType !== family || slice.metadata.labels?.[headlessLabel] !== undefined) continue;
    for (const port of slice.ports ?? []) {
      if ((port.name ?? "") !== portName || (port.protocol ?? "TCP").toLowerCase() !== protocol || !port.port) continue;
      for (const { addresses, conditions, nodeName: node, hints } of slice.endpoints ?? []) {
        const address = canonicalAddress(addresses[0])?.text;
        if (!address) continue;
        const candidate: Candidate = {
          address,
          port: port.port,
          local: node !== undefined && node === nodeName,
          ready: conditions?.ready !== false,
          serving: conditions?.serving !== false,
          terminating: conditions?.terminating === true,
          zones: hints?.forZones?.map(({ name }) => name) ?? [],
          nodes: hints?.forNodes?.map(({ name }) => name) ?? [],
        };
        const name = endpointName(candidate);
        if (!candidate.terminating || !found.has(name)) found.set(name, candidate);
      }
    }
  }
  return found.size < 2
    ? [...found.values()]
    : [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, candidate]) => candidate);
}

const plain = ({ address, port, local }: Candidate): ProxyEndpoint => ({ address, port, local });
/** Used when nothing is ready. */
const isEnding = ({ serving, terminating }: Candidate) => serving && terminating;

export function chooseEndpoints(all: readonly Candidate[], wanted: Wanted, place: NodePlace): Choice {
  const ready = all.filter((each) => each.ready);
  const choose = (preferred: readonly Candidate[], otherwise: readonly Candidate[]) =>
    (preferred.length > 0 ? preferred : otherwise.filter(isEnding)).map(plain);
  const clusterEndpoints = wanted.cluster ? choose(nearest(ready, place), all) : [];
  const localEndpoints = wanted.local
    ? choose(
        ready.filter(({ local }) => local),
        all.filter(({ local }) => local),
      )
    : [];
  const hasEndpoints = clusterEndpoints.length > 0 || (wanted.local && (ready.length > 0 || all.some(isEnding)));
  return { clusterEndpoints, localEndpoints, hasEndpoints };
}

/** Hints count only when every ready endpoint has them and some are for here: for the node before the zone. */
function nearest(ready: readonly Candidate[], { nodeName, zone }: NodePlace): readonly Candidate[] {
  if (ready.every(({ nodes }) => nodes.length > 0)) {
    const here = ready.filter(({ nodes }) => nodes.includes(nodeName));
    if (here.length > 0) return here;
  }
  if (ready.every(({ zones }) => zones.length > 0)) {
    const here = ready.filter(({ zones }) => zones.includes(zone));
    if (here.length > 0) return here;
  }
  return ready;
}
