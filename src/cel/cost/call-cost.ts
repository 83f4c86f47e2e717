/**
 * What calls cost when they run (apiserver/pkg/cel/library/cost.go, cel-go's interpreter/runtimecost.go and the trackers
 * of its sets and lists libraries). Known before the call runs, so that an expensive one need not run first; only a few
 * need the result.
 */

import { sizeOf, typeOf } from "../operations.ts";
import { CelList, CelMap, CelObject, Optional, type Result } from "../values.ts";
import { listCost, regexFactor, traversalFactor } from "./estimate.ts";

/** `result` is only there when needsResult says so. */
export type CallCost = (args: readonly Result[], result?: Result) => number;

const one: CallCost = () => 1;
const at = (args: readonly Result[], index: number): Result => args[index] ?? null;
const size = (value: Result): number => sizeOf(value) ?? 1;
const traverse = (n: number, factor = traversalFactor): number => Math.ceil(n * factor);

/** Objects such as addresses compare in one step. */
const isAtom = (value: Result): boolean => value instanceof CelObject && value.type.name !== "Object";

const comparing: CallCost = (args) => traverse(Math.min(deepSize(at(args, 0)), deepSize(at(args, 1))));

/** The size of an optional is that of its value. */
function deepSize(value: Result): number {
  const known = sizeOf(value);
  if (known !== undefined) return known;
  return value instanceof Optional && value.value !== undefined ? deepSize(value.value) : 1;
}

/** Of all that is in a value: strings by their bytes, everything else one. */
function traversalCost(value: Result): number {
  if (typeof value === "string") return Math.floor(Buffer.byteLength(value) * traversalFactor);
  if (value instanceof Uint8Array) return Math.floor(value.length * traversalFactor);
  let cost = 0;
  if (value instanceof CelList) for (const element of value) cost += traversalCost(element);
  else if (value instanceof CelMap)
    for (const key of value.keys()) cost += traversalCost(key) + traversalCost(value.find(key) ?? null);
  else return 1;
  return cost;
}

const first =
  (factor: number): CallCost =>
  (args) =>
    traverse(size(at(args, 0)), factor);
const string: CallCost = first(traversalFactor);
const twice: CallCost = first(2 * traversalFactor);
const traversing: CallCost = (args) => traversalCost(at(args, 0));
const regex: CallCost = (args) => traverse(1 + deepSize(at(args, 0))) * traverse(deepSize(at(args, 1)), regexFactor);
const selector: CallCost = (args) => {
  const length = size(at(args, 1));
  // A list, parsing, and a list and a struct for each requirement, of which there is one in two characters.
  return listCost + traverse(length) + Math.ceil(Math.ceil(length * 0.5) * 50);
};

/** `other` is a text that is parsed first. */
const containing =
  (overload: string, masked: boolean): CallCost =>
  (args) => {
    const cidr = size(at(args, 0));
    const parsing = overload.endsWith("_string") ? traverse(size(at(args, 1))) : 0;
    return traverse(2 * cidr) + (masked ? traverse(cidr) + 1 : 0) + parsing;
  };

const formatting: CallCost = (args) => {
  const format = at(args, 0);
  const patternSize =
    format instanceof CelObject ? (format as CelObject & { regexSize?: number }).regexSize : undefined;
  return patternSize === undefined ? 1 : traverse(1 + size(at(args, 1))) * traverse(patternSize, regexFactor);
};

const allocating = (n: number, factor: number): number => Math.floor(n * factor) + 1 + listCost;
const produced: CallCost = (_, result) => allocating(size(result ?? null), 1);

const selfComparing =
  (index: number): CallCost =>
  (args) => {
    const list = at(args, index);
    const n = size(list);
    const element = list instanceof CelList && n > 0 ? typeOf(list.at(0)).kind : "";
    const factor = element === "string" || element === "bytes" ? 2 + traversalFactor : 2;
    return allocating(n * n, factor);
  };

