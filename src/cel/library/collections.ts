/**
 * Lists, sets, optional values and comprehensions with two variables: Kubernetes' lists library, cel-go's lists (version 3),
 * sets, optional types (version 2) and two-variable comprehensions.
 */

import type { FunctionTable, Implementation, Library } from "../functions.ts";
import { add, compare, contains, equal, isZero, printValue, typeOf } from "../operations.ts";
import { bindingMacros, listMacros, optionalMacros, twoVariableMacros } from "../syntax/macros.ts";
import {
  ArrayList,
  CelError,
  CelList,
  type CelMap,
  type CelValue,
  Duration,
  EntryMap,
  GrowingMap,
  none,
  noSuchOverload,
  Optional,
  RangeList,
  type Result,
  Uint,
} from "../values.ts";

const summable: Readonly<Record<string, CelValue>> = {
  int: 0n,
  uint: new Uint(0n),
  double: 0,
  duration: new Duration(0n),
};
const comparable = ["int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes"] as const;

/** One overload for lists of each type. */
const overloads = (types: readonly string[], signature: (type: string) => string, apply: Implementation) =>
  Object.fromEntries(types.map((type) => [signature(type), apply]));

function isSorted(list: CelList): Result {
  let previous: CelValue | undefined;
  for (const value of list) {
    if (value instanceof CelError) return value;
    if (previous !== undefined && compare(previous, value) === 1) return false;
    previous = value;
  }
  return true;
}

const sum =
  (zero: CelValue) =>
  (list: CelList): Result => {
    let total: Result = zero;
    for (const value of list) {
      if (value instanceof CelError) return value;
      total = add(total as CelValue, value); // an error returns at once
      if (total instanceof CelError) return total;
    }
    return total;
  };

/** The element for which all others compare as `order` says. */
const extreme =
  (name: string, order: number) =>
  (list: CelList): Result => {
    let best: CelValue | undefined;
    for (const value of list) {
      if (value instanceof CelError) return value;
      if (best === undefined || compare(best, value) === order) best = value;
    }
    return best ?? new CelError(`${name} called on empty list`);
  };

function indexOf(list: CelList, item: CelValue): Result {
  for (let i = 0; i < list.size; i++) if (isEqual(list.at(i), item)) return BigInt(i);
  return -1n;
}

function lastIndexOf(list: CelList, item: CelValue): Result {
  for (let i = list.size - 1; i >= 0; i--) if (isEqual(list.at(i), item)) return BigInt(i);
  return -1n;
}

const isEqual = (a: Result, b: Result): boolean =>
  !(a instanceof CelError) && !(b instanceof CelError) && equal(a, b) === true;

export const kubernetesLists: Library = {
  functions: {
    isSorted: overloads(comparable, (type) => `list_${type}_is_sorted_bool .(list(${type})) bool`, isSorted),
    sum: Object.fromEntries(
      Object.entries(summable).map(([type, zero]) => [`list_${type}_sum_${type} .(list(${type})) ${type}`, sum(zero)]),
    ),
    max: overloads(comparable, (type) => `list_${type}_max_${type} .(list(${type})) ${type}`, extreme("max", -1)),
    min: overloads(comparable, (type) => `list_${type}_min_${type} .(list(${type})) ${type}`, extreme("min", 1)),
    indexOf: { "list_a_index_of_int .(list(A), A) int": indexOf },
    lastIndexOf: { "list_a_last_index_of_int .(list(A), A) int": lastIndexOf },
  },
};

/** The values; the first error instead, if there is one. */
function valuesOf(list: CelList): CelValue[] | CelError {
  const values: CelValue[] = [];
  for (const value of list) {
    if (value instanceof CelError) return value;
    values.push(value);
  }
  return values;
}

function onValues(make: (values: CelValue[]) => Result): (list: CelList) => Result {
  return (list) => {
    const values = valuesOf(list);
    return values instanceof CelError ? values : make(values);
  };
}

function slice(list: CelList, start: bigint, end: bigint): Result {
  const fail = (why: string): CelError => new CelError(`cannot slice(${start}, ${end}), ${why}`);
  if (start < 0n || end < 0n) return fail("negative indexes not supported");
  if (start > end) return fail("start index must be less than or equal to end index");
  if (BigInt(list.size) < end) return fail(`list is length ${list.size}`);
  const values = Array.from({ length: Number(end - start) }, (_, i) => list.at(Number(start) + i));
  const error = values.find((value) => value instanceof CelError);
  return error ?? new ArrayList(values as CelValue[]); // no error among them
}

