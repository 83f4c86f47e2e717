/** PodDisruptionBudget: how many pods may be evicted at a time. Follows upstream's registry/policy/poddisruptionbudget. */
import { type FieldError, nameIsPathSegment, validateConditions } from "#machinery";
import { ageColumn } from "../columns.ts";
import { validateCounts } from "../counts.ts";
import { type Column, defineKind, type Strategy } from "../kind.ts";
import { type IntOrPercent, validateAtMostAll, validateIntOrPercent } from "../int-or-percent.ts";
import { Place } from "../place.ts";
import { hasInvalidSelectorValue, validateLabelSelector } from "../selectors.ts";
import { specOf } from "../spec-of.ts";
import { bumpGeneration, firstGeneration, setOrDelete } from "../strategy.ts";
import type { LabelSelector, PodDisruptionBudget, PodDisruptionBudgetStatus } from "../types.d.ts";

/**
 * An empty selector once meant no pods in policy/v1beta1 and all pods in v1. Upstream tells them apart by an expression with
 * this key in storage, and lets nobody else use it.
 */
const reservedKey = "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match";

function dropReserved(selector: LabelSelector): void {
  const { matchLabels, matchExpressions = [] } = selector;
  const [only] = matchExpressions;
  const matchesNone = matchExpressions.length === 1 && Object.keys(matchLabels ?? {}).length === 0;
  if (matchesNone && only?.key === reservedKey && only.operator === "Exists" && !only.values?.length) return;
  if (!matchExpressions.some(({ key }) => key === reservedKey)) return;
  const others = matchExpressions.filter(({ key }) => key !== reservedKey);
  setOrDelete(selector, { matchExpressions: others.length > 0 ? others : undefined });
}

const evictionPolicies = ["AlwaysAllow", "IfHealthyBudget"];

function validateBudget(budget: PodDisruptionBudget, old?: PodDisruptionBudget): FieldError[] {
  const at = Place.root("spec");
  const spec = specOf(budget);
  const { minAvailable, maxUnavailable, unhealthyPodEvictionPolicy: policy } = spec;
  if (minAvailable !== undefined && maxUnavailable !== undefined) {
    at.invalid(spec, "minAvailable and maxUnavailable cannot be both set");
  }
  for (const field of ["minAvailable", "maxUnavailable"] as const) {
    validateIntOrPercent(spec[field], at.child(field));
    validateAtMostAll(spec[field], at.child(field));
  }
  const anyValue = hasInvalidSelectorValue(old?.spec?.selector);
  validateLabelSelector(spec.selector, at.child("selector"), { anyValue });
  if (policy !== undefined && !evictionPolicies.includes(policy)) {
    at.child("unhealthyPodEvictionPolicy").notSupported(policy, evictionPolicies);
  }
  return at.errors;
}

const noStatus = (): PodDisruptionBudgetStatus => ({
  disruptionsAllowed: 0,
  currentHealthy: 0,
  desiredHealthy: 0,
  expectedPods: 0,
});

const statusStrategy: Strategy<PodDisruptionBudget> = {
  resetFields: ["spec"],
  prepareForUpdate(budget, old) {
    setOrDelete(budget, { spec: old.spec });
  },
  validateUpdate({ status = noStatus() }) {
    const at = Place.root("status");
    at.add(validateConditions(status.conditions, at.child("conditions").path));
    validateCounts(status, at, ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"]);
    return at.errors;
  },
};

const printAmount = (amount: IntOrPercent | undefined): string => (amount === undefined ? "N/A" : String(amount));

const columns: readonly Column<PodDisruptionBudget>[] = [
  {
    name: "Min Available",
    type: "string",
    description: "The minimum number of pods that must be available.",
    of: ({ spec }) => printAmount(spec?.minAvailable),
  },
  {
    name: "Max Unavailable",
    type: "string",
    description: "The maximum number of pods that may be unavailable.",
    of: ({ spec }) => printAmount(spec?.maxUnavailable),
  },
  {
    name: "Allowed Disruptions",
    type: "integer",
    description: "Calculated number of pods that may be disrupted at this time.",
    of: ({ status }) => status?.disruptionsAllowed ?? 0,
  },
  ageColumn,
];

export const podDisruptionBudgetKind = defineKind<PodDisruptionBudget>({
  group: "policy",
  kind: "PodDisruptionBudget",
  resource: "poddisruptionbudgets",
  storageVersion: "v1",
  allowUnconditionalUpdate: false,
  // Upstream checks no more of it.
  validateName: (name, prefix) => [...nameIsPathSegment(name, prefix)],
  resetFields: ["status"],

  defaults({ spec }) {
    if (spec?.selector) dropReserved(spec.selector);
  },
  prepareForCreate(budget) {
    budget.status = noStatus();
    firstGeneration(budget);
  },
  prepareForUpdate(budget, old) {
    setOrDelete(budget, { status: old.status });
    bumpGeneration(budget, old);
  },
  validate: (budget) => validateBudget(budget),
  validateUpdate: (budget, old) => validateBudget(budget, old),

  subresources: { status: statusStrategy },
  columns,
});
