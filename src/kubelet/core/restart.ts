/** Whether a container that isn't running should be: restart policy of the container, else of the pod. */
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
  const rule = matchingRule(container, last.exitCode);
  if (rule) return rule === "Restart";
  const policy = restartPolicyOf(pod, container);
  if (policy === "Never") return false;
  return policy === "Always" || last.exitCode !== 0;
}

/** The action of the first restart rule that matches this exit code. */
function matchingRule(container: ContainerSpec, exitCode: number): string | undefined {
  for (const { action, exitCodes } of container.restartPolicyRules ?? []) {
    const listed = exitCodes?.values?.includes(exitCode) ?? false;
    if (exitCodes && listed === (exitCodes.operator === "In")) return action;
  }
  return undefined;
}
