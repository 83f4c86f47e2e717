/** What config maps and secrets have in common: values by key, which can be frozen. */
import { isConfigMapKey } from "#machinery";
import { semanticEqual } from "../equality.ts";
import { Place } from "../place.ts";

/** Protects the store: all values together. */
export const dataBytesMax = 1024 * 1024;

type Values = Readonly<Record<string, string>> | undefined;

export function validateKeys(values: Values, at: Place): void {
  for (const key in values) at.key(key).invalidEach(key, isConfigMapKey(key));
}

export function countBytes(values: Values, encoding: "utf8" | "base64"): number {
  let bytes = 0;
  for (const key in values) bytes += Buffer.byteLength(values[key] ?? "", encoding);
  return bytes;
}

/** An immutable one stays immutable, and so do these fields. */
export function validateFrozen<T extends { immutable?: boolean }>(
  object: T,
  old: T,
  fields: (keyof T & string)[],
): Place {
  const at = Place.root("immutable");
  if (!old.immutable) return at;
  const why = "field is immutable when `immutable` is set";
  if (!object.immutable) at.forbidden(why);
  for (const field of fields) {
    if (!sameValues(object[field], old[field])) Place.root(field, at.errors).forbidden(why);
  }
  return at;
}

/** A key with an empty value is not a missing key. */
const sameValues = (values: unknown, old: unknown): boolean =>
  semanticEqual(values, old) && Object.keys(values ?? {}).length === Object.keys(old ?? {}).length;
