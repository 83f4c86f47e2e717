/**
 * What a kubelet is told: `--kubelet-config FILE` of a cluster's own node, and for a kubelet alone the flags of upstream's. The file's
 * drop-ins go before the file, flags before both.
 */
import { isDeepStrictEqual } from "node:util";
import type { FlagSpec, FlagSpecs, FlagValues } from "#base";
import {
  applyFlags,
  checkNodeLabels,
  configurationFlags,
  defaultConfiguration,
  isBooleanFlag,
  type KubeletConfiguration,
  readConfiguration,
} from "#kubelet";
import { ConfigurationError } from "#machinery";
import { CommandError } from "./command.ts";
import { list, text } from "./flag-spec.ts";

export const kubeletFlags = {
  "kubelet-config": text(
    "FILE",
    "A KubeletConfiguration (kubelet.config.k8s.io/v1beta1) for the node. `sampan kubelet` takes it as --config too.",
  ),
  "config-dir": text("PATH", "Folder of drop-ins (*.conf) that go before it, in order of their names."),
  "node-labels": list("KEY=VALUE", "Labels that the node registers itself with."),
  "enable-cadvisor-json-endpoints": {
    type: "bool",
    default: false as boolean,
    help: "Answer /stats/… and /spec/ on the node's server as Kubernetes 1.0 did.",
  },
  "pod-manifest-path": text("PATH", "Folder of static pods, or one file (staticPodPath)."),
} as const satisfies FlagSpecs;

/** For a kubelet alone: upstream's other flags, each of which stands for a field. */
export const fieldFlags: FlagSpecs = Object.fromEntries(
  Object.entries(configurationFlags).map(([flag, field]): [string, FlagSpec] => {
    const help = `${field} of the KubeletConfiguration.`;
    return [
      flag,
      isBooleanFlag(flag)
        ? { type: "bool", either: true, help }
        : { type: "strings", whole: true, value: "TEXT", help },
    ];
  }),
);

type Values = FlagValues<typeof kubeletFlags> & Readonly<Record<string, unknown>>;

interface Standard {
  /** When nothing names others. */
  readonly clusterDNS: readonly string[];
  /** Those that stand for fields. */
  readonly flags?: readonly string[];
  readonly warn: (message: string) => void;
}

/** Of `up`, whose other flags of these names are for the API server. */
const clusterFlags = ["cluster-domain", "container-runtime-endpoint", "pod-manifest-path"];

/** Throws CommandError about what can't be used. */
export async function readKubeletFlags(
  values: Values,
  { clusterDNS, flags = clusterFlags, warn }: Standard,
): Promise<KubeletConfiguration> {
  try {
    const configuration = await readConfiguration({
      file: values["kubelet-config"],
      dropIns: values["config-dir"],
      flags: (configuration) => applyFlags(configuration, givenTexts(values, flags)),
      warn: (message) => warn(message),
    });
    if (configuration.clusterDNS.length === 0) configuration.clusterDNS = [...clusterDNS];
    configuration.clusterDomain ||= "cluster.local";
    return configuration;
  } catch (error) {
    throw error instanceof ConfigurationError ? new CommandError(error.message) : error;
  }
}

/** How many images `up` pulls at once. */
const pullsMax = 5;

/**
 * What nobody says about the node of somebody's own machine. Its disk is often fuller than a server's may be, and not the cluster's to
 * clean up: no share of it counts. It may swap; containers don't. One slow registry must not hold up all pods, nor may a pull fail because
 * others have just begun. What a file says goes before; what it leaves out of the last kind is as upstream.
 */
export function suitOwnMachine(configuration: KubeletConfiguration, { hasFile }: { hasFile: boolean }): void {
  const usual = defaultConfiguration();
  if (isDeepStrictEqual(configuration.evictionHard, usual.evictionHard))
    Object.assign(configuration.evictionHard, { "nodefs.available": "1Gi", "imagefs.available": "1Gi" });
  if (configuration.imageGCHighThresholdPercent === usual.imageGCHighThresholdPercent)
    Object.assign(configuration, { imageGCHighThresholdPercent: 100, imageGCLowThresholdPercent: 99 });
  if (hasFile) return;
  const pulls = { serializeImagePulls: false, maxParallelImagePulls: pullsMax, registryPullQPS: 0 };
  Object.assign(configuration, { failSwapOn: false, ...pulls });
}

/** As typed: what flags mean is told by their fields. */
const givenTexts = (values: Values, flags: readonly string[]): Record<string, string[]> =>
  Object.fromEntries(
    flags.filter((name) => values[name] !== undefined).map((name) => [name, [values[name]].flat().map(String)]),
  );

/** `--node-labels`. Throws CommandError. */
export function readNodeLabels(pairs: readonly string[]): Record<string, string> {
  const labels = Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      return at < 0 ? [pair.trim(), ""] : [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
    }),
  );
  try {
    checkNodeLabels(labels);
  } catch (error) {
    throw error instanceof ConfigurationError ? new CommandError(error.message) : error;
  }
  return labels;
}
