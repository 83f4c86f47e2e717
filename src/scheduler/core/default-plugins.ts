/** The rules of the default scheduler, in upstream's order: a node is rejected by the first that objects. */
import type { Plugins } from "./framework.ts";
import { imageLocality } from "./plugins/image-locality.ts";
import { nodeAffinityFilter, nodeAffinityScore } from "./plugins/node-affinity.ts";
import { nodeName } from "./plugins/node-name.ts";
import { nodePorts } from "./plugins/node-ports.ts";
import { balancedAllocation, nodeResourcesFit, nodeResourcesScore } from "./plugins/node-resources.ts";
import { nodeUnschedulable } from "./plugins/node-unschedulable.ts";
import { taintTolerationFilter, taintTolerationScore } from "./plugins/taint-toleration.ts";

export const defaultPlugins: Plugins = {
  filters: [nodeUnschedulable, nodeName, taintTolerationFilter, nodeAffinityFilter, nodePorts, nodeResourcesFit],
  scores: [taintTolerationScore, nodeAffinityScore, nodeResourcesScore, balancedAllocation, imageLocality],
};
