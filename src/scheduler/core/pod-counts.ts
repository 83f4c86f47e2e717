/**
 * How many pods that a selector matches are on each node. Spreading asks this again and again with the few selectors of the workloads
 * that grow just now, so a count is made once and then kept up to date pod by pod, instead of looking at every pod each time.
 */
import type { LabelMatcher } from "#machinery";
import type { NodeInfo } from "./node-info.ts";
import type { PodInfo } from "./pod-info.ts";

/** Counts kept; each costs a match for every pod that comes or goes in its namespace. */
const countsMax = 64;

export interface PodQuery {
  readonly namespace: string;
  readonly selector: LabelMatcher;
  /** Whether pods that are being deleted count. */
  readonly terminating: boolean;
}

/** Nodes without a match are missing. */
export type NodeCounts = ReadonlyMap<NodeInfo, number>;

interface Kept {
  readonly query: PodQuery;
  readonly counts: Map<NodeInfo, number>;
}

export class PodCounts {
  /** By query, the one used longest ago first. */
  readonly #kept = new Map<string, Kept>();

  get(query: PodQuery, nodes: Iterable<NodeInfo>): NodeCounts {
    const key = `${query.namespace}\0${query.terminating}\0${query.selector.nothing}\0${query.selector}`;
    let kept = this.#kept.get(key);
    if (kept) this.#kept.delete(key);
    else {
      kept = { query, counts: new Map() };
      for (const node of nodes) for (const pod of node.pods.values()) count(kept, { pod, node, by: 1 });
    }
    this.#kept.set(key, kept);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > countsMax && oldest !== undefined) this.#kept.delete(oldest);
    return kept.counts;
  }

  /** A pod came to a node (1) or left it (-1). */
  change(pod: PodInfo, node: NodeInfo, by: 1 | -1): void {
    for (const kept of this.#kept.values()) count(kept, { pod, node, by });
  }
}

function count({ query, counts }: Kept, { pod, node, by }: { pod: PodInfo; node: NodeInfo; by: 1 | -1 }): void {
  if (!matches(query, pod)) return;
  const sum = (counts.get(node) ?? 0) + by;
  if (sum === 0) counts.delete(node);
  else counts.set(node, sum);
}

function matches({ namespace, selector, terminating }: PodQuery, { namespace: own, pod }: PodInfo): boolean {
  if (own !== namespace || (!terminating && pod.metadata.deletionTimestamp)) return false;
  return selector.matches(pod.metadata.labels);
}
