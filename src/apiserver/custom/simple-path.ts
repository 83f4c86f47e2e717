/** The paths of scale and of status in it: members only (`.spec.replicas`). */
export type SimplePath = readonly string[];

/** Upstream splits at dots, whatever else is in there. */
export const simplePath = (text: string): SimplePath => text.replace(/^\./, "").split(".");

/** Thrown where the path leads through something that is no object. */
export class PathError extends Error {}

export function valueAt(object: unknown, path: SimplePath): unknown {
  let value: unknown = object;
  for (const [depth, name] of path.entries()) {
    if (value === undefined) return undefined;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      const at = `.${path.slice(0, depth + 1).join(".")}`;
      const found = `${goPrint(value)} is of the type ${goTypeOf(value)}`;
      throw new PathError(`${at} accessor error: ${found}, expected map[string]interface{}`);
    }
    value = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
  }
  return value;
}

export function setAt(object: object, path: SimplePath, value: unknown): void {
  let at = object as Record<string, unknown>;
  for (const name of path.slice(0, -1)) {
    const next = at[name];
    if (typeof next !== "object" || next === null) at[name] = {};
    at = at[name] as Record<string, unknown>; // made above if it wasn't there
  }
  at[path.at(-1) ?? ""] = value;
}

const goPrint = (value: unknown): string => (value === null ? "<nil>" : String(value));

export function goTypeOf(value: unknown): string {
  if (value === null) return "<nil>";
  if (Array.isArray(value)) return "[]interface {}";
  if (typeof value === "number") return Number.isInteger(value) ? "int64" : "float64";
  return typeof value === "boolean" ? "bool" : typeof value;
}
