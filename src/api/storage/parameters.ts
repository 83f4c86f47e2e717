/** What classes of storage and of attributes have in common: a driver and its parameters, which nobody else understands. */
import { isQualifiedName, jsonEqual } from "#machinery";
import type { Place } from "../place.ts";

type Parameters = Readonly<Record<string, string>> | undefined;

/** Keys and values together; protects the store. */
const bytesMax = 256 * 1024;
const countMax = 512;

export function validateDriver(name: string | undefined, at: Place): void {
  if (!name) at.required();
  else at.invalidEach(name.toLowerCase(), isQualifiedName(name.toLowerCase()));
}

export function validateParameters(parameters: Parameters, at: Place): void {
  const entries = Object.entries(parameters ?? {});
  if (entries.length > countMax) {
    at.tooLong(countMax);
    return;
  }
  if (entries.some(([key]) => key === "")) at.invalid("", "field can not be empty.");
  if (countBytes(parameters) > bytesMax) at.tooLong(bytesMax);
}

export function countBytes(texts: Parameters): number {
  let bytes = 0;
  for (const key in texts) bytes += Buffer.byteLength(key) + Buffer.byteLength(texts[key] ?? "");
  return bytes;
}

export function validateSameParameters(parameters: Parameters, old: Parameters, at: Place): void {
  if (!jsonEqual(parameters ?? {}, old ?? {})) at.forbidden("updates to parameters are forbidden.");
}
