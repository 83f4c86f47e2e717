/** Node: a machine that runs pods, as its kubelet reports it. Follows upstream's registry/core/node. */
import { cidrWarnings } from "../ip-warnings.ts";
import { defineKind, type Strategy } from "../kind.ts";
import { Place } from "../place.ts";
import { roundResources } from "../pod-spec/default-resources.ts";
import { setOrDelete } from "../strategy.ts";
import type { Node, NodeSpec } from "../types.d.ts";
import { nodeColumns } from "./node/columns.ts";
import { validateNode, validateNodeChange } from "./node/validate.ts";

/** The single range and the list say the same; where they differ, the older field counts. */
function shareRanges(spec: NodeSpec): void {
  const { podCIDR, podCIDRs = [] } = spec;
  if (podCIDR && podCIDR !== podCIDRs[0]) spec.podCIDRs = [podCIDR];
  else if (!podCIDR && podCIDRs[0]) spec.podCIDR = podCIDRs[0];
}

function nodeWarnings({ spec }: Node): string[] {
  const warnings: string[] = [];
  if (spec?.configSource) warnings.push("spec.configSource: the feature is removed");
  if (spec?.externalID) warnings.push("spec.externalID: this field is deprecated, and is unused by Kubernetes");
  const at = Place.root("spec").child("podCIDRs");
  spec?.podCIDRs?.forEach((range, i) => {
    warnings.push(...cidrWarnings(range, at.index(i)));
  });
  return warnings;
}

const statusStrategy: Strategy<Node> = {
  resetFields: ["spec"],
  prepareForUpdate(node, old) {
    setOrDelete(node, { spec: old.spec });
    if (node.status && !old.status?.config) delete node.status.config;
  },
  validateUpdate: validateNodeChange,
};

export const nodeKind = defineKind<Node>({
  group: "",
  kind: "Node",
  resource: "nodes",
  storageVersion: "v1",
  resetFields: ["status"],

  defaults({ spec, status }) {
    if (spec) shareRanges(spec);
    if (!status) return;
    roundResources(status.capacity);
    roundResources(status.allocatable);
    if (status.capacity) status.allocatable ??= { ...status.capacity };
  },
  // A kubelet registers with its status.
  prepareForCreate({ spec, status }) {
    delete spec?.configSource;
    delete status?.config;
  },
  prepareForUpdate(node, old) {
    setOrDelete(node, { status: old.status });
    if (node.spec && !old.spec?.configSource) delete node.spec.configSource;
  },
  validate: validateNode,
  // Upstream checks some things twice and says so twice.
  validateUpdate: (node, old) => [...validateNode(node), ...validateNodeChange(node, old)],
  warningsOnCreate: nodeWarnings,
  warningsOnUpdate: nodeWarnings,

  subresources: { status: statusStrategy },

  selectableFieldNames: ["spec.unschedulable"],
  selectableFields: ({ spec }) => ({ "spec.unschedulable": String(spec?.unschedulable ?? false) }),
  // Upstream lists the fields of this kind, and forgot this one.
  selectableField: (field) => (field === "metadata.namespace" ? undefined : field),
  unknownField: (field) => `field label not supported: ${field}`,
  columns: nodeColumns,
});
