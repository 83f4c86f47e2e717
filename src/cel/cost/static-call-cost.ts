/** What calls of Kubernetes' functions may cost (apiserver/pkg/cel/library/cost.go) and of cel-go's sets and lists. */

import type { Expr } from "../syntax/ast.ts";
import { type CelType, parameterOf } from "../types.ts";
import { nominalFunctions } from "./call-cost.ts";
import {
  type CostEstimate,
  costMax,
  fixed,
  listCost,
  plus,
  regexFactor,
  type SizedNode,
  type SizeEstimate,
  type SizeEstimator,
  scaled,
  times,
  traversalFactor,
  unknownSize,
} from "./estimate.ts";

/** An argument: its size, when the call's operands told it. */
export interface SizedExpr extends SizedNode {
  readonly expr?: Expr;
  readonly size?: SizeEstimate;
}

export interface CallEstimate {
  readonly cost: CostEstimate;
  /** Size of what the call gives. */
  readonly size?: SizeEstimate;
}

export interface EstimatedCall {
  readonly name: string;
  readonly overload: string;
  readonly target: SizedExpr | undefined;
  readonly args: readonly SizedExpr[];
  readonly estimator: SizeEstimator;
}

/** Upper bound of the length of a pattern behind a named format. */
const formatPatternMax = 128;
const formatNameMax = 64;
const addressBytes: SizeEstimate = { min: 4, max: 16 };

type Estimate = (call: EstimatedCall) => CallEstimate | undefined;

const sizeOf = ({ estimator }: EstimatedCall, node: SizedExpr | undefined): SizeEstimate =>
  node ? (node.size ?? estimator(node) ?? unknownSize) : unknownSize;

const constant =
  (n: number): Estimate =>
  () => ({ cost: fixed(n) });

const traversed = (size: SizeEstimate, factor = traversalFactor): CostEstimate => scaled(size, factor);

/** Of the first argument; the result is as long, where that is known. */
const argument =
  (factor = traversalFactor, keepsSize = false): Estimate =>
  (call) => {
    const size = sizeOf(call, call.args[0]);
    return call.args.length === 0 ? undefined : { cost: traversed(size, factor), ...(keepsSize && { size }) };
  };

const sameLength: Estimate = (call) => {
  const size = sizeOf(call, call.target);
  return call.target && { cost: traversed(size), size };
};

/** Each element is looked at; strings are as long as the schema lets them be. */
const scan: Estimate = (call) => {
  if (!call.target) return undefined;
  const size = sizeOf(call, call.target);
  const element = elementOf(call.target);
  if (!element) return { cost: traversed(size) };
  const isText = element.type.kind === "string" || element.type.kind === "bytes";
  const each = isText ? plus(fixed(1), traversed(sizeOf(call, element))) : fixed(1);
  return { cost: times(size, each) };
};

function elementOf({ type, path }: SizedExpr): SizedExpr | undefined {
  if (type.parameters.length === 0) return undefined;
  return { type: parameterOf(type), path: path.length === 0 ? [] : [...path, "@items"] };
}

const replace: Estimate = (call) => {
  if (!call.target || call.args.length < 2) return undefined;
  const [text, old, by] = [call.target, call.args[0], call.args[1]].map((node) => sizeOf(call, node)) as [
    SizeEstimate,
    SizeEstimate,
    SizeEstimate,
  ];
  // The most: an empty old text is found everywhere; else as many of the shortest as fit, if that makes it longer.
  const most = { count: 0, kept: text.max };
  if (old.min === 0) most.count = Math.min(text.max + 1, costMax);
  else if (by.max > old.min) Object.assign(most, { count: Math.ceil(text.max / old.min), kept: 0 });
  const least = { count: 0, kept: text.min };
  if (old.max === 0) least.count = Math.min(text.min + 1, costMax);
  else if (old.max > by.min) Object.assign(least, { count: Math.ceil(text.min / old.max), kept: 0 });
  const size = plus(times({ min: least.count, max: most.count }, by), { min: least.kept, max: most.kept });
  return { cost: traversed(text, 2 * traversalFactor), size };
};

const split: Estimate = (call) => {
  if (!call.target) return undefined;
  const text = sizeOf(call, call.target);
  const limit = integerLiteral(call.args[1]);
  const max = limit === undefined ? text.max : limit < 0 ? costMax + limit : limit;
  return { cost: traversed(text, 2 * traversalFactor), size: { min: 0, max } };
};

const join: Estimate = (call) => {
  if (!call.target) return undefined;
  const list = sizeOf(call, call.target);
  const element = elementOf(call.target);
  let size = element ? times(list, sizeOf(call, element)) : fixed(0);
  if (call.args[0]) {
    const separators = { min: Math.max(list.min - 1, 0), max: Math.max(list.max - 1, 0) };
    size = plus(size, times(sizeOf(call, call.args[0]), separators));
  }
  return { cost: traversed(size), size };
};

const find: Estimate = (call) => {
  if (!call.target || call.args.length === 0) return undefined;
  const text = sizeOf(call, call.target);
  const pattern = scaled(sizeOf(call, call.args[0]), regexFactor);
  return { cost: times(traversed(plus(text, fixed(1))), pattern), size: { min: 0, max: text.max } };
};

