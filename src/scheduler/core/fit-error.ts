/** Why no node takes a pod, in the words that people search for. */
import type { Rejection } from "./framework.ts";
import type { NodeInfo } from "./node-info.ts";

export interface FitFailure {
  readonly nodeCount: number;
  /** How many nodes each rejection met. */
  readonly rejections: ReadonlyMap<Rejection, number>;
  /** Rejected before any node was looked at: the same for all. */
  readonly impossible?: Rejection;
  /** The rules that objected; events that can change their mind make the pod worth another try. */
  readonly plugins: ReadonlySet<string>;
  /** Nodes that removing pods could help. */
  readonly resolvable: readonly NodeInfo[];
}

export const noNodesMessage = "no nodes available to schedule pods";

/** `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.` */
export function printFitFailure(failure: Pick<FitFailure, "nodeCount" | "rejections" | "impossible">): string {
  const { nodeCount, rejections, impossible } = failure;
  if (nodeCount === 0) return noNodesMessage;
  const head = `0/${nodeCount} nodes are available:`;
  if (impossible) return `${head} ${impossible.reasons.join(", ")}.`;
  const counts = new Map<string, number>();
  for (const [{ reasons }, nodes] of rejections) {
    for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + nodes);
  }
  const parts = [...counts].map(([reason, nodes]) => `${nodes} ${reason}`);
  // By bytes, as Go sorts.
  parts.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  return parts.length === 0 ? head : `${head} ${parts.join(", ")}.`;
}
