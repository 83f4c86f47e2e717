/** Numbers that count something and so can't be negative. */
import { negativeMessage } from "#machinery";
import type { Place } from "./place.ts";

export function validateCount(value: number | undefined, at: Place): void {
  if (value !== undefined && value < 0) at.invalid(value, negativeMessage);
}

/** `fields` of `object`, in this order. */
export function validateCounts<T extends object>(object: T, at: Place, fields: readonly NumberFields<T>[]): void {
  for (const field of fields) {
    const value = object[field];
    if (typeof value === "number") validateCount(value, at.child(field));
  }
}

type NumberFields<T> = { [K in keyof T]-?: number extends T[K] ? K : never }[keyof T] & string;

/** Counts that can't exceed another one, which `limit` names. */
export function validateAtMost<T extends object>(
  object: T,
  at: Place,
  { fields, of, name }: { fields: readonly NumberFields<T>[]; of: NumberFields<T>; name: string },
): void {
  const limit = Number(object[of] ?? 0);
  for (const field of fields) {
    const value = Number(object[field] ?? 0);
    if (value > limit) at.child(field).invalid(value, `cannot be greater than ${name}`);
  }
}

/** A counter that only grows. */
export function validateGrowing(now: number | undefined, before: number | undefined, at: Place): void {
  if (before !== undefined && (now ?? -1) < before) at.invalid(now ?? 0, "cannot be decremented");
}
