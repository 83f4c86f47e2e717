/** What a node is told when it starts, and what it is given to work with. */
import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import type { Clock, Logger } from "#base";
import type { Client } from "#client";
import { defaultConfiguration, type KubeletConfiguration } from "./config/configuration.ts";
import type { PodView } from "./core/types.ts";

export interface KubeletOptions {
  readonly nodeName: string;
  /** Everything of this node is below: no other node may share it. */
  readonly rootDir: string;
  /** Reported as kubeletVersion: `v1.36.0`. */
  readonly version: string;
  /** Of the CNI plugins; the usual places when missing. */
  readonly cniBinDir?: string;
  /** Archives in this folder are imported as they appear. */
  readonly imagesDir?: string;
  /** Addresses of this node; found out when missing. */
  readonly nodeIPs?: readonly string[];
  /** This node's part of the cluster's addresses; from the node object when missing. */
  readonly podCidrs?: readonly string[];
  /** Name of the pod bridge; `sampan0` when missing. */
  readonly bridge?: string;
  /** Of pods; the kernel's when missing. */
  readonly mtu?: number;
  /** Called with this node's addresses before the runtime is told how to connect pods; what it answers goes before the two above. */
  readonly preparePodNetwork?: (
    podCidrs: readonly string[],
  ) => Promise<{ readonly bridge: string; readonly mtu: number }>;
  /** Whether the node writes CNI configuration; true with a private containerd when missing. */
  readonly managesNetwork?: boolean;
  /** Where drivers describe their devices to runtimes; the usual folders when missing. */
  readonly cdiDirs?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  /** Programs that know passwords of registries: a CredentialProviderConfig (or a folder of them) and the folder of the programs. */
  readonly imageCredentialProvider?: { readonly configFile: string; readonly binDir: string };
  /** Serve `/stats/…` and `/spec/` as Kubernetes 1.0 did. */
  readonly cadvisorJsonEndpoints?: boolean;
  /** What differs from `defaultConfiguration()`. Without a runtime's endpoint a private containerd is started below `rootDir`. */
  readonly config?: Partial<KubeletConfiguration>;
}

export interface KubeletDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  /** A pod has got its addresses; its containers wait until this resolves. */
  readonly podStarts?: ((pod: PodView, addresses: readonly string[]) => Promise<void> | undefined) | undefined;
}

export const defaults = { bridge: "sampan0" } as const;

type Place = Pick<KubeletOptions, "rootDir" | "config">;

/** All that is said, all that isn't, and where logs are when nobody says. */
export const configurationOf = (options: Place): KubeletConfiguration => ({
  ...defaultConfiguration(),
  ...options.config,
  podLogsDir: podLogsOf(options),
});

/** Links for log collectors are beside it in `containers`. */
export const podLogsOf = ({ rootDir, config }: Place): string => config?.podLogsDir || join(rootDir, "logs", "pods");

/** systemd's real resolver configuration, when /etc/resolv.conf, the default, only names its stub on a loopback address. */
export const resolvConfPaths = (given: string): readonly string[] =>
  given === "/etc/resolv.conf" ? ["/run/systemd/resolve/resolv.conf", given] : [given];

/** Nodes of one machine must not take each other's pods for leftovers: each has a cgroup tree named after its folder. */
export const cgroupRootOf = ({ config, rootDir }: Place): string =>
  config?.cgroupRoot
    ? join("/", config.cgroupRoot, "kubepods")
    : `/kubepods-${createHash("sha256").update(resolve(rootDir)).digest("hex").slice(0, 8)}`;
