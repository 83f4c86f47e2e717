/** What a node's network is, and what those are given who work with it. */
import type { Clock, Logger } from "#base";
import type { Client, InformerSet } from "#client";

/** Who carries pods' packets between nodes: host routes where nodes are neighbours and VXLAN elsewhere; one of them; nobody of ours. */
export const networkModes = ["auto", "host-routes", "vxlan", "none"] as const;
export type NetworkMode = (typeof networkModes)[number];

export interface NodeNetwork {
  readonly nodeAddress: string;
  /** One of each family at most, `nodeAddress` first. */
  readonly nodeAddresses: readonly string[];
  /** The bridge's address: gateway of the pods, and where DNS listens. With mode `none` the node's. */
  readonly gateway: string;
  /** One for each of `podCidrs`. */
  readonly gateways: readonly string[];
  /** "" when somebody else connects pods and didn't say. */
  readonly podCidr: string;
  readonly podCidrs: readonly string[];
  /** "" with mode `none`. */
  readonly bridge: string;
  /** Of pods and the bridge. */
  readonly mtu: number;
  readonly mode: NetworkMode;
  /** Of the interface with the node's address. */
  readonly uplinkMtu: number;
  /** A process before this one left routes to other nodes. */
  readonly hasRoutes: boolean;
}

export interface RoutesOptions {
  readonly informers: InformerSet;
  readonly client: Client;
  readonly nodeName: string;
  readonly network: NodeNetwork;
  /** Of pods: routes lead nowhere else. */
  readonly clusterCidrs: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}
