/** The rules of the default scheduler, in upstream's order: a node is rejected by the first that objects. */
import type { Plugins, Profile } from "./framework.ts";
import { imageLocality } from "./plugins/image-locality.ts";
import { interPodAffinityFilter, interPodAffinityScore } from "./plugins/inter-pod-affinity.ts";
import { nodeAffinityFilter, nodeAffinityScore } from "./plugins/node-affinity.ts";
import { nodeName } from "./plugins/node-name.ts";
import { nodePorts } from "./plugins/node-ports.ts";
import { balancedAllocation, nodeResourcesFit, nodeResourcesScore } from "./plugins/node-resources.ts";
import { nodeUnschedulable } from "./plugins/node-unschedulable.ts";
import { taintTolerationFilter, taintTolerationScore } from "./plugins/taint-toleration.ts";
import { nodeVolumeLimits } from "./plugins/node-volume-limits.ts";
import { topologySpreadFilter, topologySpreadScore } from "./plugins/topology-spread.ts";
import { volumeBinding } from "./plugins/volume-binding.ts";
import { volumeRestrictions } from "./plugins/volume-restrictions.ts";
import { volumeZone } from "./plugins/volume-zone.ts";

export const defaultPlugins: Plugins = {
  filters: [
    nodeUnschedulable,
    nodeName,
    taintTolerationFilter,
    nodeAffinityFilter,
    nodePorts,
    nodeResourcesFit,
    volumeRestrictions,
    nodeVolumeLimits,
    volumeBinding,
    volumeZone,
    topologySpreadFilter,
    interPodAffinityFilter,
  ],
  scores: [
    taintTolerationScore,
    nodeAffinityScore,
    nodeResourcesScore,
    topologySpreadScore,
    interPodAffinityScore,
    balancedAllocation,
    imageLocality,
  ],
};

export const defaultProfile: Profile = { ...defaultPlugins, schedulerName: "default-scheduler", preempts: true };
