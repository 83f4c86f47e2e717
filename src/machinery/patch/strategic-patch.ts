/**
 * Strategic merge patch: lists with a merge key are merged item by item, directives (`$patch`, `$retainKeys`,
 * `$setElementOrder/x`, `$deleteFromPrimitiveList/x`) say what a plain merge cannot. Which lists merge, and by which key,
 * comes from the type. Follows apimachinery's util/strategicpatch (1.36), its order of items and its complaints included;
 * unlike it, nothing is changed in place: a merged map is a new one that shares what didn't change.
 */
import { jsonEqual, setOwn } from "../deep.ts";
import { goKindName, goTypeName, goValue } from "../go-text.ts";
import type { FieldSchema, TypeSchema, ValueSchema } from "../schema.ts";
import { PatchError } from "./patch-error.ts";

type Json = Record<string, unknown>;

const directiveMarker = "$patch";
const retainKeysDirective = "$retainKeys";
const setElementOrderDirective = "$setElementOrder";
const deleteFromPrimitiveListDirective = "$deleteFromPrimitiveList";

const malformedOrder = () => new PatchError("malformed", "invalid patch format of setElementOrder list");
const malformedPrimitives = () => new PatchError("malformed", "invalid patch format of primitive list");
const malformedRetainKeys = () => new PatchError("malformed", "invalid patch format of retainKeys");
const internal = (message: string) => new PatchError("internal", message);

const noMergeKey = (item: unknown, mergeKey: string) =>
  internal(`map: ${goValue(item)} does not contain declared merge key: ${mergeKey}`);
const badType = (expected: string, actual: unknown) =>
  internal(`expected a ${expected}, but received a ${goTypeName(actual)}`);

/** As Go prints it with %s. */
function printed(value: unknown): string {
  const plain = typeof value === "string" || typeof value === "object";
  return plain ? goValue(value) : `%!s(${goTypeName(value)}=${goValue(value)})`;
}

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The original with the patch merged in. Throws PatchError. */
export function strategicPatch(original: Json, patch: Json, type: TypeSchema): Json {
  return mergeMap(original, patch, { kind: "object", type });
}

function mergeMap(original: Json, patch: Json, schema: ValueSchema): Json {
  const directive = patch[directiveMarker];
  if (directive !== undefined) return replaceOrDelete(directive, patch);
  const { [retainKeysDirective]: retainKeys, ...rest } = patch;
  const merged = retainKeys === undefined ? { ...original } : retain(original, { retainKeys, patch: rest });
  mergeOrderedLists(merged, rest, schema);
  for (const key in rest) mergeMember(merged, { key, value: rest[key], schema });
  return merged;
}

function replaceOrDelete(directive: unknown, patch: Json): Json {
  if (directive === "delete") return {};
  if (directive !== "replace") {
    throw internal(`unknown patch type: ${printed(directive)} in map: ${goValue(patch)}`);
  }
  const { [directiveMarker]: _, ...rest } = patch;
  return rest;
}

/** `$retainKeys`: members that the list doesn't name go; the patch may only bring members that it names. */
function retain(original: Json, { retainKeys, patch }: { retainKeys: unknown; patch: Json }): Json {
  if (!Array.isArray(retainKeys)) throw malformedRetainKeys();
  const keys = new Set<unknown>(retainKeys);
  for (const key in patch) {
    const isDirective = key.startsWith(deleteFromPrimitiveListDirective) || key.startsWith(setElementOrderDirective);
    if (patch[key] !== null && !isDirective && !keys.has(key)) throw malformedRetainKeys();
  }
  return Object.fromEntries(Object.entries(original).filter(([key]) => keys.has(key)));
}

interface Member {
  readonly key: string;
  readonly value: unknown;
  readonly schema: ValueSchema;
}

