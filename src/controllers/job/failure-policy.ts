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
    if (action === "Ignore" || action === "FailIndex" || action === "Count") return { action };
  }
  return { action: "Count" };
}

function matchRule(pod: SeenPod, { onExitCodes, onPodConditions }: Seen<PodFailurePolicyRule>): string | undefined {
  const who = `${namespaceOf(pod)}/${nameOf(pod)}`;
  const { containerStatuses = [], initContainerStatuses = [], conditions = [] } = pod.status ?? {};
  if (onExitCodes) {
    const { containerName, operator, values } = onExitCodes;
    for (const { name, state } of [...containerStatuses, ...initContainerStatuses]) {
      const exitCode = state?.terminated?.exitCode ?? 0;
      if ((containerName ?? name) !== name || exitCode === 0) continue;
      if (operator !== (values.includes(exitCode) ? "In" : "NotIn")) continue;
      return `Container ${name} for pod ${who} failed with exit code ${exitCode}`;
    }
    return undefined;
  }
  const found = conditions.find(({ type, status }) =>
    onPodConditions?.some((wanted) => wanted.type === type && (wanted.status ?? "True") === status),
  );
  return found && `Pod ${who} has condition ${found.type}`;
}
