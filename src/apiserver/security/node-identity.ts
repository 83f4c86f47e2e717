/** A kubelet is a user named after its node, in the group of nodes; both are needed, as upstream's default node identifier does. */
import type { RequestUser } from "#api";

const prefix = "system:node:";
const nodesGroup = "system:nodes";

/** Undefined: not a node. "": a node that doesn't say which. */
export function nodeIdentity({ name, groups }: RequestUser): string | undefined {
  return name.startsWith(prefix) && groups.includes(nodesGroup) ? name.slice(prefix.length) : undefined;
}
