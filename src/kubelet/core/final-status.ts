/**
 * The last status of a pod whose containers are stopped: it ends in a phase that ends, and no container stays between states. What nobody
 * saw end counts as failed, so that a pod is never taken for successful by mistake.
 */
import type { ContainerStatus, PodStatus } from "#api";
import { lost } from "./container-status.ts";
import { isStatic } from "./phase.ts";
import { type ContainerStatusView, isSidecar, isTerminalPhase, type PodView } from "./types.ts";

const unseenEnd = "The container could not be located when the pod was terminated";

export function finalStatus(pod: PodView, status: PodStatus): PodStatus {
  const end = (one: ContainerStatus): ContainerStatus =>
    one.state?.terminated ? one : { ...one, state: lost(unseenEnd) };
  const { initContainerStatuses: init = [], containerStatuses = [] } = status;
  // Those that never came to their turn keep waiting; the first always had its turn.
  const tried = Math.max(0, init.findLastIndex(hasRun)) + 1;
  return {
    ...status,
    ...(hasInitialized(pod) ? { containerStatuses: containerStatuses.map(end) } : {}),
    ...(init.length > 0 ? { initContainerStatuses: init.map((one, at) => (at < tried ? end(one) : one)) } : {}),
    ...(isTerminalPhase(status.phase) || isStatic(pod) ? {} : { phase: "Failed" }),
  };
}

const hasRun = ({ state, lastState }: ContainerStatusView): boolean =>
  !state?.waiting || lastState?.terminated !== undefined;

/** Did its containers have their turn, as far as the API knows? */
function hasInitialized({ spec, status }: PodView): boolean {
  const specs = spec?.initContainers ?? [];
  if (specs.length === 0 || status?.containerStatuses?.some(hasRun)) return true;
  const last = status?.initContainerStatuses?.at(-1);
  const lastSpec = specs.at(-1);
  if (!last || !lastSpec) return false;
  if (isSidecar(lastSpec)) return last.state?.running !== undefined && last.started === true;
  return last.lastState?.terminated?.exitCode === 0 || last.state?.terminated?.exitCode === 0;
}
