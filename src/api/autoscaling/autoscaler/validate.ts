/** What makes an autoscaler valid. */
import { type FieldError, quantitySign } from "#machinery";
import { validateCount } from "../../counts.ts";
import { Place } from "../../place.ts";
import type {
  HorizontalPodAutoscaler,
  HorizontalPodAutoscalerSpec,
  HPAScalingPolicy,
  HPAScalingRules,
} from "../../types.d.ts";
import { validateMetric } from "./metrics.ts";
import { type ReferenceRules, readGroup, validateReference } from "./reference.ts";

const stabilizationSecondsMax = 3600;
const periodSecondsMax = 1800;
const selectPolicies = ["Disabled", "Max", "Min"];
const policyTypes = ["Percent", "Pods"];

/** `toZero`: feature gate HPAScaleToZero; without it zero replicas are for those that have them already. */
export function validateAutoscaler(
  { spec }: HorizontalPodAutoscaler,
  { old, toZero = false }: { readonly old?: HorizontalPodAutoscaler | undefined; readonly toZero?: boolean } = {},
): FieldError[] {
  const at = Place.root("spec");
  validateReplicas(spec, at, toZero || old?.spec?.minReplicas === 0 ? 0 : 1);
  const { scaleTargetRef = { kind: "", name: "" }, metrics = [], behavior } = spec;
  validateReference(scaleTargetRef, at.child("scaleTargetRef"), targetRules(spec, old?.spec));
  const rules: ReferenceRules = { noGroup: true, anyVersion: hasOddReference(old?.spec) };
  metrics.forEach((metric, i) => {
    validateMetric(metric, at.child("metrics").index(i), rules);
  });
  if (spec.minReplicas === 0 && !metrics.some(({ type }) => type === "Object" || type === "External")) {
    const why = "must specify at least one Object or External metric to support scaling to zero replicas";
    at.child("metrics").forbidden(why);
  }
  if (behavior?.scaleUp) validateRules(behavior.scaleUp, at.child("behavior").child("scaleUp"));
  if (behavior?.scaleDown) validateRules(behavior.scaleDown, at.child("behavior").child("scaleDown"));
  return at.errors;
}

function validateReplicas(spec: HorizontalPodAutoscalerSpec, at: Place, least: number): void {
  const { minReplicas, maxReplicas = 0 } = spec;
  if (minReplicas !== undefined && minReplicas < least) {
    at.child("minReplicas").invalid(minReplicas, `must be greater than or equal to ${least}`);
  }
  const place = at.child("maxReplicas");
  if (maxReplicas === 0) place.required("must be set and greater than 0");
  else if (maxReplicas < 1) place.invalid(maxReplicas, "must be greater than or equal to 1");
  if (minReplicas !== undefined && maxReplicas < minReplicas) {
    place.invalid(maxReplicas, "must be greater than or equal to `minReplicas`");
  }
}

/** Of what can be scaled only replication controllers have no group. What stood there before the rule may stay. */
function targetRules(spec: HorizontalPodAutoscalerSpec, old: HorizontalPodAutoscalerSpec | undefined): ReferenceRules {
  const { kind, apiVersion } = spec.scaleTargetRef ?? {};
  const before = old?.scaleTargetRef;
  return {
    noGroup: kind === "ReplicationController",
    anyVersion: before !== undefined && before.kind === kind && before.apiVersion === apiVersion,
  };
}

const hasOddReference = (spec: HorizontalPodAutoscalerSpec | undefined): boolean =>
  spec?.metrics?.some(({ object }) => object && readGroup(object.describedObject?.apiVersion) === undefined) ?? false;

function validateRules(rules: HPAScalingRules, at: Place): void {
  const { stabilizationWindowSeconds: window = 0, selectPolicy, policies = [], tolerance } = rules;
  const windowAt = at.child("stabilizationWindowSeconds");
  if (window < 0) windowAt.invalid(window, "must be greater than or equal to zero");
  if (window > stabilizationSecondsMax) {
    windowAt.invalid(window, `must be less than or equal to ${stabilizationSecondsMax}`);
  }
  if (selectPolicy !== undefined && !selectPolicies.includes(selectPolicy)) {
    at.child("selectPolicy").notSupported(selectPolicy, selectPolicies);
  }
  const place = at.child("policies");
  if (policies.length === 0) place.required("must specify at least one Policy");
  policies.forEach((policy, i) => {
    validatePolicy(policy, place.index(i));
  });
  if (tolerance !== undefined && quantitySign(tolerance) < 0) {
    at.child("tolerance").invalid(tolerance, "must be greater than or equal to 0");
  }
}

function validatePolicy({ type = "", value = 0, periodSeconds = 0 }: HPAScalingPolicy, at: Place): void {
  if (!policyTypes.includes(type)) at.child("type").notSupported(type, policyTypes);
  if (value <= 0) at.child("value").invalid(value, "must be greater than zero");
  const periodAt = at.child("periodSeconds");
  if (periodSeconds <= 0) periodAt.invalid(periodSeconds, "must be greater than zero");
  if (periodSeconds > periodSecondsMax) {
    periodAt.invalid(periodSeconds, `must be less than or equal to ${periodSecondsMax}`);
  }
}

export function validateAutoscalerStatus({ status }: HorizontalPodAutoscaler): FieldError[] {
  const at = Place.root("status");
  validateCount(status?.currentReplicas, at.child("currentReplicas"));
  validateCount(status?.desiredReplicas, at.child("desiredReplicas"));
  return at.errors;
}
