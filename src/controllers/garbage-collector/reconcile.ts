/** What becomes of an object, given what is known of its owners. Pure. */
import type { OwnerReference } from "#api";
import type { SeenObject } from "../lib/objects.ts";
import { blockingDependents, foregroundFinalizer, type GraphNode, orphanFinalizer } from "./graph.ts";

export type OwnerState =
  /** It is there. */
  | "solid"
  | "absent"
  /** It is going, in the foreground: it waits for its dependents. */
  | "waiting";

export interface OwnerFinding {
  readonly reference: OwnerReference;
  readonly state: OwnerState;
}

export type Verdict =
  | { readonly action: "keep" }
  /** Owners that are gone, or that wait only for this one, are taken off. */
  | { readonly action: "drop-owners"; readonly uids: readonly string[] }
  | {
      readonly action: "delete";
      readonly policy: "Orphan" | "Background" | "Foreground";
      /** Two objects that wait for each other: this one stops blocking its owners first. */
      readonly unblockFirst?: boolean;
    };

export function judge(node: GraphNode, latest: SeenObject, owners: readonly OwnerFinding[]): Verdict {
  if (owners.length === 0) return { action: "keep" };
  const uidsOf = (state: OwnerState) =>
    owners.filter((owner) => owner.state === state).map(({ reference }) => reference.uid);
  const waiting = uidsOf("waiting");
  if (uidsOf("solid").length > 0) {
    const uids = [...uidsOf("absent"), ...waiting];
    return uids.length === 0 ? { action: "keep" } : { action: "drop-owners", uids };
  }
  if (waiting.length > 0 && node.dependents.size > 0) {
    const isCircle = [...node.dependents].some((dependent) => dependent.waitsForDependents);
    return { action: "delete", policy: "Foreground", ...(isCircle ? { unblockFirst: true } : {}) };
  }
  const { finalizers = [] } = latest.metadata ?? {};
  if (finalizers.includes(orphanFinalizer)) return { action: "delete", policy: "Orphan" };
  if (finalizers.includes(foregroundFinalizer)) return { action: "delete", policy: "Foreground" };
  return { action: "delete", policy: "Background" };
}

/** An object deleted in the foreground: go on, or what to look at first. */
export function judgeWaiting(node: GraphNode): { readonly done: true } | { readonly examine: readonly string[] } {
  const blocking = blockingDependents(node);
  if (blocking.length === 0) return { done: true };
  return { examine: blocking.filter((dependent) => !dependent.waitsForDependents).map(({ identity }) => identity.uid) };
}
