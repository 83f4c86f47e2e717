/** What a node that falls silent, or says it is not well, is marked with. Pure. Texts and names are upstream's. */
import type { NodeCondition, Taint } from "#api";
import { formatTime } from "#machinery";
import {
  isSameTaint,
  nodeCondition,
  notReadyTaint,
  type SeenNode,
  type SeenTaint,
  unreachableTaint,
} from "../lib/nodes.ts";

const unschedulableTaint = "node.kubernetes.io/unschedulable";

/** Condition and status to the taint that keeps new pods away. */
const conditionTaints: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Ready: { False: notReadyTaint, Unknown: unreachableTaint },
  MemoryPressure: { True: "node.kubernetes.io/memory-pressure" },
  DiskPressure: { True: "node.kubernetes.io/disk-pressure" },
  NetworkUnavailable: { True: "node.kubernetes.io/network-unavailable" },
  PIDPressure: { True: "node.kubernetes.io/pid-pressure" },
};
const managedNoSchedule = new Set([
  unschedulableTaint,
  ...Object.values(conditionTaints).flatMap((taints) => Object.values(taints)),
]);

/** Whether pods may be driven away from the node now. */
export type Eviction =
  | "allowed"
  /** Too many nodes fail, or another was tainted just now: what is there stays as it is. */
  | "held"
  /** No node works: the fault is more likely ours than theirs. */
  | "cancelled";

/** The node's taints as they should be; undefined when they are. */
export function planTaints(
  node: SeenNode,
  { eviction, now }: { eviction: Eviction; now: number },
): Taint[] | undefined {
  const current = node.spec?.taints ?? [];
  const wanted = [...wantedNoSchedule(node), ...wantedNoExecute(node, eviction)];
  const isOurs = ({ key, effect }: SeenTaint) =>
    effect === "NoSchedule" ? managedNoSchedule.has(key) : effect === "NoExecute" && isReadinessTaint(key);
  const kept = current.filter((taint) => !isOurs(taint) || wanted.some((other) => isSameTaint(taint, other)));
  const added = wanted.filter((taint) => !current.some((other) => isSameTaint(taint, other)));
  if (kept.length === current.length && added.length === 0) return undefined;
  return [...kept.map((taint) => ({ ...taint })), ...added.map((taint) => ({ ...taint, timeAdded: formatTime(now) }))];
}

function wantedNoSchedule(node: SeenNode): Taint[] {
  const keys = (node.status?.conditions ?? []).flatMap(({ type, status }) => conditionTaints[type]?.[status] ?? []);
  if (node.spec?.unschedulable) keys.push(unschedulableTaint);
  return keys.map((key) => ({ key, effect: "NoSchedule" }));
}

const isReadinessTaint = (key: string) => key === notReadyTaint || key === unreachableTaint;

function wantedNoExecute(node: SeenNode, eviction: Eviction): Taint[] {
  const status = nodeCondition(node, "Ready")?.status;
  if (eviction === "cancelled" || status === "True") return [];
  const present = (node.spec?.taints ?? []).filter(
    ({ key, effect }) => effect === "NoExecute" && isReadinessTaint(key),
  );
  if (status === undefined) return present.map((taint) => ({ ...taint }));
  const taint = { key: status === "False" ? notReadyTaint : unreachableTaint, effect: "NoExecute" };
  // One for the other at once; a first one only when its turn comes.
  return present.length > 0 || eviction === "allowed" ? [taint] : [];
}

/** Whether the node waits for its turn to be given a NoExecute taint. */
export function needsEvictionTurn(node: SeenNode): boolean {
  const status = nodeCondition(node, "Ready")?.status;
  if (status === undefined || status === "True") return false;
  return !(node.spec?.taints ?? []).some(({ key, effect }) => effect === "NoExecute" && isReadinessTaint(key));
}

const watchedConditions = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/** The conditions of a node that has not been heard of for too long; undefined when they say so already. */
export function unknownConditions(node: SeenNode, now: number): NodeCondition[] | undefined {
  const conditions = (node.status?.conditions ?? []).map((condition) => ({ ...condition }));
  let changed = false;
  for (const type of watchedConditions) {
    const known = conditions.find((condition) => condition.type === type);
    if (!known) {
      const { creationTimestamp } = node.metadata;
      conditions.push({
        type,
        status: "Unknown",
        reason: "NodeStatusNeverUpdated",
        message: "Kubelet never posted node status.",
        ...(creationTimestamp ? { lastHeartbeatTime: creationTimestamp } : {}),
        lastTransitionTime: formatTime(now),
      });
      changed = true;
    } else if (known.status !== "Unknown") {
      known.status = "Unknown";
      known.reason = "NodeStatusUnknown";
      known.message = "Kubelet stopped posting node status.";
      known.lastTransitionTime = formatTime(now);
      changed = true;
    }
  }
  return changed ? conditions : undefined;
}

const mirroredLabels = [
  ["kubernetes.io/os", "beta.kubernetes.io/os"],
  ["kubernetes.io/arch", "beta.kubernetes.io/arch"],
] as const;

/** Old label names follow the new ones; undefined when they do. */
export function labelChanges(node: SeenNode): Record<string, string> | undefined {
  const labels = node.metadata.labels ?? {};
  const changes: Record<string, string> = {};
  for (const [key, old] of mirroredLabels) {
    const value = labels[key];
    if (value !== undefined && labels[old] !== value) changes[old] = value;
  }
  return Object.keys(changes).length > 0 ? changes : undefined;
}
