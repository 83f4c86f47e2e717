/** The patch that turns one pod status into another. */
import type { PodStatus } from "#api";
import { isKubeletCondition } from "../core/conditions.ts";
import type { PodStatusView } from "../core/types.ts";

/** Fields that this node writes; a field that is no longer there has to be removed. */
const owned = [
  "phase",
  "reason",
  "message",
  "hostIP",
  "hostIPs",
  "podIP",
  "podIPs",
  "startTime",
  "initContainerStatuses",
  "containerStatuses",
  "ephemeralContainerStatuses",
  "qosClass",
  "observedGeneration",
] as const satisfies readonly (keyof PodStatus)[];

/** Strategic merge lists that are replaced as a whole. */
const replaced = new Set<string>(["podIPs", "hostIPs"]);

/** Said once, when the node ends a pod. */
const disruption = "DisruptionTarget";

/** Strategic merge patch of the status subresource; undefined when nothing differs. */
export function statusPatch(from: PodStatusView, to: PodStatusView, uid: string): object | undefined {
  const status: Record<string, unknown> = {};
  for (const field of owned) {
    const value = to[field];
    if (same(from[field], value)) continue;
    if (value === undefined) status[field] = null;
    else status[field] = replaced.has(field) && Array.isArray(value) ? [{ $patch: "replace" }, ...value] : value;
  }
  // Merged by type. What others write is theirs to change: the wanted status may show it as it was.
  const conditions = (to.conditions ?? []).flatMap((condition) => {
    const before = from.conditions?.find(({ type }) => type === condition.type);
    const isOurs = isKubeletCondition(condition.type) || (condition.type === disruption && !before);
    if (!isOurs || same(before, condition)) return [];
    const gone = Object.keys(before ?? {}).filter((key) => !(key in condition));
    return [{ ...condition, ...Object.fromEntries(gone.map((key) => [key, null])) }];
  });
  if (conditions.length > 0) status.conditions = conditions;
  return Object.keys(status).length > 0 ? { metadata: { uid }, status } : undefined;
}

/** Equal as JSON: absent, null and empty are the same. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (isNothing(a) || isNothing(b)) return isNothing(a) && isNothing(b);
  if (typeof a !== "object" || typeof b !== "object") return false;
  if (Array.isArray(a) || Array.isArray(b))
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, at) => same(item, b[at]));
  const left = a as Record<string, unknown>; // an object
  const right = b as Record<string, unknown>; // an object
  return [...new Set([...Object.keys(left), ...Object.keys(right)])].every((key) => same(left[key], right[key]));
}

const isNothing = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  (typeof value === "object" && Object.values(value as object).every(isNothing)); // an object
