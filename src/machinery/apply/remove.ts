/** Fields taken out of an object, and sets made ready for deciding which ones to take. */
import { elementOf, isObject, type JsonObject } from "./item.ts";
import { childPlan } from "./merge.ts";
import { type Plan, planOfUnknown, type StructPlan } from "./plan.ts";
import { type FieldSet, isEmpty, isMember, leaf, type MutableFieldSet } from "./set.ts";

/** Where a container lost everything: it is null there. */
export type Emptied = { readonly holder: Record<string, unknown>; readonly name: string }[];

/** A new object without these fields; containers that lose everything become null, which is noted in `emptied`. */
export function removeFields(
  plan: StructPlan,
  object: JsonObject,
  fields: FieldSet,
  emptied: Emptied = [],
): JsonObject {
  if (isEmpty(fields)) return object;
  return (removeBelow(plan, object, fields, emptied) ?? {}) as JsonObject; // an object stays one, or becomes null
}

function removeBelow(plan: Plan, value: unknown, fields: FieldSet, emptied: Emptied): unknown {
  if (plan.kind === "leaf") return value;
  if (plan.kind === "list" || plan.kind === "set") {
    if (!Array.isArray(value)) return value;
    const kept: unknown[] = [];
    for (const item of value) {
      const node = fields[elementOf(plan, item)];
      if (node === undefined) kept.push(item);
      else if (!isMember(node)) kept.push(removeBelow(plan.items, item, node, emptied));
    }
    return kept.length === 0 ? null : kept;
  }
  if (!isObject(value)) return value;
  const out: Record<string, unknown> = {};
  for (const name in value) {
    const node = fields[`f:${name}`];
    if (node === undefined) out[name] = value[name];
    else if (!isMember(node)) {
      out[name] = removeBelow(childPlan(plan, name, value[name]), value[name], node, emptied);
      if (out[name] === null) emptied.push({ holder: out, name });
    }
  }
  return Object.keys(out).length === 0 ? null : out;
}

/** The set with every declared field that has something below it as a member. */
export function withStructs(plan: Plan, set: FieldSet): FieldSet {
  const out: MutableFieldSet = {};
  for (const element in set) {
    const node = set[element] ?? leaf;
    if (element === "." || isEmpty(node)) {
      out[element] = node;
      continue;
    }
    const declared = plan.kind === "struct" ? plan.byName.get(element.slice(2)) : undefined;
    const below = withStructs(planOfElement(plan, element), node);
    out[element] = element.startsWith("f:") && declared && !isMember(below) ? { ".": leaf, ...below } : below;
  }
  return out;
}

function planOfElement(plan: Plan, element: string): Plan {
  if (element.startsWith("f:")) {
    if (plan.kind === "map") return plan.values;
    if (plan.kind === "struct") return plan.byName.get(element.slice(2))?.plan ?? planOfUnknown({});
  }
  if (plan.kind === "list" && element.startsWith("k:")) return plan.items;
  return planOfUnknown({});
}

/**
 * Owned fields after the type changed from granular to atomic: who owned some of it owns all of it.
 * Returns the set itself when nothing changed, which is nearly always.
 */
export function reconcile(plan: Plan, set: FieldSet): FieldSet {
  let out: MutableFieldSet | undefined;
  for (const element in set) {
    const node = set[element];
    if (node === undefined || element === "." || isEmpty(node)) continue;
    const field = plan.kind === "struct" ? plan.byName.get(element.slice(2)) : undefined;
    const below: Plan | undefined =
      plan.kind === "struct"
        ? field?.plan
        : plan.kind === "map"
          ? plan.values
          : plan.kind === "list"
            ? plan.items
            : undefined;
    if (below === undefined) continue;
    const now =
      below.kind === "leaf"
        ? below.value.kind === "object" || below.value.kind === "list" || below.value.kind === "map"
          ? leaf
          : node
        : reconcile(below, node);
    if (now === node) continue;
    out ??= { ...set };
    out[element] = now;
  }
  return out ?? set;
}
