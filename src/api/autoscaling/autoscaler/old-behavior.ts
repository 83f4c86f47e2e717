/**
 * The behaviour of an autoscaler in the annotation that old clients carry. Upstream prints its internal type there, so the
 * names are those of Go's fields and what is missing is null; reading them Go doesn't mind the case.
 */
import type { HorizontalPodAutoscalerBehavior, HPAScalingRules } from "../../types.d.ts";

const writeRules = (rules: HPAScalingRules | undefined): object | null =>
  rules
    ? {
        StabilizationWindowSeconds: rules.stabilizationWindowSeconds ?? null,
        SelectPolicy: rules.selectPolicy ?? null,
        Policies:
          rules.policies?.map(({ type, value, periodSeconds }) => ({
            Type: type,
            Value: value,
            PeriodSeconds: periodSeconds,
          })) ?? null,
        Tolerance: rules.tolerance ?? null,
      }
    : null;

export const writeBehavior = ({ scaleUp, scaleDown }: HorizontalPodAutoscalerBehavior): object => ({
  ScaleUp: writeRules(scaleUp),
  ScaleDown: writeRules(scaleDown),
});

const fields = [
  "scaleUp",
  "scaleDown",
  "stabilizationWindowSeconds",
  "selectPolicy",
  "policies",
  "type",
  "value",
  "periodSeconds",
  "tolerance",
];

const fieldOf = new Map(fields.map((field) => [field.toLowerCase(), field]));

/** Undefined when it says nothing. */
export function readBehavior(value: unknown): object | undefined {
  const behavior = readFields(value);
  const isBehavior = typeof behavior === "object" && behavior !== null && !Array.isArray(behavior);
  return isBehavior && Object.keys(behavior).length > 0 ? behavior : undefined;
}

function readFields(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(readFields);
  if (typeof value !== "object" || value === null) return value;
  const result: Record<string, unknown> = {};
  for (const [key, child] of Object.entries(value)) {
    const field = fieldOf.get(key.toLowerCase());
    if (field !== undefined && child !== null) result[field] = readFields(child);
  }
  return result;
}
