/**
 * What differs between two objects of a type, as sets of fields. Upstream walks paths and inserts each into three sorted
 * sets; here one walk builds the trees from below and allocates only where something differs. Added and modified fields
 * are one set, because owners lose and writers win both alike.
 */
import { compareElements } from "./element.ts";
import { elementOf, equalValues, isObject, type JsonObject } from "./item.ts";
import { emptyObject, type ListPlan, type Plan, planOfUnknown, type SetPlan, type StructPlan } from "./plan.ts";
import { type FieldSet, leaf, type MutableFieldSet } from "./set.ts";

export interface Difference {
  /** Fields that are new or have another value. */
  changed: FieldSet | undefined;
  /** Fields that are gone. */
  removed: FieldSet | undefined;
}

/** undefined: nothing differs. Throws ShapeError. */
export function compareObjects(plan: StructPlan, live: JsonObject, result: JsonObject): Difference | undefined {
  return compareFields(plan, live, result);
}

function compare(plan: Plan, a: unknown, b: unknown): Difference | undefined {
  switch (plan.kind) {
    case "leaf":
      return equalValues(a, b) ? undefined : { changed: leaf, removed: undefined };
    case "deduced": {
      const planA = planOfUnknown(a);
      const planB = planOfUnknown(b);
      if (planA.kind !== planB.kind || planA.kind === "leaf") return compareMixed(plan, a, b);
      return compareMaps(undefined, a, b);
    }
    case "struct":
      if (!isObject(a) || !isObject(b)) return compareMixed(plan, a, b);
      return compareFields(plan, a, b);
    case "map":
      return compareMaps(plan.values, a, b);
    case "set":
    case "list":
      return compareLists(plan, a, b);
  }
}

/** One of two is no container, or null: everything below the other comes or goes, the field itself stays a field. */
function compareMixed(plan: Plan, a: unknown, b: unknown): Difference | undefined {
  if (equalValues(a, b)) return undefined;
  const below = isObject(a) ? fieldsOf(plan, a) : isObject(b) ? fieldsOf(plan, b) : leaf;
  const children = withoutSelf(below);
  if (!children) return { changed: leaf, removed: undefined };
  if (isObject(a)) return { changed: b === null ? undefined : leaf, removed: children };
  return { changed: a === null ? children : below, removed: undefined };
}

function withoutSelf(node: FieldSet): FieldSet | undefined {
  let out: MutableFieldSet | undefined;
  for (const element in node) {
    if (element === ".") continue;
    out ??= {};
    out[element] = node[element] ?? leaf;
  }
  return out;
}

function compareFields(plan: StructPlan, a: JsonObject, b: JsonObject): Difference | undefined {
  if (a === b) return undefined;
  let changed: MutableFieldSet | undefined;
  let removed: MutableFieldSet | undefined;
  for (const field of plan.fields) {
    let left = a[field.name];
    let right = b[field.name];
    if (left === right) continue;
    if (left === undefined) left = field.zero;
    if (right === undefined) right = field.zero;
    if (left === right) continue;
    if (left === undefined) {
      changed ??= {};
      changed[field.key] = fieldsOf(field.plan, right);
    } else if (right === undefined) {
      removed ??= {};
      removed[field.key] = fieldsOf(field.plan, left);
    } else {
      const below = compare(field.plan, left, right);
      if (below === undefined) continue;
      if (below.changed) {
        changed ??= {};
        changed[field.key] = below.changed;
      }
      if (below.removed) {
        removed ??= {};
        removed[field.key] = below.removed;
      }
    }
  }
  if (plan.open) {
    const unknown = compareMaps(undefined, undeclared(plan, a), undeclared(plan, b));
    if (unknown?.changed) changed = inOrder({ ...changed, ...unknown.changed });
    if (unknown?.removed) removed = inOrder({ ...removed, ...unknown.removed });
  }
  return changed || removed ? { changed, removed } : undefined;
}

function undeclared(plan: StructPlan, object: JsonObject): JsonObject {
  let out: Record<string, unknown> | undefined;
  for (const name in object) {
    if (plan.byName.has(name)) continue;
    out ??= {};
    out[name] = object[name];
  }
  return out ?? emptyObject;
}

function inOrder(set: FieldSet): FieldSet {
  return Object.fromEntries(Object.entries(set).sort(([a], [b]) => compareElements(a, b)));
}

/** `values`: undefined when each value shows its type itself. */
function compareMaps(values: Plan | undefined, a: unknown, b: unknown): Difference | undefined {
  const left = isObject(a) ? a : emptyObject;
  const right = isObject(b) ? b : emptyObject;
  if (left === right) return a === b ? undefined : { changed: leaf, removed: undefined };
  let changed: MutableFieldSet | undefined;
  let removed: MutableFieldSet | undefined;
  let some = false;
  for (const name of namesOfBoth(left, right)) {
    some = true;
    const old = left[name];
    const now = right[name];
    if (old === now) continue;
    const below =
      old === undefined
        ? { changed: fieldsOf(values ?? planOfUnknown(now), now), removed: undefined }
        : now === undefined
          ? { changed: undefined, removed: fieldsOf(values ?? planOfUnknown(old), old) }
          : compare(values ?? planOfPair(old, now), old, now);
    if (below?.changed) {
      changed ??= {};
      changed[`f:${name}`] = below.changed;
    }
    if (below?.removed) {
      removed ??= {};
      removed[`f:${name}`] = below.removed;
    }
  }
  if (!some && !equalValues(a, b)) return { changed: leaf, removed: undefined };
  return changed || removed ? { changed, removed } : undefined;
}

