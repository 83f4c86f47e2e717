/** How many pods of a PodDisruptionBudget may be evicted now. Pure. Upstream: pkg/controller/disruption. */
import type { Condition, LabelSelector, PodDisruptionBudget, PodDisruptionBudgetStatus } from "#api";
import { formatTime, semanticEqual, timeMs } from "#machinery";
import { shareOf } from "../lib/int-or-percent.ts";
import { isDeleting, nameOf, type Seen } from "../lib/objects.ts";
import { isPodFinished, isPodReady, podCondition, type SeenPod } from "../lib/pods.ts";

/** An eviction that was granted and doesn't show as a deletion within this time didn't happen. */
const evictionMsMax = 120_000;
/** For so long a pod may say that it is about to be disrupted without being deleted. */
const staleMs = 120_000;

/** When its condition must be taken back, in ms; undefined when it may stay. */
export function staleInMs(pod: SeenPod, now: number): number | undefined {
  const condition = podCondition(pod, "DisruptionTarget");
  if (isDeleting(pod) || isPodFinished(pod) || condition?.status !== "True") return undefined;
  if (condition.reason === "TerminationByKubelet") return undefined;
  const since = timeMs(condition.lastTransitionTime);
  return Number.isNaN(since) ? 0 : Math.max(0, since + staleMs - now);
}

export interface BudgetState {
  readonly budget: Seen<PodDisruptionBudget>;
  readonly pods: readonly SeenPod[];
  /** Replicas that the pods' controllers should have, together. */
  readonly expectedScale: number;
  readonly now: number;
}

export interface BudgetPlan {
  readonly status: PodDisruptionBudgetStatus;
  /** Pods whose eviction was granted in vain. */
  readonly notDeleted: readonly SeenPod[];
  readonly againMs?: number;
}

/** Whether the budget is a share of what controllers should run. */
export const needsScale = ({ spec }: Seen<PodDisruptionBudget>): boolean =>
  spec?.maxUnavailable !== undefined || typeof spec?.minAvailable === "string";

export function planBudget({ budget, pods, expectedScale, now }: BudgetState): BudgetPlan {
  const { maxUnavailable, minAvailable } = budget.spec ?? {};
  let expected = 0;
  let desired = 0;
  if (maxUnavailable !== undefined) {
    expected = expectedScale;
    desired = Math.max(0, expected - shareOf(maxUnavailable, { total: expected, roundUp: true }));
  } else if (typeof minAvailable === "number") {
    expected = pods.length;
    desired = minAvailable;
  } else if (minAvailable !== undefined) {
    expected = expectedScale;
    desired = shareOf(minAvailable, { total: expected, roundUp: true });
  }
  const { disrupted, notDeleted, againMs } = followEvictions({ budget, pods, now });
  const healthy = pods.filter((pod) => !isDeleting(pod) && !(nameOf(pod) in disrupted) && isPodReady(pod)).length;
  const allowed = expected <= 0 ? 0 : Math.max(0, healthy - desired);
  const status: PodDisruptionBudgetStatus = {
    currentHealthy: healthy,
    desiredHealthy: desired,
    expectedPods: expected,
    disruptionsAllowed: allowed,
    ...(Object.keys(disrupted).length > 0 ? { disruptedPods: disrupted } : {}),
    observedGeneration: budget.metadata.generation ?? 0,
    conditions: withCondition(
      budget,
      {
        type: "DisruptionAllowed",
        status: allowed > 0 ? "True" : "False",
        reason: allowed > 0 ? "SufficientPods" : "InsufficientPods",
        message: "",
        observedGeneration: budget.metadata.generation ?? 0,
      },
      now,
    ),
  };
  return { status, notDeleted, ...(againMs === undefined ? {} : { againMs }) };
}

function followEvictions({ budget, pods, now }: Omit<BudgetState, "expectedScale">) {
  const granted = budget.status?.disruptedPods ?? {};
  const disrupted: Record<string, string> = {};
  const notDeleted: SeenPod[] = [];
  let againMs: number | undefined;
  for (const pod of pods) {
    const at = granted[nameOf(pod)];
    if (at === undefined || isDeleting(pod)) continue;
    const leftMs = timeMs(at) + evictionMsMax - now;
    if (leftMs < 0) notDeleted.push(pod);
    else {
      disrupted[nameOf(pod)] = at;
      againMs = Math.min(againMs ?? leftMs, leftMs);
    }
  }
  return { disrupted, notDeleted, ...(againMs === undefined ? {} : { againMs: againMs + 1 }) };
}

function withCondition(
  budget: Seen<PodDisruptionBudget>,
  condition: Omit<Condition, "lastTransitionTime">,
  now: number,
): Condition[] {
  const conditions = (budget.status?.conditions ?? []).map((each) => ({ ...each }));
  const known = conditions.find(({ type }) => type === condition.type);
  if (!known) return [...conditions, { ...condition, lastTransitionTime: formatTime(now) }];
  if (known.status !== condition.status) known.lastTransitionTime = formatTime(now);
  Object.assign(known, condition);
  return conditions;
}

/** When nothing can be computed nothing may be evicted. */
export function failSafe(budget: Seen<PodDisruptionBudget>, message: string, now: number): PodDisruptionBudgetStatus {
  const { observedGeneration = 0 } = budget.status ?? {};
  const condition = { type: "DisruptionAllowed", status: "False", reason: "SyncFailed", message, observedGeneration };
  return {
    ...(budget.status as PodDisruptionBudgetStatus | undefined), // sent, never changed
    disruptionsAllowed: 0,
    conditions: withCondition(budget, condition, now),
  };
}

export const isCurrent = (budget: Seen<PodDisruptionBudget>, status: PodDisruptionBudgetStatus): boolean =>
  semanticEqual(budget.status, status);

/** A selector as Go prints it, which is how it stands in upstream's event. */
export function printSelector(selector: Seen<LabelSelector> | undefined): string {
  if (!selector) return "nil";
  const labels = Object.entries(selector.matchLabels ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}: ${value},`);
  const expressions = (selector.matchExpressions ?? []).map(
    ({ key, operator, values = [] }) =>
      `LabelSelectorRequirement{Key:${key},Operator:${operator},Values:[${values.join(" ")}],},`,
  );
  return `&LabelSelector{MatchLabels:map[string]string{${labels.join("")}},MatchExpressions:[]LabelSelectorRequirement{${expressions.join("")}},}`;
}
