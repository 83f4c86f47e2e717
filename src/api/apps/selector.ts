/** Selectors of pods that a workload owns: they say something, and the pods of its template match. */
import { compileLabelSelector, type LabelMatcher, SelectorError } from "#machinery";
import { goMap } from "../go-struct.ts";
import type { Place } from "../place.ts";
import { validateLabelSelector } from "../selectors.ts";
import type { LabelSelector, PodTemplateSpec } from "../types.d.ts";

export const isEmptySelector = ({ matchLabels, matchExpressions }: LabelSelector): boolean =>
  Object.keys(matchLabels ?? {}).length + (matchExpressions?.length ?? 0) === 0;

/** `owner` is upstream's word for the kind in messages. */
export function validateOwnSelector(selector: LabelSelector | undefined, at: Place, owner: string): void {
  if (!selector) {
    at.required();
    return;
  }
  validateLabelSelector(selector, at);
  if (isEmptySelector(selector)) at.invalid(selector, `empty selector is invalid for ${owner}`);
}

/** A missing selector matches nothing; undefined for one that is wrong. */
export function readSelector(selector: LabelSelector | undefined): LabelMatcher | undefined {
  try {
    return compileLabelSelector(selector);
  } catch (error) {
    if (error instanceof SelectorError) return undefined;
    throw error;
  }
}

/** `at` is the template. */
export function validateTemplateLabels(template: PodTemplateSpec | undefined, at: Place, selector: LabelMatcher): void {
  const labels = template?.metadata?.labels;
  if (selector.matches(labels)) return;
  at.child("metadata")
    .child("labels")
    .invalid(labels && goMap(labels), "`selector` does not match template `labels`");
}

/** What `scale` and tables print. */
export const printSelector = (selector: LabelSelector | undefined): string => readSelector(selector)?.toString() ?? "";
