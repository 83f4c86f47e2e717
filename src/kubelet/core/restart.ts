/** Whether a container that isn't running should be: its restart rules, else its own policy, else the pod's. */
import { type ContainerSpec, newestContainer, type PodRuntime, type PodView } from "./types.ts";

/** Policy that counts for one container. */
export const restartPolicyOf = (pod: PodView, container: ContainerSpec): string =>
  container.restartPolicy ?? pod.spec?.restartPolicy ?? "Always";

export function shouldStart(pod: PodView, container: ContainerSpec, runtime: PodRuntime): boolean {
  // A pod that is being deleted keeps what runs and starts nothing.
  if (pod.metadata.deletionTimestamp) return false;
  const last = newestContainer(runtime, container.name);
  if (!last) return true;
  if (last.state === "running") return false;
  if (last.state === "created" || last.state === "unknown") return true;
  return isRestarted(pod, container, last.exitCode);
}

/** Whether it runs again after this end. Rules need a policy of the container beside them. */
export function isRestarted(pod: PodView, container: ContainerSpec, exitCode: number): boolean {
  const rule = container.restartPolicy === undefined ? undefined : matchingRule(container, exitCode);
  if (rule === "Restart" || rule === "RestartAllContainers") return true;
  const policy = restartPolicyOf(pod, container);
  return policy !== "Never" && (policy === "Always" || exitCode !== 0);
}

/** The action of the first restart rule that matches this exit code. */
export function matchingRule(container: ContainerSpec, exitCode: number): string | undefined {
  for (const { action, exitCodes } of container.restartPolicyRules ?? []) {
    const listed = exitCodes?.values?.includes(exitCode) ?? false;
    if (exitCodes && listed === (exitCodes.operator === "In")) return action;
  }
  return undefined;
}
