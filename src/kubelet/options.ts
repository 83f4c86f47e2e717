/** What a node is told when it starts, and what it is given to work with. */
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import type { Clock, Logger } from "#base";
import type { Client } from "#client";
import type { KubeletConfiguration } from "./config/configuration.ts";

export interface KubeletOptions {
  readonly nodeName: string;
  /** Everything of this node is below: no other node may share it. */
  readonly rootDir: string;
  /** Of pod logs; `<rootDir>/logs/pods` when missing. Links for log collectors are beside it in `containers`. */
  readonly logDir?: string;
  /** Reported as kubeletVersion: `v1.36.0`. */
  readonly version: string;
  /** CRI socket of a runtime that is there already; without one a private containerd is started below `rootDir`. */
  readonly containerRuntimeEndpoint?: string;
  /** Of the CNI plugins; the usual places when missing. */
  readonly cniBinDir?: string;
  /** Archives in this folder are imported as they appear. */
  readonly imagesDir?: string;
  /** Addresses of this node; found out when missing. */
  readonly nodeIPs?: readonly string[];
  /** This node's part of the cluster's addresses; from the node object when missing. */
  readonly podCidrs?: readonly string[];
  readonly clusterDns: readonly string[];
  readonly clusterDomain: string;
  /** Name of the pod bridge; `sampan0` when missing. */
  readonly bridge?: string;
  /** Whether the node writes CNI configuration; true with a private containerd when missing. */
  readonly managesNetwork?: boolean;
  readonly maxPods?: number;
  /** Root of the pods' cgroups; one that no other node of this machine has when missing. */
  readonly cgroupRoot?: string;
  readonly resolvConf?: string;
  /** Names or prefixes ending in `*`. */
  readonly allowedUnsafeSysctls?: readonly string[];
  /** Where drivers describe their devices to runtimes; the usual folders when missing. */
  readonly cdiDirs?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  /** Of the node's HTTPS server, as others should call it; 0: none. */
  readonly port?: number;
  readonly containerLogBytesMax?: number;
  readonly containerLogFilesMax?: number;
  /** What differs from `defaultConfiguration()`; the options above go before it. */
  readonly config?: Partial<KubeletConfiguration>;
}

export interface KubeletDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
}

export const defaults = {
  maxPods: 110,
  bridge: "sampan0",
  containerLogBytesMax: 10 * 2 ** 20,
  containerLogFilesMax: 5,
} as const;

/** systemd's real resolver configuration, when /etc/resolv.conf only names its stub on a loopback address. */
export const resolvConfPaths = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"] as const;

/** Nodes of one machine must not take each other's pods for leftovers: each has a cgroup tree named after its folder. */
export const cgroupRootOf = ({ cgroupRoot, rootDir }: Pick<KubeletOptions, "cgroupRoot" | "rootDir">): string =>
  cgroupRoot ?? `/kubepods-${createHash("sha256").update(resolve(rootDir)).digest("hex").slice(0, 8)}`;
