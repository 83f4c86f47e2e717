/**
 * Where a port of a Service is listened for (a portal), and who may get what there. Pure. Traffic to the cluster address follows the internal
 * policy, all other the external one; with `Local` there, what comes from this cluster's own nodes and pods may still go anywhere.
 */
import type { Family } from "../core/endpoints.ts";
import type { ServicePort } from "../core/service-port.ts";

/** Which endpoints: all that this node may use, or those on it. */
export type Reach = "cluster" | "local";

export interface Portal {
  /** Unique. */
  readonly key: string;
  readonly protocol: "tcp" | "udp";
  readonly family: Family;
  /** Undefined: addresses of this node. */
  readonly address: string | undefined;
  readonly port: number;
  /** For pods and this node. */
  readonly inside: Reach;
  /** For everyone else. */
  readonly outside: Reach;
  /** Who may; empty: anyone. */
  readonly sourceRanges: readonly string[];
  readonly service: ServicePort;
}

/** No portal where nobody is behind it: the kernel refuses at once. SCTP has no sockets here. */
export function portalsOf(service: ServicePort): Portal[] {
  const { family, protocol, port, clusterEndpoints, localEndpoints, externalLocal, nodePort, hostPort = 0 } = service;
  if (protocol === "sctp") return [];
  const some = { cluster: clusterEndpoints.length > 0, local: localEndpoints.length > 0 };
  const portal = (
    address: string | undefined,
    number: number,
    { inside, outside, sourceRanges = [] }: { inside: Reach; outside: Reach; sourceRanges?: readonly string[] },
  ): Portal[] => {
    if (!some[inside] && !some[outside]) return [];
    const key = `${protocol} ${family} ${address ?? "*"} ${number}`;
    return [{ key, protocol, family, address, port: number, inside, outside, sourceRanges, service }];
  };
  const own = service.internalLocal ? "local" : "cluster";
  const external = { inside: "cluster", outside: externalLocal ? "local" : "cluster" } as const;
  const { clusterAddress, externalAddresses, balancerAddresses, sourceRanges } = service;
  return [
    ...(clusterAddress ? portal(clusterAddress, port, { inside: own, outside: own }) : []),
    ...externalAddresses.flatMap((address) => portal(address, port, external)),
    ...balancerAddresses
      .filter((address) => !externalAddresses.includes(address))
      .flatMap((address) => portal(address, port, { ...external, sourceRanges })),
    ...(nodePort > 0 ? portal(undefined, nodePort, external) : []),
    ...(hostPort > 0 ? portal(undefined, hostPort, external) : []),
  ];
}
