/** What the parts of a node's network (proxy, DNS, policies, routes) are given, and what such a part is. */
import type { Clock, Logger } from "#base";
import type { Client, InformerSet } from "#client";
import type { NetworkMode, NodeNetwork } from "#network";

/** The same on all nodes of a cluster. */
export interface ClusterSettings {
  /** Of pods: one range of each family at most, with commas between. */
  readonly clusterCidr: string;
  /** Of Services, likewise. */
  readonly serviceCidr: string;
  readonly clusterDomain: string;
  /** Cluster address of the DNS service. */
  readonly dnsAddress: string;
  /** Who carries pods' packets between nodes; `auto` when missing. */
  readonly network?: NetworkMode;
}

export interface NodeContext {
  readonly nodeName: string;
  readonly settings: ClusterSettings;
  /** One of the choices of `--proxy-mode`; `nftables` when missing. */
  readonly proxyMode?: string;
  /** Acts as the node: role `sampan:node-network` beside that of every node. */
  readonly client: Client;
  /** One cache for all parts. Ask before the first await, or lazily for what few clusters use. */
  readonly informers: InformerSet;
  /** Known once the node has its part of the pods' addresses. */
  readonly network: Promise<NodeNetwork>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Resolves when the signal aborted and all has ended; rejects when it can't go on. */
export type NodePart = (context: NodeContext, signal: AbortSignal) => Promise<void>;
