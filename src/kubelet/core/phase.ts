/** A pod's phase from the statuses of its containers. Sidecars count as running, never as finished. */
import { annotation } from "./labels.ts";
import { isRestarted } from "./restart.ts";
import { restartingAll } from "./restart-all.ts";
import { type ContainerSpec, type ContainerStatusView, isSidecar, type PodRuntime, type PodView } from "./types.ts";

export type PodPhase = "Pending" | "Running" | "Succeeded" | "Failed";

export interface PhaseInput {
  /** Nothing will be restarted any more (deletion, eviction, deadline). */
  readonly ended: boolean;
  /** A container that is no init container was started in the current sandbox. */
  readonly initialized: boolean;
}

/** From a folder or an address, not from the API: always starts again. */
export const isStatic = ({ metadata }: PodView): boolean =>
  (metadata.annotations?.[annotation.configSource] ?? "api") !== "api";

export function podPhase(
  pod: PodView,
  statuses: readonly ContainerStatusView[],
  { ended, initialized }: PhaseInput,
): PodPhase {
  const byName = new Map(statuses.map((status) => [status.name, status]));
  let initLost = 0;
  let initPending = 0;
  let sidecarsPending = 0;
  const count = { unknown: 0, running: 0, waiting: 0, stopped: 0, over: 0, succeeded: 0 };
  const isOver = (container: ContainerSpec, end: { exitCode: number; reason?: string }) =>
    !isRestarted(pod, container, end.exitCode) && end.reason !== restartingAll.reason;

  for (const container of pod.spec?.initContainers ?? []) {
    const status = byName.get(container.name);
    const { running, terminated, waiting } = status?.state ?? {};
    const last = status?.lastState?.terminated;
    if (isSidecar(container)) {
      if (!status) count.unknown++;
      else if (running) {
        if (!status.started) sidecarsPending++;
        count.running++;
      } else if (waiting ? !last : !terminated) {
        sidecarsPending++;
        count[waiting ? "waiting" : "unknown"]++;
      }
      continue;
    }
    const end = terminated ?? (waiting ? last : undefined);
    if (!end) initPending++;
    else if (end.exitCode !== 0 && isOver(container, end)) initLost++;
  }
  for (const container of pod.spec?.containers ?? []) {
    const status = byName.get(container.name);
    const { running, terminated, waiting } = status?.state ?? {};
    const end = terminated ?? (waiting ? status?.lastState?.terminated : undefined);
    if (running) count.running++;
    else if (end) {
      count.stopped++;
      if (isOver(container, end)) count.over++;
      if (terminated?.exitCode === 0) count.succeeded++;
    } else count[waiting ? "waiting" : "unknown"]++;
  }

  if (initLost > 0) return "Failed";
  // Sidecars that start again beside containers that ran don't put the pod back.
  if (initPending > 0 || (sidecarsPending > 0 && !initialized)) return "Pending";
  if (count.waiting > 0 || count.unknown > 0) return "Pending";
  if (count.running > 0) return "Running";
  if (count.stopped === 0) return "Pending";
  if (count.over < count.stopped && (!ended || isStatic(pod))) return "Running";
  return count.stopped === count.succeeded ? "Succeeded" : "Failed";
}

/** Is or was any container running that isn't an init container? */
export const anyStarted = (pod: PodView, byName: ReadonlyMap<string, ContainerStatusView>): boolean =>
  (pod.spec?.containers ?? []).some(({ name }) => {
    const { running, terminated } = byName.get(name)?.state ?? {};
    return Boolean(running || terminated);
  });

/** Was any container that isn't an init container started in the sandbox that serves now? */
export function anyInSandbox(pod: PodView, { sandboxes, containers }: PodRuntime): boolean {
  const [sandbox] = sandboxes;
  return (
    sandbox?.ready === true &&
    containers.some(
      ({ name, sandboxId }) => sandboxId === sandbox.id && pod.spec?.containers.some((one) => one.name === name),
    )
  );
}