const planOfPair = (a: unknown, b: unknown): Plan => planOfUnknown(isObject(a) ? a : b);

function namesOfBoth(a: JsonObject, b: JsonObject): string[] {
  const names = Object.keys(a);
  for (const name in b) if (!(name in a)) names.push(name);
  return names.sort();
}

function compareLists(plan: ListPlan | SetPlan, a: unknown, b: unknown): Difference | undefined {
  if (equalValues(a, b)) return undefined;
  const left = Array.isArray(a) ? a : [];
  const right = Array.isArray(b) ? b : [];
  if (left.length === 0 && right.length === 0) return { changed: leaf, removed: undefined };
  const before = itemsByElement(plan, left);
  const after = itemsByElement(plan, right);
  const elements = [...before.keys()];
  for (const element of after.keys()) if (!before.has(element)) elements.push(element);
  elements.sort(compareElements);
  const changed: MutableFieldSet = {};
  const removed: MutableFieldSet = {};
  let some = false;
  for (const element of elements) {
    const below = compareItems(plan, before.get(element) ?? [], after.get(element) ?? []);
    if (below?.changed) changed[element] = below.changed;
    if (below?.removed) removed[element] = below.removed;
    some ||= below !== undefined;
  }
  if (!some) return undefined;
  return { changed: nonEmpty(changed), removed: nonEmpty(removed) };
}

function nonEmpty(set: FieldSet): FieldSet | undefined {
  for (const _ in set) return set;
  return undefined;
}

/** Items of one key before and after; several of them count as one leaf, because nothing tells them apart. */
function compareItems(plan: ListPlan | SetPlan, before: unknown[], after: unknown[]): Difference | undefined {
  const [old, secondOld] = before;
  const [now, secondNow] = after;
  if (secondOld === undefined && secondNow === undefined) {
    if (old === undefined) return { changed: fieldsOf(plan.items, now), removed: undefined };
    if (now === undefined) return { changed: undefined, removed: fieldsOf(plan.items, old) };
    return compare(plan.items, old, now);
  }
  if (secondOld !== undefined && secondNow !== undefined)
    return equalValues(before, after) ? undefined : { changed: leaf, removed: undefined };
  if (secondOld !== undefined)
    return { changed: now === undefined ? undefined : fieldsOf(plan.items, now), removed: leaf };
  return { changed: leaf, removed: old === undefined ? undefined : fieldsOf(plan.items, old) };
}

export function itemsByElement(plan: ListPlan | SetPlan, list: readonly unknown[]): Map<string, unknown[]> {
  const found = new Map<string, unknown[]>();
  for (const item of list) {
    const element = elementOf(plan, item);
    const same = found.get(element);
    if (same) same.push(item);
    else found.set(element, [item]);
  }
  return found;
}

/** The node of a field that only one of two objects has: the field and everything below it. Throws ShapeError. */
export function fieldsOf(plan: Plan, value: unknown): FieldSet {
  if (value === null || typeof value !== "object") return leaf;
  switch (plan.kind) {
    case "leaf":
      return leaf;
    case "struct":
      return fieldsOfStruct(plan, value as JsonObject); // not null, not a scalar; a list has none of the fields
    case "map":
      return fieldsOfMap(plan.values, value as JsonObject); // as above
    case "deduced":
      return Array.isArray(value) ? leaf : fieldsOfMap(undefined, value as JsonObject); // not null, not a list
    case "set":
    case "list":
      return Array.isArray(value) ? fieldsOfList(plan, value) : leaf;
  }
}

function fieldsOfStruct(plan: StructPlan, object: JsonObject): FieldSet {
  let out: MutableFieldSet | undefined;
  for (const field of plan.fields) {
    const value = object[field.name];
    if (value === undefined && field.zero === undefined) continue;
    out ??= { ".": leaf };
    out[field.key] = fieldsOf(field.plan, value === undefined ? field.zero : value);
  }
  if (plan.open) {
    const unknown = undeclared(plan, object);
    if (unknown !== emptyObject) out = inOrder({ ...out, ...fieldsOfMap(undefined, unknown) });
  }
  return out ?? leaf;
}

function fieldsOfMap(values: Plan | undefined, object: JsonObject): FieldSet {
  const names = Object.keys(object);
  if (names.length === 0) return leaf;
  names.sort();
  const out: MutableFieldSet = { ".": leaf };
  for (const name of names) out[`f:${name}`] = fieldsOf(values ?? planOfUnknown(object[name]), object[name]);
  return out;
}

function fieldsOfList(plan: ListPlan | SetPlan, list: readonly unknown[]): FieldSet {
  if (list.length === 0) return leaf;
  const nodes: [string, FieldSet][] = [];
  let sorted = true;
  for (const item of list) {
    const element = elementOf(plan, item);
    const previous = nodes.at(-1);
    if (previous && compareElements(previous[0], element) >= 0) sorted = false;
    nodes.push([element, fieldsOf(plan.items, item)]);
  }
  if (!sorted) nodes.sort(([a], [b]) => compareElements(a, b));
  const out: MutableFieldSet = { ".": leaf };
  for (const [element, node] of nodes) out[element] = element in out ? leaf : node;
  return out;
}
