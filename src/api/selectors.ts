/** Labels and label selectors inside specs: what upstream's apis/meta/v1/validation checks. */
import { isLabelValue, isQualifiedName } from "#machinery";
import type { Place } from "./place.ts";
import type { LabelSelector, LabelSelectorRequirement } from "./types.d.ts";

export function validateLabels(labels: Readonly<Record<string, string>> | undefined, at: Place): void {
  for (const key in labels) {
    at.invalidEach(key, isQualifiedName(key));
    at.invalidEach(labels[key], isLabelValue(labels[key] ?? ""));
  }
}

export interface SelectorOptions {
  /** Values that are no label values match nothing; an older release let them in. */
  readonly anyValue?: boolean;
  /** Operators that only the receiver knows. */
  readonly anyOperator?: boolean;
}

export function validateLabelSelector(
  selector: LabelSelector | undefined,
  at: Place,
  options: SelectorOptions = {},
): void {
  if (!selector) return;
  validateLabels(selector.matchLabels, at.child("matchLabels"));
  selector.matchExpressions?.forEach((each, i) => {
    validateRequirement(each, at.child("matchExpressions").index(i), options);
  });
}

function validateRequirement(
  { key, operator, values = [] }: LabelSelectorRequirement,
  at: Place,
  { anyValue, anyOperator }: SelectorOptions,
): void {
  if (operator === "In" || operator === "NotIn") {
    if (values.length === 0) at.child("values").required("must be specified when `operator` is 'In' or 'NotIn'");
  } else if (operator === "Exists" || operator === "DoesNotExist") {
    if (values.length > 0) {
      at.child("values").forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    }
  } else if (!anyOperator) {
    at.child("operator").invalid(operator ?? "", "not a valid selector operator");
  }
  at.child("key").invalidEach(key ?? "", isQualifiedName(key ?? ""));
  if (anyValue) return;
  values.forEach((value, i) => {
    at.child("values").index(i).invalidEach(value, isLabelValue(value));
  });
}

/** Whether an expression has a value that no label can have. */
export const hasInvalidSelectorValue = (selector: LabelSelector | undefined): boolean =>
  selector?.matchExpressions?.some((each) => each.values?.some((value) => isLabelValue(value).length > 0)) ?? false;
