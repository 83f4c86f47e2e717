/** Which item of a list is which: the path element of an item, or why it has none. */
import { printElement, scalarJson, valueElement } from "./element.ts";
import type { ListPlan, SetPlan } from "./plan.ts";

/** An object doesn't fit its type so that its fields can't be told apart; the message is upstream's. */
export class ShapeError extends Error {
  override name = "ShapeError";
}

export type JsonObject = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Throws ShapeError. */
export function elementOf(plan: ListPlan | SetPlan, item: unknown): string {
  if (plan.kind === "set") {
    if (item === null || item === undefined)
      throw new ShapeError("associative list without keys has an element that's an explicit null");
    if (Array.isArray(item)) throw new ShapeError("not supported: associative list with lists as elements");
    if (typeof item === "object")
      throw new ShapeError("associative list without keys has an element that's a map type");
    return valueElement(item);
  }
  if (item === null || item === undefined)
    throw new ShapeError("associative list with keys may not have a null element");
  if (!isObject(item)) throw new ShapeError("associative list with keys may not have non-map elements");
  let text = "";
  for (const key of plan.keys) {
    const value = item[key.name] ?? key.default;
    if (value === undefined) continue;
    text += `${text === "" ? "k:{" : ","}${key.prefix}${scalarJson(value)}`;
  }
  if (text === "") {
    const names = plan.keys.map(({ name }) => JSON.stringify(name)).join(" ");
    throw new ShapeError(
      `associative list with keys has an element that omits all key fields [${names}] (and doesn't have default values for any key fields)`,
    );
  }
  return `${text}}`;
}

/** Deep equality of plain JSON; absent and undefined are the same. */
export function equalValues(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!equalValues(a[i], b[i])) return false;
    return true;
  }
  if (Array.isArray(b)) return false;
  let count = 0;
  for (const name in a) {
    const left = (a as JsonObject)[name]; // neither null nor an array: an object
    if (left === undefined) continue;
    if (!equalValues(left, (b as JsonObject)[name])) return false; // as above
    count++;
  }
  for (const name in b) if ((b as JsonObject)[name] !== undefined) count--; // as above
  return count === 0;
}

export function duplicateMessage(element: string): string {
  return `duplicate entries for key ${printElement(element)}`;
}
