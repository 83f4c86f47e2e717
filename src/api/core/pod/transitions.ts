/** A container that ended stays ended, unless something restarts it: the pod's policy, its own, or one of its rules. */
import type { Place } from "../../place.ts";
import type { Container, ContainerStatus, PodSpec, PodStatus } from "../../types.d.ts";

export function validateTransitions(status: PodStatus, old: { status: PodStatus; spec: PodSpec }, at: Place): void {
  const { initContainers = [] } = old.spec;
  const containers = old.spec.containers ?? []; // printed as null
  const everyMayRestart = [...containers, ...initContainers].some((container) =>
    container.restartPolicyRules?.some(({ action }) => action === "RestartAllContainers"),
  );
  const restarts = (list: readonly Container[]) => (name: string, exitCode: number) => {
    const container = list.find((each) => each.name === name);
    return everyMayRestart || (container !== undefined && mayRestart(container, { spec: old.spec, exitCode }));
  };
  const check = (list: StatusList, allowed: (name: string, exitCode: number) => boolean) =>
    validateList(status[list] ?? [], old.status[list] ?? [], { at: at.child(list), allowed });
  check("containerStatuses", restarts(containers));
  check("initContainerStatuses", restarts(initContainers));
  check("ephemeralContainerStatuses", () => false);
}

type StatusList = "containerStatuses" | "initContainerStatuses" | "ephemeralContainerStatuses";

function validateList(
  now: readonly ContainerStatus[],
  before: readonly ContainerStatus[],
  { at, allowed }: { at: Place; allowed: (name: string, exitCode: number) => boolean },
): void {
  before.forEach((old, i) => {
    const ended = old.state?.terminated;
    if (!ended) return;
    const current = now.find(({ name }) => name === old.name);
    if (!current || current.state?.terminated || allowed(old.name, ended.exitCode ?? 0)) return;
    at.index(i).child("state").forbidden("may not be transitioned to non-terminated state");
  });
}

interface Ending {
  readonly spec: PodSpec;
  readonly exitCode: number;
}

/** What the kubelet does with a container that ended. */
export function mayRestart(container: Container, { spec, exitCode }: Ending): boolean {
  for (const { action, exitCodes } of container.restartPolicyRules ?? []) {
    if (!exitCodes) continue;
    const listed = exitCodes.values?.includes(exitCode) ?? false;
    if (listed === (exitCodes.operator === "In")) return action === "Restart" || action === "RestartAllContainers";
  }
  const policy = container.restartPolicy ?? spec.restartPolicy;
  // Init containers run again too, in another sandbox.
  return policy === "Always" || (policy === "OnFailure" && exitCode !== 0);
}
