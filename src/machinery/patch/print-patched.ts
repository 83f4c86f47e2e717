/**
 * A patched document as upstream's patch libraries leave it: objects on the way of a change were taken apart and have their keys sorted,
 * everything else is as it was. Only messages show it.
 */
import { goJson } from "../go-text.ts";

type Json = Record<string, unknown>;

/** A tree of what was touched: objects for what was opened, anything else for what was put there whole. Of itself: all of it. */
export function printPatched(value: unknown, touched: unknown): string {
  if (typeof touched !== "object" || touched === null) return goJson(value);
  if (Array.isArray(value)) return `[${value.map((each, i) => printPatched(each, (touched as Json)[i])).join(",")}]`;
  if (!isObject(value)) return goJson(value);
  const members = Object.keys(value)
    .sort()
    .filter((key) => value[key] !== undefined)
    .map((key) => `${goJson(key)}:${printPatched(value[key], (touched as Json)[key])}`);
  return `{${members.join(",")}}`;
}

/** What the operations of a JSON patch open: the way to each of their places. */
export function touchedByOperations(operations: readonly { path?: unknown; from?: unknown }[]): Json {
  const root: Json = {};
  for (const { path, from } of operations)
    for (const pointer of [path, from]) {
      if (typeof pointer !== "string") continue;
      const keys = pointer.split("/").slice(1, -1);
      let at = root;
      for (const key of keys) {
        const name = key.replaceAll("~1", "/").replaceAll("~0", "~");
        const next = isObject(at[name]) ? at[name] : {};
        at[name] = next;
        at = next;
      }
    }
  return root;
}

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