function mergeMember(merged: Json, { key: patchKey, value, schema }: Member): void {
  const isDeletion = patchKey.startsWith(deleteFromPrimitiveListDirective);
  const key = isDeletion ? keyAfter(patchKey, deleteFromPrimitiveListDirective) : patchKey;
  if (value === null) {
    delete merged[key];
    return;
  }
  const current = Object.hasOwn(merged, key) ? merged[key] : undefined;
  if (current === undefined || goTypeName(current) !== goTypeName(value)) {
    if (!isDeletion) put(merged, key, withoutDirectives(withoutNulls(value)));
    return;
  }
  if (isObject(current) && isObject(value)) {
    const field = fieldOf(schema, key);
    setOwn(merged, key, strategyOf(field) === "replace" ? value : mergeMap(current, value, field.value));
  } else if (Array.isArray(current) && Array.isArray(value)) {
    const list = listOf(schema, key);
    const merges = isDeletion || list.strategy === "merge";
    setOwn(merged, key, merges ? mergeLists(current, value, { ...list, isDeletion }).items : value);
  } else put(merged, key, value);
}

function put(object: Json, key: string, value: unknown): void {
  if (value === undefined) delete object[key];
  else setOwn(object, key, value);
}

function keyAfter(key: string, directive: string): string {
  const slash = key.indexOf("/");
  if (slash === directive.length) return key.slice(slash + 1);
  throw directive === setElementOrderDirective ? malformedOrder() : malformedPrimitives();
}

// ---- Lists ----

interface ListMeta {
  readonly items: ValueSchema;
  readonly strategy: string;
  readonly mergeKey: string;
}

/** Lists that come with `$setElementOrder`: merged here and taken out of the patch. */
function mergeOrderedLists(merged: Json, patch: Json, schema: ValueSchema): void {
  for (const directive of Object.keys(patch)) {
    if (!directive.startsWith(setElementOrderDirective)) continue;
    const order = patch[directive];
    delete patch[directive];
    if (!Array.isArray(order)) throw badType("[]interface {}", order);
    const key = keyAfter(directive, setElementOrderDirective);
    const current = ownList(merged, key);
    const changes = ownList(patch, key);
    const list = listOf(schema, key);
    checkOrder(changes ?? [], order, list.mergeKey);
    if (!current && !changes) continue;
    const { items, serverOrder } =
      current && changes
        ? mergeWithStrategy(current, changes, list)
        : { items: current ?? cleanList(changes), serverOrder: current ?? [] };
    const [ordered, others] = partition(items, order, list.mergeKey);
    elementKind([current ?? [], changes ?? []]);
    setOwn(merged, key, arrange({ ordered, others, order, serverOrder }, list.mergeKey));
    delete patch[key];
  }
}

function ownList(object: Json, key: string): unknown[] | undefined {
  if (!Object.hasOwn(object, key)) return undefined;
  const list = object[key];
  if (!Array.isArray(list)) throw badType("[]interface {}", list);
  return list;
}

const cleanList = (list: unknown[] | undefined): unknown[] => withoutDirectives(list ?? []) as unknown[]; // lists stay lists

interface MergedList {
  readonly items: unknown[];
  /**
   * What upstream then takes for the order on the server. It deletes from the original slice and appends to what is left
   * in place, so new items appear in as many places as were freed; its own tests expect the order that follows.
   */
  readonly serverOrder: readonly unknown[];
}

function mergeWithStrategy(current: unknown[], changes: unknown[], list: ListMeta): MergedList {
  if (list.strategy === "merge") return mergeLists(current, changes, { ...list, isDeletion: false });
  return { items: changes, serverOrder: current };
}

function mergeLists(current: unknown[], changes: unknown[], list: ListMeta & { isDeletion: boolean }): MergedList {
  if (current.length === 0 && changes.length === 0) return { items: current, serverOrder: current };
  if (elementKind([current, changes]) === "map") return mergeMapLists(current, changes, list);
  if (list.isDeletion) return { items: current.filter((item) => !changes.includes(item)), serverOrder: current };
  const [ordered, others] = partition([...new Set([...current, ...changes])], changes, list.mergeKey);
  return { items: arrange({ ordered, others, order: changes, serverOrder: current }, ""), serverOrder: current };
}

function mergeMapLists(current: unknown[], changes: unknown[], list: ListMeta): MergedList {
  const { mergeKey } = list;
  if (mergeKey === "") throw internal("cannot merge lists without merge key for struct");
  const { items, rest } = applyItemDirectives(current, changes, mergeKey);
  const merged = mergeItems(items, rest, list);
  const [ordered, others] = partition(merged, rest, mergeKey);
  const freed = Math.max(0, current.length - items.length);
  return {
    items: arrange({ ordered, others, order: rest, serverOrder: items }, mergeKey),
    serverOrder: merged.slice(0, items.length + freed),
  };
}

