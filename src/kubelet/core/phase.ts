/** A pod's phase from the statuses of its containers. Sidecars count as running, never as finished. */
import type { ContainerState } from "#api";
import type { DeepReadonly } from "#machinery";
import { isRestarted } from "./restart.ts";
import { type ContainerStatusView, isSidecar, type PodView } from "./types.ts";

export type PodPhase = "Pending" | "Running" | "Succeeded" | "Failed";

/** `ended`: nothing will be restarted any more (deletion, eviction, deadline). */
export function podPhase(
  pod: PodView,
  statuses: readonly ContainerStatusView[],
  { ended = false }: { ended?: boolean } = {},
): PodPhase {
  const byName = new Map(statuses.map((status) => [status.name, status]));
  const count = {
    initializing: 0,
    initLost: 0,
    unknown: 0,
    running: 0,
    waiting: 0,
    stopped: 0,
    restarted: 0,
    succeeded: 0,
  };
  for (const container of pod.spec?.initContainers ?? []) {
    const status = byName.get(container.name);
    const { running, terminated, waiting } = status?.state ?? {};
    if (isSidecar(container)) {
      if (running) {
        count.running++;
        if (status?.started !== true) count.initializing++;
      } else if (waiting && !status?.lastState?.terminated) {
        count.initializing++;
        count.waiting++;
      } else if (!terminated && !waiting) {
        count.initializing++;
        count.unknown++;
      }
      continue;
    }
    const end = terminated ?? (waiting ? status?.lastState?.terminated : undefined);
    if (!end) count.initializing++;
    else if (end.exitCode !== 0 && !isRestarted(pod, container, end.exitCode)) count.initLost++;
  }
  for (const container of pod.spec?.containers ?? []) {
    const status = byName.get(container.name);
    const { running, terminated, waiting }: DeepReadonly<ContainerState> = status?.state ?? {};
    const end = terminated ?? (waiting ? status?.lastState?.terminated : undefined);
    if (running) count.running++;
    else if (end) {
      count.stopped++;
      if (isRestarted(pod, container, end.exitCode)) count.restarted++;
      if (terminated?.exitCode === 0) count.succeeded++;
    } else if (waiting) count.waiting++;
    else count.unknown++;
  }

  if (count.initLost > 0) return "Failed";
  if (count.initializing > 0 && !anyStarted(pod, byName)) return "Pending";
  if (count.waiting > 0) return "Pending";
  if (count.unknown > 0) return "Pending";
  if (count.running > 0) return "Running";
  if (count.stopped === 0) return "Pending";
  if (!ended && count.restarted > 0) return "Running";
  return count.stopped === count.succeeded ? "Succeeded" : "Failed";
}

/** Has any container that isn't an init container ever run? */
export function anyStarted(pod: PodView, byName: ReadonlyMap<string, ContainerStatusView>): boolean {
  return (pod.spec?.containers ?? []).some(({ name }) => {
    const status = byName.get(name);
    return Boolean(
      status &&
        (status.state?.running ||
          status.state?.terminated ||
          status.lastState?.running ||
          status.lastState?.terminated),
    );
  });
}