function flatten(list: CelList, depth = 1n): Result {
  if (depth < 0n) return new CelError("level must be non-negative");
  const values: CelValue[] = [];
  const collect = (from: CelList, level: bigint): CelError | undefined => {
    for (const value of from) {
      if (value instanceof CelError) return value;
      if (!(value instanceof CelList) || level === 0n) values.push(value);
      else {
        const error = collect(value, level - 1n);
        if (error) return error;
      }
    }
    return undefined;
  };
  return collect(list, depth) ?? new ArrayList(values);
}

function sortBy(list: CelList, by: CelList): Result {
  if (list.size !== by.size) {
    return new CelError(
      "@sortByAssociatedKeys() expected a list of the same size as the associated keys list, " +
        `but got ${list.size} and ${by.size} elements respectively`,
    );
  }
  const values = valuesOf(list);
  const keys = valuesOf(by);
  if (values instanceof CelError) return values;
  if (keys instanceof CelError) return keys;
  const [first] = keys;
  if (first === undefined) return list;
  if (compare(first, first) instanceof CelError && typeof first !== "number")
    return new CelError("list elements must be comparable");
  if (keys.some((key) => typeOf(key) !== typeOf(first))) return new CelError("list elements must have the same type");
  const order = keys.map((_, i) => i);
  order.sort((i, j) => {
    const outcome = compare(keys[i] ?? null, keys[j] ?? null);
    return outcome instanceof CelError ? 0 : outcome;
  });
  return new ArrayList(order.map((i) => values[i] ?? null));
}

const sortValues = (name: string, list: CelValue, keys: CelValue): Result =>
  list instanceof CelList && keys instanceof CelList ? sortBy(list, keys) : new CelError(`no such overload: ${name}`);

function distinct(values: CelValue[]): Result {
  const unique: CelValue[] = [];
  for (const value of values) if (!unique.some((other) => isEqual(value, other))) unique.push(value);
  return new ArrayList(unique);
}

const sortable = [
  "int",
  "uint",
  "double",
  "bool",
  "google.protobuf.Duration",
  "google.protobuf.Timestamp",
  "string",
  "bytes",
];
const shortName = (type: string): string => type.replace("google.protobuf.", "").toLowerCase();

export const listsLibrary: Library = {
  since: 34,
  macros: listMacros,
  functions: {
    slice: { "list_slice .(list(T), int, int) list(T)": slice },
    flatten: {
      "list_flatten .(list(list(T))) list(T)": flatten,
      "list_flatten_int .(list(dyn), int) list(dyn)": flatten,
    },
    sort: {
      apply: (list: CelValue) => sortValues("sort", list, list),
      is: sortable.map((type) => `list_${type}_sort .(list(${shortName(type)})) list(${shortName(type)})`),
    },
    "@sortByAssociatedKeys": {
      apply: (list: CelValue, keys: CelValue) => sortValues("@sortByAssociatedKeys", list, keys),
      is: sortable.map((type) => `list_${type}_sortByAssociatedKeys .(list(T), list(${shortName(type)})) list(T)`),
    },
    "lists.range": { "lists_range (int) list(int)": (n: bigint) => new RangeList(Math.max(Number(n), 0)) },
    reverse: { "list_reverse .(list(T)) list(T)": onValues((values) => new ArrayList(values.reverse())) },
    distinct: { "list_distinct .(list(T)) list(T)": onValues(distinct) },
  },
};

function setContains(list: CelList, part: CelList): Result {
  for (const value of part) {
    const found = value instanceof CelError ? value : contains(list, value);
    if (found !== true) return found;
  }
  return true;
}

function intersects(a: CelList, b: CelList): Result {
  for (const value of a) if (!(value instanceof CelError) && contains(b, value) === true) return true;
  return false;
}