const setCost =
  (factor: number): CallCost =>
  (args) =>
    1 + Math.floor(size(at(args, 0)) * size(at(args, 1)) * factor);

/** By overload, where that decides. */
const byOverload: Readonly<Record<string, CallCost>> = {
  list_sets_contains_list: setCost(1),
  list_sets_intersects_list: setCost(1),
  list_sets_equivalent_list: setCost(2),
  list_slice: produced,
  lists_range: produced,
  list_reverse: produced,
  list_flatten: (args) => allocating(size(at(args, 0)), 1),
  list_flatten_int: (args) => allocating(size(at(args, 0)), Number(at(args, 1))),
  list_distinct: selfComparing(0),
  list_sort: selfComparing(0),
  list_sortByAssociatedKeys: selfComparing(1),
};

const byFunction: Readonly<Record<string, CallCost>> = {
  check: () => 350_000,
  fieldSelector: selector,
  labelSelector: selector,
  url: string,
  lowerAscii: string,
  upperAscii: string,
  substring: string,
  trim: string,
  "jsonpatch.escapeKey": string,
  cidr: string,
  isIP: string,
  isCIDR: string,
  quantity: string,
  isQuantity: string,
  semver: string,
  isSemver: string,
  replace: twice,
  split: twice,
  "ip.isCanonical": twice,
  join: (_, result) => traverse(size(result ?? null), 2 * traversalFactor),
  isSorted: traversing,
  sum: traversing,
  max: traversing,
  min: traversing,
  indexOf: traversing,
  lastIndexOf: traversing,
  find: regex,
  findAll: regex,
  validate: formatting,
};

/** Accessors and comparisons that count as one step. */
export const nominalFunctions: ReadonlySet<string> = new Set(
  (
    "serviceAccount path group resource subresource namespace name allowed reason error errored masked prefixLength family " +
    "isUnspecified isLoopback isLinkLocalMulticast isLinkLocalUnicast isGlobalUnicast format.named sign asInteger isInteger " +
    "asApproximateFloat isGreaterThan isLessThan compareTo add sub major minor patch getScheme getHostname getHost getPort " +
    "getEscapedPath getQuery"
  ).split(" "),
);

const standard: Readonly<Record<string, CallCost>> = {
  starts_with_string: string,
  ends_with_string: string,
  string_to_bytes: string,
  bytes_to_string: string,
  strings_quote: string,
  string_format: string,
  in_list: (args) => deepSize(at(args, 1)),
  add_string: (args) => traverse(deepSize(at(args, 0)) + deepSize(at(args, 1))),
  add_bytes: (args) => traverse(deepSize(at(args, 0)) + deepSize(at(args, 1))),
  matches_string: regex,
  contains_string: (args) => traverse(deepSize(at(args, 0))) * traverse(deepSize(at(args, 1))),
  equals: (args) => (isAtom(at(args, 0)) ? 1 : comparing(args)),
  not_equals: comparing,
};

const comparisons = /^(?:less|greater)(?:_equals)?_(?:string|bytes)$/;

/** The cost of a call that the checker resolved to `overload`, "" when several fit. */
export function callCost(name: string, overload: string): CallCost {
  const tracked = byOverload[overload.replace(/^list_.*_(sort|sortByAssociatedKeys)$/, "list_$1")];
  if (tracked) return tracked;
  if (nominalFunctions.has(name)) return one;
  if (name === "ip") return overload === "cidr_ip" ? one : string;
  if (name === "containsIP") return containing(overload, false);
  if (name === "containsCIDR") return containing(overload, true);
  const known = Object.hasOwn(byFunction, name) ? byFunction[name] : undefined;
  if (known) return known;
  return standard[overload] ?? (comparisons.test(overload) ? comparing : one);
}

export const needsResult = (name: string, overload: string): boolean =>
  name === "join" || byOverload[overload] === produced;