const containing =
  (masked: boolean): Estimate =>
  (call) => {
    const compared = traversed(plus(addressBytes, addressBytes));
    const masking = masked ? plus(traversed(addressBytes), fixed(1)) : fixed(0);
    const isText = call.overload === "cidr_contains_ip_string" || call.overload === "cidr_contains_cidr_string";
    const parsing = isText ? traversed(sizeOf(call, call.args[0])) : fixed(0);
    return { cost: plus(compared, masking, parsing) };
  };

const validate: Estimate = (call) => ({
  cost: scaled(traversed(sizeOf(call, call.args[0])), formatPatternMax * regexFactor),
});

const selector: Estimate = (call) => {
  const length = sizeOf(call, call.args[0]);
  return { cost: plus(fixed(listCost), traversed(length), scaled(scaled(length, 0.5), 50)) };
};

const atoms = new Set([
  "net.IP",
  "net.CIDR",
  "kubernetes.Quantity",
  "kubernetes.Semver",
  ...["Authorizer", "PathCheck", "GroupCheck", "ResourceCheck", "Decision"].map((n) => `kubernetes.authorization.${n}`),
]);

const equality: Estimate = (call) => {
  const [a, b] = call.args;
  if (!a || !b || a.type.name !== b.type.name) return undefined;
  const { name } = a.type;
  if (atoms.has(name)) return { cost: fixed(1) };
  if (name === "kubernetes.NamedFormat") return { cost: traversed({ min: 1, max: formatNameMax }) };
  if (name === "kubernetes.URL") return { cost: traversed({ min: 1, max: b.size?.max ?? 1 }) };
  return undefined;
};

const setCost =
  (factor: number): Estimate =>
  (call) => {
    const [a, b] = call.args.map((arg) => sizeOf(call, arg));
    return a && b && { cost: plus(scaled(times(a, b), factor), fixed(1)) };
  };

const allocating = (factor: number, size: SizeEstimate): CallEstimate => ({
  cost: plus(scaled(size, factor), fixed(1 + listCost)),
  size,
});

function integerLiteral(node: SizedExpr | undefined): number | undefined {
  const e = node?.expr;
  return e?.kind === "literal" && typeof e.value === "bigint" ? Number(e.value) : undefined;
}

/** Of a literal index; negative ones count as 0. */
const indexOr = (node: SizedExpr | undefined, fallback: number): number =>
  Math.max(integerLiteral(node) ?? fallback, 0);

const sorted =
  (element: CelType["kind"] | string, pick: (call: EstimatedCall) => SizedExpr | undefined): Estimate =>
  (call) => {
    const size = sizeOf(call, pick(call));
    const factor = element === "string" || element === "bytes" ? 2 + traversalFactor : 2;
    return allocating(factor, times(size, size));
  };

const byOverload: Readonly<Record<string, Estimate>> = {
  list_sets_contains_list: setCost(1),
  list_sets_intersects_list: setCost(1),
  list_sets_equivalent_list: setCost(2),
  list_slice: (call) => {
    const size = indexOr(call.args[1], sizeOf(call, call.target).max) - indexOr(call.args[0], 0);
    return allocating(1, fixed(size < 0 ? costMax + size : size));
  },
  lists_range: (call) => allocating(1, fixed(indexOr(call.args[0], costMax))),
  list_reverse: (call) => allocating(1, sizeOf(call, call.target)),
  list_flatten: (call) => allocating(1, sizeOf(call, call.target)),
  list_flatten_int: (call) => allocating(indexOr(call.args[0], costMax), sizeOf(call, call.target)),
  list_distinct: (call) => allocating(2, times(sizeOf(call, call.target), sizeOf(call, call.target))),
};

const nominal = constant(1);

const byFunction: Readonly<Record<string, Estimate>> = {
  check: constant(350_000),
  fieldSelector: selector,
  labelSelector: selector,
  isSorted: scan,
  sum: scan,
  max: scan,
  min: scan,
  indexOf: scan,
  lastIndexOf: scan,
  url: argument(traversalFactor, true),
  "jsonpatch.escapeKey": argument(traversalFactor, true),
  lowerAscii: sameLength,
  upperAscii: sameLength,
  substring: sameLength,
  trim: sameLength,
  replace,
  split,
  join,
  find,
  findAll: find,
  cidr: argument(),
  isIP: argument(),
  isCIDR: argument(),
  ip: (call) => (call.overload === "cidr_ip" ? nominal(call) : argument()(call)),
  "ip.isCanonical": argument(2 * traversalFactor),
  containsIP: containing(false),
  containsCIDR: containing(true),
  quantity: argument(),
  isQuantity: argument(),
  semver: argument(),
  isSemver: argument(),
  validate,
  "_==_": equality,
};

/** undefined: nothing special about the call. */
export function estimateCall(call: EstimatedCall): CallEstimate | undefined {
  const [, element, what] = /^list_(.*)_(sort|sortByAssociatedKeys)$/.exec(call.overload) ?? [];
  if (element) return sorted(element, what === "sort" ? (c) => c.target : (c) => c.args[0])(call);
  const tracked = byOverload[call.overload];
  if (tracked) return tracked(call);
  if (nominalFunctions.has(call.name)) return nominal(call);
  return Object.hasOwn(byFunction, call.name) ? byFunction[call.name]?.(call) : undefined;
}