/** `$patch: delete` and `$patch: replace` among the items. */
function applyItemDirectives(
  current: unknown[],
  changes: unknown[],
  mergeKey: string,
): { items: unknown[]; rest: unknown[] } {
  let items = current;
  const rest: unknown[] = [];
  let replace = false;
  for (const change of changes) {
    const directive = isObject(change) ? change[directiveMarker] : undefined;
    if (!isObject(change) || directive === undefined) rest.push(change);
    else if (directive === "delete") {
      if (!Object.hasOwn(change, mergeKey)) throw noMergeKey(change, mergeKey);
      items = items.filter((item) => !isObject(item) || !sameKey(item[mergeKey], change[mergeKey]));
    } else if (directive === "replace") replace = true;
    else if (directive === "merge") throw internal("merging lists cannot yet be specified in the patch");
    else throw internal(`unknown patch type: ${printed(directive)} in map: ${goValue(change)}`);
  }
  return replace ? { items: rest, rest: [] } : { items, rest };
}

function mergeItems(items: unknown[], changes: unknown[], { mergeKey, items: schema }: ListMeta): unknown[] {
  const merged = [...items];
  for (const change of changes) {
    if (!isObject(change) || !Object.hasOwn(change, mergeKey)) throw noMergeKey(change, mergeKey);
    const at = merged.findIndex((item) => isObject(item) && sameKey(item[mergeKey], change[mergeKey]));
    const found = merged[at];
    if (isObject(found)) merged[at] = mergeMap(found, change, schema);
    else merged.push(change);
  }
  return merged;
}

const sameKey = (a: unknown, b: unknown): boolean => a !== undefined && a === b;

/** What an item is known by: its merge key, or itself. */
const identity = (item: unknown, mergeKey: string): unknown =>
  isObject(item) ? (Object.hasOwn(item, mergeKey) ? item[mergeKey] : undefined) : item;

const indexIn = (list: readonly unknown[], item: unknown, mergeKey: string): number =>
  list.findIndex((each) => identity(each, mergeKey) === identity(item, mergeKey));

/** Items that are also in `by`, and the others. */
function partition(items: unknown[], by: readonly unknown[], mergeKey: string): [unknown[], unknown[]] {
  const known: unknown[] = [];
  const others: unknown[] = [];
  const stray = mergeKey === "" || items.length === 0 ? -1 : by.findIndex((item) => !isObject(item));
  if (stray >= 0) throw internal(`value for key ${stray} is not a map`);
  for (const item of items) {
    if (mergeKey !== "") {
      if (!isObject(item)) throw badType("map[string]interface {}", item);
      if (!Object.hasOwn(item, mergeKey)) throw noMergeKey(item, mergeKey);
    }
    (indexIn(by, item, mergeKey) >= 0 ? known : others).push(item);
  }
  return [known, others];
}

interface Arrangement {
  readonly ordered: unknown[];
  readonly others: unknown[];
  readonly order: readonly unknown[];
  readonly serverOrder: readonly unknown[];
}

/** The patch's items in the patch's order, the server's own items slipped in where they stood before. */
function arrange({ ordered, others, order, serverOrder }: Arrangement, mergeKey: string): unknown[] {
  for (const item of mergeKey === "" ? [] : [...order, ...serverOrder]) {
    if (isObject(item) && !Object.hasOwn(item, mergeKey)) throw noMergeKey(item, mergeKey);
  }
  const right = sortBy(ordered, order, mergeKey);
  const left = sortBy(others, serverOrder, mergeKey);
  const all: unknown[] = [];
  while (left.length > 0 && right.length > 0) {
    const leftAt = indexIn(serverOrder, left[0], mergeKey);
    const rightAt = indexIn(serverOrder, right[0], mergeKey);
    const leftFirst = leftAt >= 0 && rightAt >= 0 && leftAt < rightAt;
    all.push((leftFirst ? left : right).shift());
  }
  return [...all, ...left, ...right];
}

