/** An applied configuration put over the live object: nothing goes, what both have takes the configuration's value. */
import { elementOf, isObject, type JsonObject } from "./item.ts";
import { type ListPlan, type Plan, planOfUnknown, type SetPlan, type StructPlan } from "./plan.ts";

type MutableObject = Record<string, unknown>;

export function cloneValue(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(cloneValue);
  const out: MutableObject = {};
  for (const name in value) out[name] = cloneValue((value as JsonObject)[name]); // not null, not an array
  return out;
}

/** A new object that shares nothing with either. Throws ShapeError. */
export function mergeObjects(plan: StructPlan, live: JsonObject, applied: JsonObject): JsonObject {
  return merge(plan, live, applied) as JsonObject; // merging two objects gives one
}

function merge(plan: Plan, live: unknown, applied: unknown): unknown {
  if (live === undefined || live === null) return cloneValue(applied);
  switch (plan.kind) {
    case "leaf":
      return cloneValue(applied);
    case "list":
    case "set":
      if (!Array.isArray(live) || live.length === 0) return cloneValue(applied);
      return mergeLists(plan, live, Array.isArray(applied) ? applied : []);
    default:
      if (!isObject(live) || (applied !== null && !isObject(applied))) return cloneValue(applied);
      if (applied === null) return Object.keys(live).length === 0 ? null : cloneValue(live);
      return mergeMaps(plan, live, applied);
  }
}

function mergeMaps(plan: Plan, live: JsonObject, applied: JsonObject): JsonObject {
  const out: MutableObject = {};
  for (const name in live) {
    const value = applied[name];
    out[name] =
      value === undefined ? cloneValue(live[name]) : merge(childPlan(plan, name, live[name], value), live[name], value);
  }
  for (const name in applied) if (!(name in out)) out[name] = cloneValue(applied[name]);
  return out;
}

/** What lies behind a name; what isn't declared shows its type itself. */
export function childPlan(plan: Plan, name: string, value: unknown, other: unknown = value): Plan {
  const declared = plan.kind === "map" ? plan.values : plan.kind === "struct" ? plan.byName.get(name)?.plan : undefined;
  return declared ?? planOfUnknown(isObject(value) ? other : value);
}

/**
 * Items of both lists in one order: items that only one list has keep their place before the next shared item, shared
 * items come in the order of the applied list.
 */
function mergeLists(plan: ListPlan | SetPlan, live: readonly unknown[], applied: readonly unknown[]): unknown[] {
  const liveElements = live.map((item) => elementOf(plan, item));
  const appliedElements = applied.map((item) => elementOf(plan, item));
  const liveItems = new Map<string, unknown>();
  // Live items that share a key are not merged with anything, the applied one replaces them all.
  for (const [i, element] of liveElements.entries()) liveItems.set(element, liveItems.has(element) ? null : live[i]);
  const wanted = new Set(appliedElements);
  const shared = appliedElements.filter((element) => liveItems.has(element));
  const done = new Set<string>();
  const out: unknown[] = [];
  let next = shared.shift();
  const take = (element: string, item: unknown): void => {
    done.add(element);
    out.push(merge(plan.items, liveItems.get(element), item));
    if (element === next) next = shared.shift();
  };
  for (let i = 0, j = 0; i < live.length || j < applied.length; ) {
    const left = liveElements[i];
    const right = appliedElements[j];
    if (left !== undefined && right !== undefined) {
      if (left === right) {
        take(right, applied[j]);
        i++;
        j++;
        continue;
      }
      if (wanted.has(left) && next !== undefined && next !== left) {
        i++;
        continue;
      }
    }
    if (left !== undefined && !wanted.has(left)) {
      out.push(cloneValue(live[i]));
      i++;
    } else if (left !== undefined && done.has(left)) i++;
    else if (right !== undefined) {
      take(right, applied[j]);
      j++;
    } else i++;
  }
  return out;
}
