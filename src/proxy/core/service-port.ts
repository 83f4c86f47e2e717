/** One port of one service with the endpoints behind it: what the rules are made from. Pure. */
import { isIP } from "node:net";
import type { EndpointSlice, ObjectMeta, Service } from "#api";
import type { DeepReadonly } from "#machinery";

export interface ProxyEndpoint {
  readonly address: string;
  readonly port: number;
}

export interface ServicePort {
  /** `namespace/name/protocol/port-name`, unique and stable. */
  readonly id: string;
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly port: number;
  readonly clusterAddresses: readonly string[];
  /** external addresses and load-balancer addresses */
  readonly externalAddresses: readonly string[];
  /** 0: none. */
  readonly nodePort: number;
  /** 0: none. */
  readonly affinitySeconds: number;
  readonly internalLocal: boolean;
  readonly externalLocal: boolean;
  /** Those that may be used, sorted, so that equal states give equal rules. */
  readonly endpoints: readonly ProxyEndpoint[];
  /** Those on this node, for policies that keep traffic here. */
  readonly localEndpoints: readonly ProxyEndpoint[];
}

/** Somebody else's to serve, whatever the label's value. */
const otherProxyLabel = "service.kubernetes.io/service-proxy-name";
const headlessLabel = "service.kubernetes.io/headless";
const hasLabel = ({ labels }: DeepReadonly<ObjectMeta>, label: string): boolean => labels?.[label] !== undefined;

const affinitySecondsDefault = 10_800;

/** IPv4 only: a cluster of this project has one family. Headless and external-name services have no ports to proxy. */
export function servicePorts(
  service: DeepReadonly<Service>,
  slices: readonly DeepReadonly<EndpointSlice>[],
  nodeName: string,
): ServicePort[] {
  const { spec, metadata, status } = service;
  if (!spec || spec.type === "ExternalName" || !spec.clusterIP || spec.clusterIP === "None") return [];
  if (hasLabel(metadata, otherProxyLabel)) return [];
  const ipv4 = (addresses: readonly (string | undefined)[]) =>
    addresses.filter((address) => isIP(address ?? "") === 4) as string[]; // only strings are addresses
  const balancer = (status?.loadBalancer?.ingress ?? []).filter(({ ipMode }) => ipMode !== "Proxy").map(({ ip }) => ip);
  const exposed = spec.type === "NodePort" || spec.type === "LoadBalancer";
  return (spec.ports ?? []).map((port) => {
    const protocol = (port.protocol ?? "TCP").toLowerCase() as ServicePort["protocol"]; // validated by the API server
    return {
      id: `${metadata.namespace}/${metadata.name}/${protocol}/${port.name ?? ""}`,
      protocol,
      port: port.port,
      clusterAddresses: ipv4(spec.clusterIPs ?? [spec.clusterIP]),
      externalAddresses: [...new Set(ipv4([...(spec.externalIPs ?? []), ...balancer]))],
      nodePort: exposed ? (port.nodePort ?? 0) : 0,
      affinitySeconds:
        spec.sessionAffinity === "ClientIP"
          ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? affinitySecondsDefault)
          : 0,
      internalLocal: spec.internalTrafficPolicy === "Local",
      externalLocal: exposed && spec.externalTrafficPolicy === "Local",
      ...endpointsFor(port.name ?? "", protocol, { slices, nodeName }),
    };
  });
}

/** Ready endpoints; when none is, those that still serve while they end, as upstream falls back: here and everywhere, each for itself. */
function endpointsFor(
  portName: string,
  protocol: string,
  { slices, nodeName }: { slices: readonly DeepReadonly<EndpointSlice>[]; nodeName: string },
): Pick<ServicePort, "endpoints" | "localEndpoints"> {
  const ready = new Map<string, Placed>();
  const serving = new Map<string, Placed>();
  for (const slice of slices) {
    if (slice.addressType !== "IPv4") continue;
    if (hasLabel(slice.metadata, headlessLabel) || hasLabel(slice.metadata, otherProxyLabel)) continue;
    const port = slice.ports?.find(
      (each) => (each.name ?? "") === portName && (each.protocol ?? "TCP").toLowerCase() === protocol,
    )?.port;
    if (port === undefined) continue;
    for (const { addresses, conditions, nodeName: node } of slice.endpoints ?? []) {
      const [address] = addresses;
      if (!address) continue;
      const endpoint = { endpoint: { address, port }, local: node === nodeName };
      if (conditions?.ready !== false) ready.set(`${address}:${port}`, endpoint);
      else if (conditions.serving && conditions.terminating) serving.set(`${address}:${port}`, endpoint);
    }
  }
  const choose = (isWanted: (placed: Placed) => boolean) => {
    const of = (from: Map<string, Placed>) => [...from].filter(([, placed]) => isWanted(placed));
    const found = of(ready);
    return (found.length > 0 ? found : of(serving))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { endpoint }]) => endpoint);
  };
  return { endpoints: choose(() => true), localEndpoints: choose(({ local }) => local) };
}

interface Placed {
  readonly endpoint: ProxyEndpoint;
  readonly local: boolean;
}
