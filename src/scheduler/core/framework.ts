/**
 * What a rule of the scheduler is. Rules carry the names of upstream's plugins, because messages, metrics and configuration do.
 * A rule prepares itself for a pod and is then asked node by node; one that has nothing to say about a pod answers
 * undefined, so most pods cost only the rules they use.
 */
import type { ResourceClaim } from "#api";
import type { DeepReadonly } from "#machinery";
import type { ClusterState } from "./cluster-state.ts";
import type { NodeInfo } from "./node-info.ts";
import type { PodInfo } from "./pod-info.ts";

/** Why a node can't take a pod. Rules answer the same object for the same reason, so that nodes can be counted by it. */
export interface Rejection {
  /** As in "3 <reason>". */
  readonly reasons: readonly string[];
  /** Whether removing pods from the node could help. */
  readonly isResolvable: boolean;
}

export const rejection = (isResolvable: boolean, ...reasons: string[]): Rejection => ({ isResolvable, reasons });

/** A rule can't say whether a pod fits: what it asks for makes no sense. The pod is tried again later. */
export class RuleError extends Error {
  override name = "RuleError";
}

export type NodeFilter = (node: NodeInfo) => Rejection | undefined;

export interface PreparedFilter {
  readonly filter?: NodeFilter;
  /** Only these nodes can match, so that the others need not be looked at (the pods of a DaemonSet). */
  readonly onlyNodes?: ReadonlySet<string>;
  /** No node can match. */
  readonly impossible?: Rejection;
  /** A pod came to a node (1) or left it (-1) since; for what was prepared from pods of all nodes. */
  update?(pod: PodInfo, node: NodeInfo, by: 1 | -1): void;
}

/** Something that happened and may let pods fit that didn't. */
export type ClusterEvent =
  | { readonly kind: "node-added"; readonly node: NodeInfo }
  | { readonly kind: "node-updated"; readonly node: NodeInfo; readonly changed: NodeChange }
  | { readonly kind: "node-deleted"; readonly labels: Readonly<Record<string, string>> }
  /** On a node, as are the others. */
  | { readonly kind: "pod-added"; readonly pod: PodInfo }
  | { readonly kind: "pod-updated"; readonly pod: PodInfo; readonly changed: PodChange }
  | { readonly kind: "pod-deleted"; readonly pod: PodInfo }
  /** `key`: `namespace/name`. */
  | { readonly kind: "claim-changed"; readonly key: string }
  /** A resource claim; without `old` it is new. */
  | { readonly kind: "device-claim-changed"; readonly claim: DeviceClaim; readonly old: DeviceClaim | undefined }
  /** A class or slice came or changed. */
  | { readonly kind: "devices-changed" }
  | {
      readonly kind: "storage-changed";
      readonly resource: StorageResource;
      readonly type: "added" | "updated" | "deleted";
    };

type DeviceClaim = DeepReadonly<ResourceClaim>;

export type StorageResource = "volume" | "class" | "csi-node" | "csi-driver" | "capacity" | "attachment";

export interface NodeChange {
  readonly allocatable: boolean;
  readonly labels: boolean;
  readonly taints: boolean;
  readonly unschedulable: boolean;
  readonly declaredFeatures: boolean;
}

export interface PodChange {
  readonly labels: boolean;
  /** It uses less than before. */
  readonly scaledDown: boolean;
}

export interface FilterPlugin {
  readonly name: string;
  prepare(pod: PodInfo, state: ClusterState): PreparedFilter | undefined;
  /** Why the pod isn't even tried; its events end that. Upstream's PreEnqueue. */
  holds?(pod: PodInfo, state: ClusterState): string | undefined;
  /** What may change its mind; `helps` is asked about nothing else. */
  readonly events: readonly ClusterEvent["kind"][];
  /**
   * What it does when no node passed, before a search for victims; answers what it did or why it could do nothing.
   * Upstream's PostFilter.
   */
  afterFailure?(pod: PodInfo, state: ClusterState): string;
  /** Whether the event may let a pod fit that this rule rejected. When in doubt, yes. */
  helps(event: ClusterEvent, pod: PodInfo, state: ClusterState): boolean;
}

/** Scores are whole numbers from 0 to 100 after `normalize`. */
export const scoreMax = 100;

export interface PreparedScore {
  readonly score: (node: NodeInfo) => number;
  readonly normalize?: (scores: Float64Array) => void;
}

export interface ScorePlugin {
  readonly name: string;
  readonly weight: number;
  /** Undefined when all nodes would score the same. */
  prepare(pod: PodInfo, state: ClusterState, nodes: readonly NodeInfo[]): PreparedScore | undefined;
}

export interface Plugins {
  readonly filters: readonly FilterPlugin[];
  readonly scores: readonly ScorePlugin[];
}

/** DefaultPreemptionArgs: nodes that suffice as candidates, this share and at least so many. */
export interface CandidateLimits {
  readonly minCandidateNodesPercentage: number;
  readonly minCandidateNodesAbsolute: number;
}

/** How pods that name it in `spec.schedulerName` are scheduled. */
export interface Profile extends Plugins {
  readonly schedulerName: string;
  /** Whether pods may be removed for more important ones. */
  readonly preempts: boolean;
  /** How many nodes a search for victims looks at. */
  readonly candidates: CandidateLimits;
  /** How long a pod waits for its volumes before it is tried elsewhere. */
  readonly bindTimeoutMs: number;
  /** Of the nodes, how many with room are enough; undefined: the more nodes, the smaller a share. */
  readonly percentageOfNodesToScore?: number;
}

/** Scales to 0…100 by the highest; `reverse`: the highest becomes the worst. */
export function normalizeByMax(scores: Float64Array, reverse = false): void {
  let max = 0;
  for (const score of scores) if (score > max) max = score;
  for (let index = 0; index < scores.length; index++) {
    const scaled = max === 0 ? 0 : Math.trunc((scoreMax * (scores[index] ?? 0)) / max);
    scores[index] = reverse ? scoreMax - scaled : scaled;
  }
}
