/** What a failed pod means for its Job, by the Job's podFailurePolicy. Pure. */
import type { Job, PodFailurePolicyRule } from "#api";
import { nameOf, namespaceOf, type Seen } from "../lib/objects.ts";
import type { SeenPod } from "../lib/pods.ts";

export interface FailureVerdict {
  readonly action: "FailJob" | "FailIndex" | "Ignore" | "Count";
  /** Of FailJob. */
  readonly message?: string;
}

/** The first rule that fits decides; a pod that fits none counts. */
export function judgeFailure(pod: SeenPod, job: Seen<Job>): FailureVerdict {
  for (const [index, rule] of (job.spec?.podFailurePolicy?.rules ?? []).entries()) {
    const why = matchRule(pod, rule);
    if (why === undefined) continue;
    const { action } = rule;
    if (action === "FailJob") return { action, message: `${why} matching ${action} rule at index ${index}` };
    if (action === "Ignore" || action === "FailIndex") return { action };
    return { action: "Count" };
  }
  return { action: "Count" };
}

function matchRule(pod: SeenPod, { onExitCodes, onPodConditions }: Seen<PodFailurePolicyRule>): string | undefined {
  const who = `${namespaceOf(pod)}/${nameOf(pod)}`;
  if (onExitCodes) {
    if (pod.status?.phase !== "Failed") return undefined;
    const { containerName, operator, values } = onExitCodes;
    for (const { name, state } of [
      ...(pod.status.initContainerStatuses ?? []),
      ...(pod.status.containerStatuses ?? []),
    ]) {
      if (containerName !== undefined && containerName !== name) continue;
      const exitCode = state?.terminated?.exitCode ?? 0;
      if (exitCode === 0 || values.includes(exitCode) !== (operator === "In")) continue;
      return `Container ${name} for pod ${who} failed with exit code ${exitCode}`;
    }
    return undefined;
  }
  for (const { type, status = "True" } of onPodConditions ?? []) {
    const isThere = (pod.status?.conditions ?? []).some((found) => found.type === type && found.status === status);
    if (isThere) return `Pod ${who} has condition ${type}`;
  }
  return undefined;
}
