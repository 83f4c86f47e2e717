/** Amounts that are a number of pods or a percentage of them. Follows the checks of upstream's apps validation. */
import { isPercent } from "#machinery";
import { validateCount } from "./counts.ts";
import type { Place } from "./place.ts";

export type IntOrPercent = number | string;

export function validateIntOrPercent(value: IntOrPercent | undefined, at: Place): void {
  if (typeof value === "string") at.invalidEach(value, isPercent(value));
  else validateCount(value, at);
}

export function validateAtMostAll(value: IntOrPercent | undefined, at: Place): void {
  if (typeof value !== "string" || isPercent(value).length > 0) return;
  if (Number.parseInt(value, 10) > 100) at.invalid(value, "must not be greater than 100%");
}

/** Whether it is nothing, counted or as a share; upstream reads a text that is neither as nothing. */
export const isNothing = (value: IntOrPercent | undefined): boolean =>
  typeof value === "string"
    ? (isPercent(value).length === 0 ? Number.parseInt(value, 10) : Number(value) || 0) === 0
    : !value;
