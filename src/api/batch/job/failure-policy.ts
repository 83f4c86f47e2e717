/** Which failures of pods end a job, or don't count. */
import { goQuote, isQualifiedName } from "#machinery";
import type { Place } from "../../place.ts";
import type {
  JobSpec,
  PodFailurePolicy,
  PodFailurePolicyOnExitCodesRequirement,
  PodFailurePolicyOnPodConditionsPattern,
  PodFailurePolicyRule,
} from "../../types.d.ts";

const actions = ["Count", "FailIndex", "FailJob", "Ignore"];
const operators = ["In", "NotIn"];
const statuses = ["False", "True", "Unknown"];
const rulesMax = 20;
const patternsMax = 20;
const valuesMax = 255;

export function validateFailurePolicy(policy: PodFailurePolicy, at: Place, spec: JobSpec): void {
  const rules = policy.rules ?? []; // printed as null
  const place = at.child("rules");
  if (rules.length > rulesMax) place.tooMany(rules.length, rulesMax);
  rules.forEach((rule, i) => {
    validateRule(rule, place.index(i), spec);
  });
}

/** A value of a list that the server doesn't fill in. */
function validateChoice(value: string, at: Place, choices: readonly string[]): void {
  if (value === "") at.required(`valid values: [${choices.map(goQuote).join(" ")}]`);
  else if (!choices.includes(value)) at.notSupported(value, choices);
}

function validateRule(
  { action = "", onExitCodes, onPodConditions = [] }: PodFailurePolicyRule,
  at: Place,
  spec: JobSpec,
): void {
  const actionAt = at.child("action");
  if (action === "FailIndex" && spec.backoffLimitPerIndex === undefined) {
    actionAt.invalid(action, "requires the backoffLimitPerIndex to be set");
  } else validateChoice(action, actionAt, actions);
  if (onExitCodes) validateExitCodes(onExitCodes, at.child("onExitCodes"), spec);
  if (onPodConditions.length > 0) validateConditions(onPodConditions, at.child("onPodConditions"));
  if (onExitCodes && onPodConditions.length > 0) {
    at.wrong("specifying both OnExitCodes and OnPodConditions is not supported");
  }
  if (!onExitCodes && onPodConditions.length === 0) {
    at.wrong("specifying one of OnExitCodes and OnPodConditions is required");
  }
}

function validateConditions(patterns: readonly PodFailurePolicyOnPodConditionsPattern[], at: Place): void {
  if (patterns.length > patternsMax) at.tooMany(patterns.length, patternsMax);
  patterns.forEach(({ type = "", status = "" }, i) => {
    at.index(i).child("type").invalidEach(type, isQualifiedName(type));
    validateChoice(status, at.index(i).child("status"), statuses);
  });
}

function validateExitCodes(
  { operator = "", containerName, ...given }: PodFailurePolicyOnExitCodesRequirement,
  at: Place,
  { template }: JobSpec,
): void {
  validateChoice(operator, at.child("operator"), operators);
  const values = given.values ?? []; // printed as null
  const containers = [...(template?.spec?.containers ?? []), ...(template?.spec?.initContainers ?? [])];
  if (containerName !== undefined && !containers.some(({ name }) => name === containerName)) {
    const why = "must be one of the container or initContainer names in the pod template";
    at.child("containerName").invalid(containerName, why);
  }
  const place = at.child("values");
  if (values.length === 0) place.invalid(values, "at least one value is required");
  else if (values.length > valuesMax) place.tooMany(values.length, valuesMax);
  values.forEach((value, i) => {
    if (operator === "In" && value === 0) place.index(i).invalid(value, "must not be 0 for the In operator");
    if (values.indexOf(value) < i) place.index(i).duplicate(value);
  });
  if (values.some((value, i) => i > 0 && value < (values[i - 1] ?? value))) place.invalid(values, "must be ordered");
}
