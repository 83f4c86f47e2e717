/** Labels, annotations and label selectors inside specs: the machinery's checks, at a place. */
import {
  isLabelValue,
  type LabelSelectorOptions,
  validateAnnotations as checkAnnotations,
  validateLabels as checkLabels,
  validateLabelSelector as checkSelector,
} from "#machinery";
import type { Place } from "./place.ts";
import type { LabelSelector } from "./types.d.ts";

type Texts = Readonly<Record<string, string>> | undefined;

export function validateLabels(labels: Texts, at: Place): void {
  if (labels) at.add(checkLabels(labels, at.path));
}

export function validateAnnotations(annotations: Texts, at: Place): void {
  if (annotations) at.add(checkAnnotations(annotations, at.path));
}

export function validateLabelSelector(
  selector: LabelSelector | undefined,
  at: Place,
  options: LabelSelectorOptions = {},
): void {
  if (selector) at.add(checkSelector(selector, at.path, options));
}

/** Whether an expression has a value that no label can have. */
export const hasInvalidSelectorValue = (selector: LabelSelector | undefined): boolean =>
  selector?.matchExpressions?.some((each) => each.values?.some((value) => isLabelValue(value).length > 0)) ?? false;
