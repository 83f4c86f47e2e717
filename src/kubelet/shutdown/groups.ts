/** In which order pods end when the machine shuts down, and how long each group gets. Pure; upstream's rules. */
import type { KubeletConfiguration } from "../config/configuration.ts";
import { isEnabled } from "../config/features.ts";
import type { PodView } from "../core/types.ts";

export interface ShutdownPeriod {
  readonly priority: number;
  readonly shutdownGracePeriodSeconds: number;
}

/** `system-cluster-critical`. */
const criticalPriority = 2_000_000_000;

/** Lowest priority first; empty: pods aren't ended. */
export function shutdownPeriods(config: Readonly<KubeletConfiguration>): ShutdownPeriod[] {
  if (!isEnabled(config, "GracefulNodeShutdown")) return [];
  const byPriority = isEnabled(config, "GracefulNodeShutdownBasedOnPodPriority")
    ? config.shutdownGracePeriodByPodPriority
    : [];
  if (byPriority.length > 0) return [...byPriority].sort((a, b) => a.priority - b.priority);
  const { shutdownGracePeriod: all, shutdownGracePeriodCriticalPods: critical } = config;
  if (all === 0 || critical > all) return [];
  return [
    { priority: 0, shutdownGracePeriodSeconds: Math.trunc((all - critical) / 1000) },
    { priority: criticalPriority, shutdownGracePeriodSeconds: Math.trunc(critical / 1000) },
  ];
}

export const requestedMs = (periods: readonly ShutdownPeriod[]): number =>
  periods.reduce((sum, { shutdownGracePeriodSeconds }) => sum + shutdownGracePeriodSeconds, 0) * 1000;

/** A pod is in the group of the highest priority that isn't above its own; those below all are in the lowest. */
export function groupPods<T extends { pod(): PodView }>(
  periods: readonly ShutdownPeriod[],
  pods: Iterable<T>,
): { readonly period: ShutdownPeriod; readonly pods: T[] }[] {
  const groups = periods.map((period) => ({ period, pods: [] as T[] }));
  for (const pod of pods) {
    const priority = pod.pod().spec?.priority ?? 0;
    const group = groups.findLast(({ period }) => period.priority <= priority) ?? groups[0];
    group?.pods.push(pod);
  }
  return groups;
}
