/** The rules of the default scheduler, in upstream's order: a node is rejected by the first that objects. */
import type { NodeAffinity } from "#api";
import type { DeepReadonly } from "#machinery";
import type { CandidateLimits, Plugins, Profile } from "./framework.ts";
import { dynamicResourcesFilter, dynamicResourcesScore } from "./plugins/dynamic-resources.ts";
import { imageLocality } from "./plugins/image-locality.ts";
import {
  createInterPodAffinityScore,
  defaultInterPodAffinity,
  type InterPodAffinityArguments,
  interPodAffinityFilter,
} from "./plugins/inter-pod-affinity.ts";
import { createNodeAffinityFilter, createNodeAffinityScore } from "./plugins/node-affinity.ts";
import { nodeDeclaredFeatures } from "./plugins/node-declared-features.ts";
import { nodeName } from "./plugins/node-name.ts";
import { nodePorts } from "./plugins/node-ports.ts";
import {
  createBalancedAllocation,
  createNodeResourcesFit,
  createNodeResourcesScore,
  defaultFit,
  defaultResources,
  type FitArguments,
  type ResourceWeight,
} from "./plugins/node-resources.ts";
import { nodeUnschedulable } from "./plugins/node-unschedulable.ts";
import { nodeVolumeLimits } from "./plugins/node-volume-limits.ts";
import { taintTolerationFilter, taintTolerationScore } from "./plugins/taint-toleration.ts";
import {
  createTopologySpreadFilter,
  createTopologySpreadScore,
  defaultTopologySpread,
  type TopologySpreadArguments,
} from "./plugins/topology-spread.ts";
import { volumeBinding } from "./plugins/volume-binding.ts";
import { volumeRestrictions } from "./plugins/volume-restrictions.ts";
import { volumeZone } from "./plugins/volume-zone.ts";
import { defaultCandidateLimits } from "./preempt.ts";

/** What `pluginConfig` of a profile says, by rule; the names are upstream's. */
export interface PluginArguments {
  readonly DefaultPreemption: CandidateLimits;
  readonly InterPodAffinity: InterPodAffinityArguments;
  readonly NodeAffinity: { readonly addedAffinity?: DeepReadonly<NodeAffinity> };
  readonly NodeResourcesBalancedAllocation: { readonly resources: readonly ResourceWeight[] };
  readonly NodeResourcesFit: FitArguments;
  readonly PodTopologySpread: TopologySpreadArguments;
  readonly VolumeBinding: { readonly bindTimeoutSeconds: number };
}

export const defaultArguments: PluginArguments = {
  DefaultPreemption: defaultCandidateLimits,
  InterPodAffinity: defaultInterPodAffinity,
  NodeAffinity: {},
  NodeResourcesBalancedAllocation: { resources: defaultResources },
  NodeResourcesFit: defaultFit,
  PodTopologySpread: defaultTopologySpread,
  VolumeBinding: { bindTimeoutSeconds: 600 },
};

export function createPlugins(args: PluginArguments): Plugins {
  const { addedAffinity } = args.NodeAffinity;
  return {
    filters: [
      nodeUnschedulable,
      nodeName,
      taintTolerationFilter,
      createNodeAffinityFilter(addedAffinity),
      nodePorts,
      createNodeResourcesFit(args.NodeResourcesFit),
      volumeRestrictions,
      nodeVolumeLimits,
      volumeBinding,
      volumeZone,
      createTopologySpreadFilter(args.PodTopologySpread),
      interPodAffinityFilter,
      dynamicResourcesFilter,
      nodeDeclaredFeatures,
    ],
    scores: [
      taintTolerationScore,
      createNodeAffinityScore(addedAffinity),
      createNodeResourcesScore(args.NodeResourcesFit),
      createTopologySpreadScore(args.PodTopologySpread),
      createInterPodAffinityScore(args.InterPodAffinity),
      dynamicResourcesScore,
      createBalancedAllocation(args.NodeResourcesBalancedAllocation.resources),
      imageLocality,
    ],
  };
}

export const defaultProfile: Profile = {
  ...createPlugins(defaultArguments),
  schedulerName: "default-scheduler",
  preempts: true,
  candidates: defaultCandidateLimits,
  bindTimeoutMs: 600_000,
};
