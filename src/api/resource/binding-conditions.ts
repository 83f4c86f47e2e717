/** Conditions that a device waits for before a pod is bound. */
import { isQualifiedName } from "#machinery";
import type { Place } from "../place.ts";
import { validateList } from "./lists.ts";

const conditionsMax = 4;

export interface BindingConditions {
  readonly bindingConditions?: readonly string[];
  readonly bindingFailureConditions?: readonly string[];
}

export function validateBindingConditions(
  { bindingConditions: ready, bindingFailureConditions: failed }: BindingConditions,
  at: Place,
): void {
  const readyAt = at.child("bindingConditions");
  const failedAt = at.child("bindingFailureConditions");
  const rules = { countMax: conditionsMax, check: validateConditionName };
  validateList(ready, readyAt, rules);
  validateList(failed, failedAt, rules);
  ready?.forEach((name, i) => {
    if (ready.indexOf(name) < i) readyAt.index(i).duplicate(name);
  });
  failed?.forEach((name, i) => {
    if (failed.indexOf(name) < i) failedAt.index(i).duplicate(name);
    if (ready?.includes(name)) {
      failedAt.index(i).invalid(name, "bindingFailureConditions must not overlap with bindingConditions");
    }
  });
  const readyCount = ready?.length ?? 0;
  const failedCount = failed?.length ?? 0;
  if (readyCount === 0 && failedCount > 0) {
    readyAt.invalid(ready ?? null, "bindingConditions are required to use bindingFailureConditions");
  }
  if (failedCount === 0 && readyCount > 0) {
    failedAt.invalid(failed ?? null, "bindingFailureConditions are required to use bindingConditions");
  }
}

function validateConditionName(name: string, at: Place): void {
  at.invalidEach(name, isQualifiedName(name));
}
