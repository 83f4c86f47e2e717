/** Whether a pod's spec allows a node: `nodeSelector` and required node affinity. */
import type { NodeSelectorRequirement, NodeSelectorTerm, PodSpec } from "#api";
import type { SeenNode } from "./nodes.ts";
import { nameOf, type Seen } from "./objects.ts";

export function allowsNode(spec: Seen<PodSpec>, node: SeenNode): boolean {
  const labels = node.metadata.labels ?? {};
  for (const [key, value] of Object.entries(spec.nodeSelector ?? {})) if (labels[key] !== value) return false;
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || required.nodeSelectorTerms.some((term) => termMatches(term, node));
}

/** All of its requirements; a term without any matches nothing. */
function termMatches({ matchExpressions = [], matchFields = [] }: Seen<NodeSelectorTerm>, node: SeenNode): boolean {
  if (matchExpressions.length + matchFields.length === 0) return false;
  const labels = node.metadata.labels ?? {};
  return (
    matchExpressions.every((requirement) => matches(requirement, labels[requirement.key])) &&
    matchFields.every((requirement) => requirement.key === "metadata.name" && matches(requirement, nameOf(node)))
  );
}

function matches({ operator, values = [] }: Seen<NodeSelectorRequirement>, value: string | undefined): boolean {
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    case "Gt":
    case "Lt": {
      const [bound = ""] = values;
      if (!isInteger(value) || !isInteger(bound)) return false;
      return operator === "Gt" ? BigInt(value) > BigInt(bound) : BigInt(value) < BigInt(bound);
    }
    default:
      return false;
  }
}

const isInteger = (text: string | undefined): text is string => text !== undefined && /^-?[0-9]+$/.test(text);
