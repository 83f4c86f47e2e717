/**
 * Whether two values of the API mean the same: upstream's semantic deep equality, for objects that were decoded. A decoder
 * leaves out the zeros that Go can't tell from nothing, so a zero that is there is one: `runAsUser: 0` isn't nothing. Empty
 * lists and maps are nothing; quantities equal by amount where they stand in maps of resources.
 */
import { compareQuantities, QuantityError } from "#machinery";

/** Fields whose texts are quantities. */
const quantityFields: ReadonlySet<string> = new Set([
  "limits",
  "requests",
  "overhead",
  "capacity",
  "allocatable",
  "hard",
  "used",
  "sizeLimit",
  "divisor",
  "allocatedResources",
]);

export const semanticEqual = (a: unknown, b: unknown): boolean => equal(a, b, false);

function equal(a: unknown, b: unknown, areQuantities: boolean): boolean {
  if (a === b) return true;
  if (isEmpty(a) || isEmpty(b)) return isEmpty(a) && isEmpty(b);
  if (typeof a === "string" && typeof b === "string") return areQuantities && sameAmount(a, b);
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    return (
      Array.isArray(a) &&
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((value, i) => equal(value, b[i], areQuantities))
    );
  }
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  for (const key in left) {
    if (!equal(left[key], right[key], areQuantities || quantityFields.has(key))) return false;
  }
  for (const key in right) {
    if (!(key in left) && !isEmpty(right[key])) return false;
  }
  return true;
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (typeof value !== "object") return false;
  if (Array.isArray(value)) return value.length === 0;
  for (const key in value) {
    if (!isEmpty((value as Record<string, unknown>)[key])) return false;
  }
  return true;
}

function sameAmount(a: string, b: string): boolean {
  try {
    return compareQuantities(a, b) === 0;
  } catch (error) {
    if (error instanceof QuantityError) return false;
    throw error;
  }
}

/** What differs between two objects, field by field, for messages that people read. */
export function printDifference(old: object, now: object): string {
  const before = old as Record<string, unknown>;
  const after = now as Record<string, unknown>;
  const lines: string[] = [];
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (equal(before[key], after[key], quantityFields.has(key))) continue;
    if (!isEmpty(before[key])) lines.push(`-${key}: ${JSON.stringify(before[key])}`);
    if (!isEmpty(after[key])) lines.push(`+${key}: ${JSON.stringify(after[key])}`);
  }
  return `${lines.join("\n")}\n`;
}
