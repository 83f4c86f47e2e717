/** What a driver is told about devices: JSON objects that only it understands. */
import { longerThan } from "#machinery";
import type { Place } from "../place.ts";
import type { DeviceConfiguration } from "../types.d.ts";
import { validateDriverName } from "./names.ts";

export const configurationsMax = 32;
const parametersBytesMax = 10 * 1024;

/** `stored`: as it was before; it may be longer than what is taken anew. */
export function validateConfiguration(
  { opaque }: DeviceConfiguration,
  at: Place,
  { stored = false }: { readonly stored?: boolean } = {},
): void {
  const place = at.child("opaque");
  if (!opaque) {
    place.required();
    return;
  }
  validateDriverName(opaque.driver, place.child("driver"));
  validateJsonObject(opaque.parameters, place.child("parameters"), {
    bytesMax: stored ? Infinity : parametersBytesMax,
  });
}

export function validateJsonObject(value: unknown, at: Place, { bytesMax }: { readonly bytesMax: number }): void {
  if (value === undefined || value === null) at.required();
  else if (longerThan(JSON.stringify(value), bytesMax)) at.tooLong(bytesMax);
  else if (typeof value !== "object" || Array.isArray(value)) {
    at.invalid("<value omitted>", "must be a valid JSON object");
  }
}
