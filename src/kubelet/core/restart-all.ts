/**
 * The restart rule RestartAllContainers: one container ends with a certain code, and all of the pod start over in the same sandbox. The
 * condition AllContainersRestarting remembers it from the end of the one until the others are removed, so that a restart of the node in
 * between changes nothing.
 */
import type { PodCondition } from "#api";
import { matchingRule } from "./restart.ts";
import { newestContainer, type PodRuntime, type PodStatusView, type PodView, type RuntimeContainer } from "./types.ts";

export const restartingAll = {
  condition: "AllContainersRestarting",
  reason: "RestartingAllContainers",
  message: "The container is removed because RestartAllContainers in place",
} as const;

const action = "RestartAllContainers";
const regular = (pod: PodView) => [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];

/** Could any end of a container restart all? Others have no such condition. */
export const mayRestartAll = (pod: PodView): boolean =>
  regular(pod).some(({ restartPolicyRules }) => restartPolicyRules?.some((rule) => rule.action === action));

export const isRestartingAll = (status: PodStatusView | undefined): boolean =>
  status?.conditions?.some(({ type, status }) => type === restartingAll.condition && status === "True") ?? false;

/** `old`: what was reported last. */
export function mustRestartAll(pod: PodView, runtime: PodRuntime, old: PodStatusView): boolean {
  if (!mayRestartAll(pod)) return false;
  if (isRestartingAll(old)) return true;
  return regular(pod).some((container) => {
    const last = newestContainer(runtime, container.name);
    return last?.state === "exited" && matchingRule(container, last.exitCode) === action;
  });
}

export function restartingAllVerdict(
  pod: PodView,
  { phase, runtime, old }: { phase: string; runtime: PodRuntime; old: PodStatusView },
): Pick<PodCondition, "status" | "reason" | "message"> {
  if (phase === "Succeeded") return { status: "False", reason: "PodCompleted" };
  if (phase === "Failed") return { status: "False", reason: "PodFailed" };
  const isLeft = regular(pod).some(({ name }) => newestContainer(runtime, name));
  return isLeft && mustRestartAll(pod, runtime, old)
    ? { status: "True", reason: "RestartAllContainersStarted", message: "container exited with restart policy rule" }
    : { status: "False" };
}

/** Every run of every container: those that asked for it go last, since they are why the others go. */
export function containersToReset(pod: PodView, { containers }: PodRuntime): readonly RuntimeContainer[] {
  const asked: RuntimeContainer[] = [];
  const others: RuntimeContainer[] = [];
  for (const spec of [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])])
    for (const run of containers)
      if (run.name === spec.name)
        (run.state === "exited" && matchingRule(spec, run.exitCode) === action ? asked : others).push(run);
  return [...others, ...asked];
}
