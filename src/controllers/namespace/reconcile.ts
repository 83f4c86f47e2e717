/** What a namespace's conditions say about its end, and when to look again. Pure. Texts are upstream's: people search for them. */
import type { NamespaceCondition } from "#api";
import { formatTime } from "#machinery";
import type { Seen } from "../lib/objects.ts";

/** What was found of one resource after everything of it was told to go. */
export interface Remains {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly count: number;
  readonly finalizers: ReadonlyMap<string, number>;
}

export interface ContentReport {
  readonly discoveryFailure?: string;
  readonly failures: readonly string[];
  readonly remains: readonly Remains[];
  /** Pods are left, so nothing else was touched; conditions don't tell what remains then. */
  readonly podsRemain?: boolean;
}

type ConditionType =
  | "NamespaceDeletionDiscoveryFailure"
  | "NamespaceDeletionGroupVersionParsingFailure"
  | "NamespaceDeletionContentFailure"
  | "NamespaceContentRemaining"
  | "NamespaceFinalizersRemaining";

const fine: Readonly<Record<ConditionType, readonly [reason: string, message: string]>> = {
  NamespaceDeletionDiscoveryFailure: ["ResourcesDiscovered", "All resources successfully discovered"],
  NamespaceDeletionGroupVersionParsingFailure: ["ParsedGroupVersions", "All legacy kube types successfully parsed"],
  NamespaceDeletionContentFailure: [
    "ContentDeleted",
    "All content successfully deleted, may be waiting on finalization",
  ],
  NamespaceContentRemaining: ["ContentRemoved", "All content successfully removed"],
  NamespaceFinalizersRemaining: ["ContentHasNoFinalizers", "All content-preserving finalizers finished"],
};

/** The conditions as they should be; undefined when they are. */
export function namespaceConditions(
  current: readonly Seen<NamespaceCondition>[],
  report: ContentReport,
  now: number,
): NamespaceCondition[] | undefined {
  const wrong = problems(report);
  const conditions = current.map((condition) => ({ ...condition }));
  let changed = false;
  for (const type of Object.keys(fine) as ConditionType[]) {
    const [reason, message] = wrong.get(type) ?? fine[type];
    const status = wrong.has(type) ? "True" : "False";
    const known = conditions.find((condition) => condition.type === type);
    if (!known) {
      conditions.push({ type, status, lastTransitionTime: formatTime(now), reason, message });
      changed = true;
    } else if (known.status !== status || known.reason !== reason || known.message !== message) {
      if (known.status !== status) known.lastTransitionTime = formatTime(now);
      Object.assign(known, { status, reason, message });
      changed = true;
    }
  }
  return changed ? conditions : undefined;
}

function problems({
  discoveryFailure,
  failures,
  remains,
  podsRemain = false,
}: ContentReport): Map<ConditionType, readonly [string, string]> {
  const found = new Map<ConditionType, readonly [string, string]>();
  if (discoveryFailure) found.set("NamespaceDeletionDiscoveryFailure", ["DiscoveryFailed", discoveryFailure]);
  if (failures.length > 0) {
    const message = `Failed to delete all resource types, ${failures.length} remaining: ${[...failures].sort().join(", ")}`;
    found.set("NamespaceDeletionContentFailure", ["ContentDeletionFailed", message]);
  }
  if (remains.length === 0 || podsRemain) return found;
  const counts = remains.map(({ resource, group, count }) => `${resource}.${group} has ${count} resource instances`);
  const message = `Some resources are remaining: ${counts.sort().join(", ")}`;
  found.set("NamespaceContentRemaining", ["SomeResourcesRemain", message]);
  const finalizers = new Map<string, number>();
  for (const each of remains) {
    for (const [name, count] of each.finalizers) finalizers.set(name, (finalizers.get(name) ?? 0) + count);
  }
  if (finalizers.size > 0) {
    const texts = [...finalizers].map(([name, count]) => `${name} in ${count} resource instances`);
    const message = `Some content in the namespace has finalizers remaining: ${texts.sort().join(", ")}`;
    found.set("NamespaceFinalizersRemaining", ["SomeFinalizersRemain", message]);
  }
  return found;
}

/** Time that finalizers are given before they are looked at again. */
const finalizerSeconds = 15;

/** How long what remains of a resource may take: a pod's grace period, or what finalizers are given. Zero: nothing explains it. */
export function estimateSeconds({ resource, group, finalizers }: Remains, podGraceSeconds: number): number {
  if (group === "" && resource === "pods" && podGraceSeconds > 0) return podGraceSeconds;
  return finalizers.size > 0 ? finalizerSeconds : 0;
}

/** In how many ms to look again: half of the longest estimate. */
export const nextLookMs = (seconds: number): number => (Math.floor(seconds / 2) + 1) * 1000;
