/** Counters that devices share: sets of them in a slice, and what a device takes of a set. */
import { dns1123LabelLengthMax } from "#machinery";
import type { Place } from "../place.ts";
import type { Counter, CounterSet, DeviceCounterConsumption } from "../types.d.ts";
import { validateMap } from "./lists.ts";
import { validateLabelName } from "./names.ts";

const countersMax = 32;

export function validateCounterSet({ name, counters }: CounterSet, at: Place): void {
  validateName(name, at.child("name"));
  validateCounters(counters, at.child("counters"));
}

export function validateConsumption({ counterSet, counters }: DeviceCounterConsumption, at: Place): void {
  validateName(counterSet, at.child("counterSet"));
  validateCounters(counters, at.child("counters"));
}

function validateName(name: string | undefined, at: Place): void {
  if (name) validateLabelName(name, at);
  else at.required();
}

function validateCounters(counters: Record<string, Counter> | undefined, at: Place): void {
  if (Object.keys(counters ?? {}).length === 0) at.required();
  else {
    validateMap(counters, at, {
      countMax: countersMax,
      keyBytesShown: dns1123LabelLengthMax,
      checkKey: validateLabelName,
    });
  }
}
