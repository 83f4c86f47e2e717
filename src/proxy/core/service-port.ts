/**
 * One port of one service in one address family, with the endpoints behind it: what any kind of proxy is made from. Pure.
 * Follows upstream's pkg/proxy/serviceport.go and servicechangetracker.go.
 */
import { type EndpointSlice, parseCidr, printIp, type Service } from "#api";
import type { DeepReadonly } from "#machinery";
import {
  candidates,
  canonicalAddress,
  type Choice,
  chooseEndpoints,
  endpointName,
  type Family,
  type NodePlace,
} from "./endpoints.ts";

export interface ServicePort extends Choice {
  /** `namespace/name/protocol/port-name`: one of each family may have it. */
  readonly id: string;
  readonly family: Family;
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly port: number;
  /** Host ports have none. */
  readonly clusterAddress?: string | undefined;
  readonly externalAddresses: readonly string[];
  /** Of load balancers that leave the packet's destination as it is (`ipMode: VIP`). */
  readonly balancerAddresses: readonly string[];
  /** Who may use the load balancer's addresses; empty: anyone. */
  readonly sourceRanges: readonly string[];
  /** 0: none. */
  readonly nodePort: number;
  /** Answered at every address of this node; 0: none. */
  readonly hostPort?: number;
  /** 0: none. */
  readonly affinitySeconds: number;
  readonly internalLocal: boolean;
  readonly externalLocal: boolean;
  /** 0: none. */
  readonly healthCheckNodePort: number;
  /** `address:port` of all that serve, wherever they are and whatever policies say: UDP flows to them may go on. UDP only. */
  readonly serving: readonly string[];
  /** Addresses of ready endpoints on this node; only with a health check. */
  readonly localReady: readonly string[];
}

/** Somebody else's to serve, whatever the label's value. */
const otherProxyLabel = "service.kubernetes.io/service-proxy-name";
const affinitySecondsDefault = 10_800;
const none: readonly string[] = [];

/** Headless and external-name services have no ports to proxy. */
export function servicePorts(
  service: DeepReadonly<Service>,
  slices: readonly DeepReadonly<EndpointSlice>[],
  place: NodePlace,
): ServicePort[] {
  const { spec, metadata } = service;
  if (!spec || spec.type === "ExternalName" || !spec.clusterIP || spec.clusterIP === "None") return [];
  if (metadata.labels?.[otherProxyLabel] !== undefined) return [];
  return (spec.clusterIPs ?? [spec.clusterIP]).flatMap((clusterIp) => {
    const address = canonicalAddress(clusterIp);
    return address ? portsOf(service, address, { slices, place }) : [];
  });
}

function portsOf(
  { metadata, spec, status }: DeepReadonly<Service>,
  { family, text: clusterAddress }: { family: Family; text: string },
  { slices, place }: { slices: readonly DeepReadonly<EndpointSlice>[]; place: NodePlace },
): ServicePort[] {
  if (!spec) return [];
  const externalAddresses = addressesOf(spec.externalIPs ?? none, family);
  const balancerAddresses = addressesOf(
    (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, ipMode = "VIP" }) => (ip && ipMode === "VIP" ? [ip] : [])),
    family,
  );
  const isExposed = spec.type === "NodePort" || spec.type === "LoadBalancer";
  const internalLocal = spec.internalTrafficPolicy === "Local";
  const externalLocal = (isExposed || externalAddresses.length > 0) && spec.externalTrafficPolicy === "Local";
  const healthCheckNodePort = spec.type === "LoadBalancer" && externalLocal ? (spec.healthCheckNodePort ?? 0) : 0;
  const affinitySeconds =
    spec.sessionAffinity === "ClientIP"
      ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? affinitySecondsDefault)
      : 0;
  const sourceRanges = rangesOf(spec.loadBalancerSourceRanges ?? none, family);
  return (spec.ports ?? []).map(({ name = "", protocol: wireProtocol = "TCP", port, nodePort = 0 }) => {
    const protocol = wireProtocol.toLowerCase() as ServicePort["protocol"]; // validated by the API server
    const all = candidates(slices, { family, protocol, portName: name, nodeName: place.nodeName });
    const isOuter = nodePort !== 0 || externalAddresses.length + balancerAddresses.length > 0;
    const wanted = { cluster: !internalLocal || isOuter, local: internalLocal || (externalLocal && isOuter) };
    return {
      id: `${metadata.namespace}/${metadata.name}/${protocol}/${name}`,
      family,
      protocol,
      port,
      clusterAddress,
      externalAddresses,
      balancerAddresses,
      sourceRanges,
      nodePort,
      affinitySeconds,
      internalLocal,
      externalLocal,
      healthCheckNodePort,
      ...chooseEndpoints(all, wanted, place),
      serving: protocol === "udp" ? all.filter(({ serving }) => serving).map(endpointName) : none,
      localReady:
        healthCheckNodePort === 0
          ? none
          : [...new Set(all.filter(({ ready, local }) => ready && local).map(({ address }) => address))],
    };
  });
}

/** Those of the family, each once, without what isn't an address: old API servers took anything. */
function addressesOf(texts: readonly string[], family: Family): readonly string[] {
  if (texts.length === 0) return none;
  const found = texts.map(canonicalAddress).filter((address) => address?.family === family);
  return [...new Set(found.map((address) => address?.text ?? ""))];
}

/** Networks of the family; a range of everything is as good as none. */
function rangesOf(texts: readonly string[], family: Family): readonly string[] {
  const ranges: string[] = [];
  for (const text of texts) {
    const network = parseCidr(text.trim());
    if (network?.address.family !== family) continue;
    if (network.prefixBits === 0) return none;
    const bytes = network.address.bytes.map((byte, at) => {
      const bits = Math.min(8, Math.max(0, network.prefixBits - 8 * at));
      return byte & (0xff00 >> bits) & 0xff;
    });
    ranges.push(`${printIp({ family, bytes })}/${network.prefixBits}`);
  }
  return ranges;
}