function sortBy(items: unknown[], order: readonly unknown[], mergeKey: string): unknown[] {
  const places = new Map(items.map((item) => [item, indexIn(order, item, mergeKey)]));
  const at = (item: unknown) => places.get(item) ?? -1;
  const unknown = items.some((item) => at(item) < 0);
  if (!unknown || items.length > insertionMax) return [...items].sort((a, b) => at(a) - at(b));
  // Upstream calls an item that has no place less than any other, and any other less than it: its sort decides.
  const sorted = [...items];
  for (let i = 1; i < sorted.length; i++) {
    for (let j = i; j > 0; j--) {
      const [before, item] = [sorted[j - 1], sorted[j]];
      if (at(item) >= 0 && at(before) >= 0 && at(item) >= at(before)) break;
      [sorted[j - 1], sorted[j]] = [item, before];
    }
  }
  return sorted;
}

/** Up to here Go's stable sort is an insertion sort. */
const insertionMax = 20;

/** The patch's items must be in `$setElementOrder`, and in that order. */
function checkOrder(changes: readonly unknown[], order: readonly unknown[], mergeKey: string): void {
  if (changes.length === 0 || order.length === 0) return;
  const kept = changes.filter((item) => {
    if (mergeKey === "") return true;
    if (!isObject(item)) throw badType("map[string]interface {}", item);
    return item[directiveMarker] !== "delete";
  });
  let next = 0;
  let at = 0;
  while (next < kept.length && at < order.length) {
    const item = kept[next];
    // Directives have no place, unless they come last.
    if (isObject(item) && Object.hasOwn(item, directiveMarker)) next++;
    else if (sameItem(item, order[at++], mergeKey)) next++;
  }
  if (next === kept.length) return;
  throw internal(
    `The order in patch list:\n${goValue(changes)}\n doesn't match ${setElementOrderDirective} list:\n${goValue(order)}\n`,
  );
}

function sameItem(a: unknown, b: unknown, mergeKey: string): boolean {
  if (mergeKey === "") return a === b;
  for (const item of [a, b]) {
    if (!isObject(item)) throw badType("map[string]interface {}", item);
    if (!Object.hasOwn(item, mergeKey)) throw noMergeKey(item, mergeKey);
  }
  return jsonEqual(identity(a, mergeKey), identity(b, mergeKey));
}

/** All items must be of one kind, and no lists. */
function elementKind(lists: readonly (readonly unknown[])[]): string {
  const items = lists.flat();
  if (items.length === 0) throw internal("no elements in any of the given slices");
  const [first] = items;
  if (Array.isArray(first)) throw new PatchError("unprocessable", "lists of lists are not supported");
  const same = items.every((item) => goTypeName(item) === goTypeName(first));
  if (!same) throw internal(`list element types are not identical: ${goValue(lists)}`);
  return goKindName(first);
}

// ---- What the type says ----

function fieldOf(schema: ValueSchema, key: string): FieldSchema {
  if (schema.kind === "object") {
    const field = schema.type.fields.get(key);
    if (field) return field;
    const struct = schema.type.name.split(".").at(-1) ?? "";
    throw internal(`unable to find api field in struct ${struct} for the json field ${JSON.stringify(key)}`);
  }
  if (schema.kind === "any") {
    throw internal(`unable to find api field in struct RawExtension for the json field ${JSON.stringify(key)}`);
  }
  const kind = schema.kind === "list" || schema.kind === "bytes" ? "slice" : schema.kind;
  throw internal(`merging an object in json but data type is not struct, instead is: ${kind}`);
}

function strategyOf({ patchStrategy }: FieldSchema): string {
  return patchStrategy.find((strategy) => strategy !== "retainKeys") ?? "";
}

function listOf(schema: ValueSchema, key: string): ListMeta {
  const field = fieldOf(schema, key);
  if (field.value.kind !== "list") throw internal("expected slice or array type, but got: struct");
  return { items: field.value.items, strategy: strategyOf(field), mergeKey: field.patchMergeKey ?? "" };
}

// ---- Values that the patch brings ----

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isObject(value)) return value;
  const clean: Json = {};
  for (const key in value) if (value[key] !== null) setOwn(clean, key, withoutNulls(value[key]));
  return clean;
}

/** Without maps that only say what to do with something that isn't there; undefined when the value is one. */
function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDirectives).filter((item) => item !== undefined);
  if (!isObject(value)) return value;
  if (Object.hasOwn(value, directiveMarker)) return undefined;
  const clean: Json = {};
  for (const key in value) {
    const member = withoutDirectives(value[key]);
    if (member !== undefined) setOwn(clean, key, member);
  }
  return clean;
}
