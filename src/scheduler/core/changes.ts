/** What of a changed node or pod can matter to pods that wait. */
import type { Node } from "#api";
import type { DeepReadonly } from "#machinery";
import type { NodeChange, PodChange } from "./framework.ts";
import type { PodInfo } from "./pod-info.ts";
import type { Resources } from "./resources.ts";

/** Nodes change each few seconds (heartbeats): undefined when none of it matters. */
export function nodeChange(old: DeepReadonly<Node>, node: DeepReadonly<Node>): NodeChange | undefined {
  const change = {
    allocatable: !isEqual(old.status?.allocatable, node.status?.allocatable),
    labels: !isEqual(old.metadata.labels, node.metadata.labels),
    taints: !isEqual(old.spec?.taints, node.spec?.taints),
    declaredFeatures: !isEqual(old.status?.declaredFeatures, node.status?.declaredFeatures),
    unschedulable: Boolean(old.spec?.unschedulable) !== Boolean(node.spec?.unschedulable),
  };
  return change.declaredFeatures || change.allocatable || change.labels || change.taints || change.unschedulable
    ? change
    : undefined;
}

export function podChange(old: PodInfo, pod: PodInfo): PodChange | undefined {
  const change = {
    labels: !isEqual(old.pod.metadata.labels, pod.pod.metadata.labels),
    scaledDown: usesLess(old.requests, pod.requests),
  };
  return change.labels || change.scaledDown ? change : undefined;
}

function usesLess(old: Resources, now: Resources): boolean {
  if (now.milliCpu < old.milliCpu || now.memory < old.memory || now.ephemeralStorage < old.ephemeralStorage)
    return true;
  for (const [name, amount] of old.others) if ((now.others.get(name) ?? 0) < amount) return true;
  return false;
}

const isEqual = (a: unknown, b: unknown): boolean => a === b || JSON.stringify(a) === JSON.stringify(b);
