/** How much of a device's capacity one request may take. Follows upstream's validateRequestPolicy. */
import { addQuantities, compareQuantities, printQuantity, quantityValue } from "#machinery";
import type { Place } from "../place.ts";
import type { CapacityRequestPolicy, CapacityRequestPolicyRange } from "../types.d.ts";
import { validateSet } from "./lists.ts";

const optionsMax = 10;

/** `capacity`: all there is. Amounts are canonical quantities. */
export function validateRequestPolicy(policy: CapacityRequestPolicy, capacity: string, at: Place): void {
  const { validValues = [], validRange } = policy;
  // Upstream's field is a pointer that is always printed.
  const preset = policy.default ?? undefined;
  if (validValues.length > 0 && validRange) {
    const detail = 'cannot specify "validValues" and "validRange" at the same time';
    at.forbidden(`exactly one policy can be specified, ${detail}`);
  } else if (validValues.length > 0) {
    if (preset === undefined) at.child("default").required("required when validValues is defined");
    else validateValues(validValues, at.child("validValues"), { preset, capacity });
  } else if (validRange) {
    if (preset === undefined) at.child("default").required("required when validRange is defined");
    else validateRange(validRange, at.child("validRange"), { preset, capacity });
  }
}

interface Amounts {
  /** What a request takes that says nothing. */
  readonly preset: string;
  readonly capacity: string;
}

function validateValues(values: readonly string[], at: Place, { preset, capacity }: Amounts): void {
  values.forEach((value, i) => {
    const before = values[i - 1];
    if (before === undefined || compareQuantities(before, value) <= 0) return;
    at.index(i).invalid(value, "values must be sorted in ascending order");
  });
  let hasPreset = false;
  validateSet(values, at, {
    countMax: optionsMax,
    check(value, place) {
      if (compareQuantities(value, capacity) > 0) {
        place.invalid(value, `option is larger than capacity value: ${capacity}`);
      }
      hasPreset ||= compareQuantities(value, preset) === 0;
    },
    key: (value) => String(quantityValue(value)),
  });
  if (!hasPreset) at.invalid(preset, "default value is not valid according to the requestPolicy");
}

function validateRange(range: CapacityRequestPolicyRange, at: Place, { preset, capacity }: Amounts): void {
  const { min, max, step } = range;
  const [minAt, maxAt, stepAt] = [at.child("min"), at.child("max"), at.child("step")];
  if (min === undefined) {
    minAt.required("required when validRange is defined");
    return;
  }
  if (compareQuantities(min, capacity) > 0) minAt.invalid(min, `min is larger than capacity value: ${capacity}`);
  if (compareQuantities(preset, min) < 0) minAt.invalid(preset, `default is less than min: ${min}`);
  if (max !== undefined) {
    if (compareQuantities(min, max) > 0) maxAt.invalid(min, `min is larger than max: ${max}`);
    if (compareQuantities(max, capacity) > 0) maxAt.invalid(max, `max is larger than capacity value: ${capacity}`);
    if (compareQuantities(preset, max) > 0) maxAt.invalid(preset, `default is more than max: ${max}`);
  }
  if (step === undefined) return;
  const first = addQuantities(min, step);
  if (compareQuantities(first, capacity) > 0) {
    stepAt.invalid(step, `one step ${printQuantity(first)} is larger than capacity value: ${capacity}`);
  }
  for (const value of max === undefined ? [preset] : [preset, max]) {
    if (isOnStep(value, { min, step })) continue;
    stepAt.invalid(value, `value is not a multiple of a given step (${step}) from (${min})`);
  }
}

/** In whole units. Upstream divides by a step of zero and fails; nothing is on such a step here. */
function isOnStep(value: string, { min, step }: { min: string; step: string }): boolean {
  return (quantityValue(value) - quantityValue(min)) % quantityValue(step) === 0;
}
