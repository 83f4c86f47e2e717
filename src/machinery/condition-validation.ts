/** `status.conditions` of the common shape: apimachinery's ValidateConditions. */
import { type FieldError, type FieldPath, fieldError } from "./field.ts";
import { isConditionReason, isQualifiedName, longerThan } from "./names.ts";

const conditionReasonLengthMax = 1024;
const conditionMessageLengthMax = 32 * 1024;

/** `metav1.Condition` as sent. */
export interface Condition {
  readonly type?: string;
  readonly status?: string;
  readonly observedGeneration?: number;
  readonly lastTransitionTime?: string | null;
  readonly reason?: string;
  readonly message?: string;
}

export function validateConditions(conditions: readonly Condition[] | undefined, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const types = new Set<string>();
  conditions?.forEach((condition, position) => {
    const at = path.index(position);
    const type = condition.type ?? "";
    if (types.has(type)) errors.push(fieldError.duplicate(at.child("type"), type));
    types.add(type);
    errors.push(...validateCondition(condition, at));
  });
  return errors;
}

function validateCondition(condition: Condition, path: FieldPath): FieldError[] {
  const { type = "", status = "", observedGeneration = 0, reason = "", message = "" } = condition;
  const errors = isQualifiedName(type).map((each) => fieldError.invalid(path.child("type"), type, each));
  const statuses = ["False", "True", "Unknown"];
  if (!statuses.includes(status)) errors.push(fieldError.notSupported(path.child("status"), status, statuses));
  if (observedGeneration < 0) {
    const detail = "must be greater than or equal to zero";
    errors.push(fieldError.invalid(path.child("observedGeneration"), observedGeneration, detail));
  }
  if (!condition.lastTransitionTime) errors.push(fieldError.required(path.child("lastTransitionTime")));
  const reasonPath = path.child("reason");
  if (reason === "") errors.push(fieldError.required(reasonPath));
  else {
    for (const each of isConditionReason(reason)) errors.push(fieldError.invalid(reasonPath, reason, each));
    if (longerThan(reason, conditionReasonLengthMax)) {
      errors.push(fieldError.tooLong(reasonPath, conditionReasonLengthMax));
    }
  }
  if (longerThan(message, conditionMessageLengthMax)) {
    errors.push(fieldError.tooLong(path.child("message"), conditionMessageLengthMax));
  }
  return errors;
}
