/** What of a KubeProxyConfiguration the proxy's core needs, under its names and with its defaults for nftables. */

/** How packets of this node's pods are told from others. */
export interface DetectLocal {
  readonly mode: "ClusterCIDR" | "NodeCIDR" | "BridgeInterface" | "InterfaceNamePrefix";
  /** For `ClusterCIDR`: the first of each family counts. None of a family: pods are not told from others there. */
  readonly clusterCidrs: readonly string[];
  /** For `BridgeInterface`. */
  readonly bridgeInterface: string;
  /** For `InterfaceNamePrefix`. */
  readonly interfaceNamePrefix: string;
}

export interface ProxySettings {
  /** CIDRs of the addresses node ports answer at; `["primary"]`: the node's own addresses as its status tells; none: all local ones. */
  readonly nodePortAddresses: readonly string[];
  readonly detectLocal: DetectLocal;
  readonly masqueradeAll: boolean;
  /** Bit of the packet mark that asks for masquerading, 0 to 31. */
  readonly masqueradeBit: number;
  /** The least time between two transactions; what comes meanwhile goes into one. */
  readonly minSyncPeriodMs: number;
  /** How often the table is looked for, and at most how long until a refused transaction is tried again. */
  readonly syncPeriodMs: number;
  /** Ranges of pods whose traffic to outside of these ranges gets the node's address. Not upstream's: there the pod network does it. */
  readonly masqueradePodCidrs: readonly string[];
  /** Ranges of Service addresses to guard until the ServiceCIDR objects are known, or where there are none (before 1.33). */
  readonly serviceCidrs: readonly string[];
}

export const proxySettings = (given: Partial<ProxySettings> = {}): ProxySettings => ({
  nodePortAddresses: ["primary"],
  detectLocal: { mode: "ClusterCIDR", clusterCidrs: [], bridgeInterface: "", interfaceNamePrefix: "" },
  masqueradeAll: false,
  masqueradeBit: 14,
  minSyncPeriodMs: 0,
  syncPeriodMs: 30_000,
  masqueradePodCidrs: [],
  serviceCidrs: [],
  ...given,
});
