/** The patch that turns one pod status into another. */
import type { PodStatus } from "#api";
import { isKubeletCondition } from "../core/conditions.ts";
import { isResizeCondition } from "../core/resize.ts";
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
  "resources",
  "allocatedResources",
] as const satisfies readonly (keyof PodStatus)[];

/** Strategic merge lists that are replaced as a whole. */
const replaced = new Set<string>(["podIPs", "hostIPs"]);
/** Merged name by name: what is gone has to be said. */
const merged = new Set<string>(["resources", "allocatedResources"]);

/** Said once, when the node ends a pod. */
const disruption = "DisruptionTarget";

/** Strategic merge patch of the status subresource; undefined when nothing differs. */
export function statusPatch(from: PodStatusView, to: PodStatusView, uid: string): object | undefined {
  const status: Record<string, unknown> = {};
  for (const field of owned) {
    const value = to[field];
    // Of these also an empty one is news.
    const isFirst = merged.has(field) && from[field] === undefined && value !== undefined;
    if (same(from[field], value) && !isFirst) continue;
    if (value === undefined) status[field] = null;
    else if (merged.has(field)) status[field] = mapPatch(from[field], value);
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
  const ended = (from.conditions ?? []).filter(
    ({ type }) => isResizeCondition(type) && !to.conditions?.some((condition) => condition.type === type),
  );
  const patches = [...conditions, ...ended.map(({ type }) => ({ $patch: "delete", type }))];
  if (patches.length > 0) status.conditions = patches;
  return Object.keys(status).length > 0 ? { metadata: { uid }, status } : undefined;
}

/** JSON merge patch of a map of texts or of such maps. */
function mapPatch(from: unknown, to: unknown): unknown {
  if (typeof to !== "object" || to === null) return to;
  const before = (typeof from === "object" && from !== null ? from : {}) as Record<string, unknown>; // an object
  const gone = Object.keys(before).filter((name) => !(name in to));
  return {
    ...Object.fromEntries(gone.map((name) => [name, null])),
    ...Object.fromEntries(Object.entries(to).map(([name, value]) => [name, mapPatch(before[name], value)])),
  };
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