export const setsLibrary: Library = {
  since: 29,
  functions: {
    "sets.contains": { "list_sets_contains_list (list(T), list(T)) bool": setContains },
    "sets.equivalent": {
      "list_sets_equivalent_list (list(T), list(T)) bool": (a: CelList, b: CelList) => {
        const forth = setContains(a, b);
        return forth === true ? setContains(b, a) : forth;
      },
    },
    "sets.intersects": { "list_sets_intersects_list (list(T), list(T)) bool": intersects },
  },
};

const dereferenced = new CelError("optional.none() dereference");

function unwrap(list: CelList): Result {
  const values: CelValue[] = [];
  for (const value of list) {
    if (value instanceof CelError) return value;
    if (!(value instanceof Optional)) return new CelError(`value ${printValue(value)} is not optional`);
    if (value.value !== undefined) values.push(value.value);
  }
  return new ArrayList(values);
}

function optionalAt(list: CelList, index: number): Result {
  if (list.size === 0) return none;
  const value = list.at(index);
  return value instanceof CelError ? value : new Optional(value);
}

/** Declared for their types; the planner evaluates them. */
const planned: Implementation = () => noSuchOverload;
const declared = (...signatures: string[]): FunctionTable[string] =>
  Object.fromEntries(signatures.map((signature) => [signature, planned]));

export const optionalLibrary: Library = {
  since: 28,
  macros: optionalMacros,
  functions: {
    "optional.of": { "optional_of (V) optional(V)": (value: CelValue) => new Optional(value) },
    "optional.ofNonZeroValue": {
      "optional_ofNonZeroValue (V) optional(V)": (value: CelValue) => (isZero(value) ? none : new Optional(value)),
    },
    "optional.none": { "optional_none () optional(V)": () => none },
    value: { "optional_value .(optional(V)) V": ({ value }: Optional) => (value === undefined ? dereferenced : value) },
    hasValue: { "optional_hasValue .(optional(V)) bool": ({ value }: Optional) => value !== undefined },
    or: declared("optional_or_optional .(optional(V), optional(V)) optional(V)"),
    orValue: declared("optional_orValue_value .(optional(V), V) V"),
    "_?._": declared("select_optional_field (dyn, string) optional(V)"),
    "_[?_]": declared(
      "list_optindex_optional_int (list(V), int) optional(V)",
      "optional_list_optindex_optional_int (optional(list(V)), int) optional(V)",
      "map_optindex_optional_value (map(K, V), K) optional(V)",
      "optional_map_optindex_optional_value (optional(map(K, V)), K) optional(V)",
    ),
    "_[_]": declared(
      "optional_list_index_int (optional(list(V)), int) optional(V)",
      "optional_map_index_value (optional(map(K, V)), K) optional(V)",
    ),
    last: { "list_last .(list(V)) optional(V)": (list: CelList) => optionalAt(list, list.size - 1) },
    first: { "list_first .(list(V)) optional(V)": (list: CelList) => optionalAt(list, 0) },
    "optional.unwrap": { "optional_unwrap (list(optional(V))) list(V)": unwrap },
    unwrapOpt: { "optional_unwrapOpt .(list(optional(V))) list(V)": unwrap },
  },
};

function insert(map: CelMap, key: CelValue, value: Result): Result {
  if (value instanceof CelError) return value;
  if (map.find(key) !== undefined) return new CelError(`insert failed: key ${printValue(key)} already exists`);
  if (map instanceof GrowingMap) return map.set(key, value);
  const copy = new EntryMap();
  for (const known of map.keys()) {
    const found = map.find(known) ?? null;
    if (found instanceof CelError) return found;
    copy.set(known, found);
  }
  return copy.set(key, value);
}

function insertAll(map: CelMap, entries: CelMap): Result {
  let result: Result = map;
  for (const key of entries.keys()) {
    result = insert(result as CelMap, key, entries.find(key) ?? null); // an error returns at once
    if (result instanceof CelError) return result;
  }
  return result;
}

export const twoVariableLibrary: Library = {
  since: 32,
  macros: twoVariableMacros,
  functions: {
    "cel.@mapInsert": {
      "@mapInsert_map_key_value (map(K, V), K, V) map(K, V)": insert,
      "@mapInsert_map_map (map(K, V), map(K, V)) map(K, V)": insertAll,
    },
  },
};

export const bindingsLibrary: Library = { macros: bindingMacros };
