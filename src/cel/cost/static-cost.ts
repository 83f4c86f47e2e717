/**
 * What an expression may cost at most and at least, from the sizes its inputs may have (cel-go's checker/cost.go). Paths
 * like ["self", "items", "@items"] tell the size estimator which part of an input is meant.
 */

import { stringSize } from "../operations.ts";
import {
  accumulatorName,
  type Call,
  type Comprehension,
  type Expr,
  isBind,
  oldAccumulatorName,
} from "../syntax/ast.ts";
import { type CelType, dynType, isOptional, parameterOf } from "../types.ts";
import {
  type CostEstimate,
  costMax,
  emptyRange,
  fixed,
  listCost,
  mapCost,
  plus,
  regexFactor,
  type SizeEstimate,
  type SizeEstimator,
  scaled,
  structCost,
  times,
  traversalFactor,
  union,
  unknownSize,
} from "./estimate.ts";
import { type CallEstimate, estimateCall, type SizedExpr } from "./static-call-cost.ts";

/** Sizes of what is in a list or map. */
interface EntrySize {
  readonly container: "list" | "map";
  readonly key: SizeEstimate;
  readonly value: SizeEstimate;
}

interface Local {
  readonly path: readonly string[];
  readonly size: SizeEstimate | undefined;
  readonly entries: EntrySize | undefined;
}

export function estimateCost(checked: Expr, estimator: SizeEstimator = () => undefined): CostEstimate {
  return new Coster(estimator).cost(checked);
}

const typeOf = (e: Expr): CelType => e.type ?? dynType;

class Coster {
  readonly #estimator: SizeEstimator;
  readonly #paths = new Map<Expr, readonly string[]>();
  readonly #sizes = new Map<Expr, SizeEstimate>();
  readonly #entries = new Map<Expr, EntrySize>();
  readonly #locals = new Map<string, Local[]>();

  constructor(estimator: SizeEstimator) {
    this.#estimator = estimator;
  }

  cost(e: Expr): CostEstimate {
    switch (e.kind) {
      case "ident":
        this.#paths.set(e, this.#local(e)?.path ?? [e.name]);
        return fixed(1);
      case "select": {
        const operand = this.cost(e.operand);
        if (e.testOnly) return operand;
        this.#paths.set(e, [...this.#path(e.operand), e.field]);
        const kind = typeOf(e.operand).kind;
        return kind === "map" || kind === "struct" || kind === "param" ? plus(operand, fixed(1)) : operand;
      }
      case "call":
        return this.#call(e);
      case "list": {
        const costs = e.elements.map((element) => this.cost(element));
        const value = e.elements.reduce(
          (range, element) => union(range, this.#sizeOrUnknown(element)),
          start(e.elements),
        );
        this.#entries.set(e, { container: "list", key: fixed(1), value });
        return plus(...costs, fixed(listCost));
      }
      case "map": {
        const costs = e.entries.flatMap(({ key, value }) => [this.cost(key), this.cost(value)]);
        const range = (pick: "key" | "value"): SizeEstimate =>
          e.entries.reduce((sum, entry) => union(sum, this.#sizeOrUnknown(entry[pick])), start(e.entries));
        this.#entries.set(e, { container: "map", key: range("key"), value: range("value") });
        return plus(...costs, fixed(mapCost));
      }
      case "struct":
        return plus(...e.fields.map((field) => this.cost(field.value)), fixed(structCost));
      case "comprehension":
        return isBind(e) ? this.#bind(e) : this.#comprehension(e);
      default:
        return fixed(0);
    }
  }

  #bind(e: Comprehension): CostEstimate {
    const before = [this.cost(e.range), this.cost(e.accuInit)];
    const result = this.#scoped([this.#accumulator(e)], () => this.cost(e.result));
    this.#copySizes(e, e.result);
    return plus(...before, result);
  }

  #accumulator(e: Comprehension): [string, Local] {
    const { accuInit } = e;
    return [e.accuVar, { path: this.#path(accuInit), size: this.#size(accuInit), entries: this.#entrySize(accuInit) }];
  }

  #comprehension(e: Comprehension): CostEstimate {
    const before = [this.cost(e.range), this.cost(e.accuInit)];
    const path = this.#path(e.range);
    const entries = this.#entrySize(e.range);
    const isList = (entries?.container ?? typeOf(e.range).kind) === "list";
    const local = (name: string, part: string, size: SizeEstimate | undefined): [string, Local] => [
      name,
      { path: [...path, part], size, entries: undefined },
    ];
    const loopLocals = e.iterVar2
      ? [
          local(e.iterVar, isList ? "@indices" : "@keys", entries?.key),
          local(e.iterVar2, isList ? "@items" : "@values", entries?.value),
        ]
      : [local(e.iterVar, isList ? "@items" : "@keys", isList ? entries?.value : entries?.key)];
    return this.#scoped([this.#accumulator(e)], () => {
      const iteration = this.#scoped(loopLocals, () => plus(this.cost(e.condition), this.cost(e.step)));
      const result = this.cost(e.result);
      const count = this.#sizeOrUnknown(e.range);
      const { kind } = e.accuInit;
      if (kind === "literal") this.#setSize(e, this.#size(e.accuInit));
      else if (kind === "list" || kind === "map") {
        this.#sizes.set(e, count);
        const stepEntries = this.#entrySize(e.step);
        if (stepEntries) this.#entries.set(e, stepEntries);
      }
      return plus(...before, result, times(count, iteration));
    });
  }

  #scoped<T>(locals: readonly [string, Local][], body: () => T): T {
    for (const [name, local] of locals) this.#locals.set(name, [...(this.#locals.get(name) ?? []), local]);
    const outcome = body();
    for (const [name] of locals) this.#locals.get(name)?.pop();
    return outcome;
  }

  #call(e: Call): CostEstimate {
    if (e.function === "dyn" && e.args[0]) {
      const argument = this.cost(e.args[0]);
      this.#copySizes(e, e.args[0]);
      return plus(fixed(1), argument);
    }
    const costs = e.args.map((arg) => this.cost(arg));
    const nodes = e.args.map((arg) => this.#node(arg));
    if (!e.overloads?.length) return fixed(0);
    const targetCost = e.target ? this.cost(e.target) : fixed(0);
    const target = e.target && this.#node(e.target);
    let cost: CostEstimate = emptyRange;
    let size: SizeEstimate | undefined;
    for (const overload of e.overloads) {
      const estimate = this.#overload(e, { overload, target, args: nodes, costs });
      cost = union(cost, estimate.cost);
      if (estimate.size) size = size ? union(size, estimate.size) : estimate.size;
      const part = { index_list: "@items", index_map: "@values" }[overload];
      if (part && e.args[0]) {
        size = this.#entrySize(e.args[0])?.value;
        this.#paths.set(e, [...this.#path(e.args[0]), part]);
      }
      size ??= this.#size(e);
    }
    this.#setSize(e, size);
    return plus(targetCost, cost);
  }

  #overload(
    e: Call,
    call: {
      overload: string;
      target: SizedExpr | undefined;
      args: readonly SizedExpr[];
      costs: readonly CostEstimate[];
    },
  ): CallEstimate {
    const { overload, target, args, costs } = call;
    const own = estimateCall({ name: e.function, overload, target, args, estimator: this.#estimator });
    if (own) return { cost: plus(own.cost, ...costs), ...(own.size && { size: own.size }) };
    return this.#operator(e, call) ?? withCosts(standardEstimate(overload, target, args), costs);
  }

  /** Operators whose cost or size depends on which operands are evaluated, or on what is in them. */
  #operator(
    e: Call,
    { overload, args, costs }: { overload: string; args: readonly SizedExpr[]; costs: readonly CostEstimate[] },
  ): CallEstimate | undefined {
    const [a, b, c] = args;
    const [costA = fixed(0), costB = fixed(0), costC = fixed(0)] = costs;
    if (overload === "logical_or" || overload === "logical_and")
      return { cost: { min: costA.min, max: plus(costA, costB).max } };
    if (overload === "conditional" && b && c) {
      this.#setEntries(e, this.#entriesOfBoth(b.expr, c.expr));
      return { cost: plus(costA, union(costB, costC)), size: union(sizeOf(b), sizeOf(c)) };
    }
    if ((overload === "add_string" || overload === "add_bytes" || overload === "add_list") && a && b) {
      const size = plus(sizeOf(a), sizeOf(b));
      this.#setEntries(e, this.#entriesOfBoth(a.expr, b.expr));
      const own = overload === "add_list" ? fixed(1) : scaled(size, traversalFactor);
      return { cost: plus(own, ...costs), size };
    }
    return undefined;
  }

  #entriesOfBoth(a: Expr | undefined, b: Expr | undefined): EntrySize | undefined {
    const [x, y] = [a && this.#entrySize(a), b && this.#entrySize(b)];
    return x && y && { container: x.container, key: union(x.key, y.key), value: union(x.value, y.value) };
  }

  #node(e: Expr): SizedExpr {
    const path = this.#path(e);
    const isHidden = path[0] === accumulatorName || path[0] === oldAccumulatorName;
    const size = this.#size(e);
    return { path: isHidden ? [] : path, type: typeOf(e), expr: e, ...(size && { size }) };
  }

  #local(e: Expr): Local | undefined {
    return e.kind === "ident" ? this.#locals.get(e.name)?.at(-1) : undefined;
  }

  #path(e: Expr): readonly string[] {
    return this.#local(e)?.path ?? this.#paths.get(e) ?? [];
  }

  #size(e: Expr): SizeEstimate | undefined {
    const known = this.#sizes.get(e) ?? literalSize(e);
    if (known) return known;
    const estimated = this.#estimator({ path: this.#path(e), type: typeOf(e) });
    if (estimated) {
      this.#sizes.set(e, estimated);
      return estimated;
    }
    return isScalar(typeOf(e)) ? fixed(1) : this.#local(e)?.size;
  }

  #sizeOrUnknown(e: Expr): SizeEstimate {
    return this.#size(e) ?? unknownSize;
  }

  #entrySize(e: Expr): EntrySize | undefined {
    return this.#entries.get(e) ?? this.#local(e)?.entries;
  }

  #setSize(e: Expr, size: SizeEstimate | undefined): void {
    if (size) this.#sizes.set(e, size);
  }

  #setEntries(e: Expr, entries: EntrySize | undefined): void {
    if (entries) this.#entries.set(e, entries);
  }

  #copySizes(to: Expr, from: Expr): void {
    this.#setSize(to, this.#size(from));
    this.#setEntries(to, this.#entrySize(from));
  }
}

/** What a union over the elements begins with. */
const start = (elements: readonly unknown[]): SizeEstimate => (elements.length === 0 ? fixed(0) : emptyRange);

const sizeOf = (node: SizedExpr): SizeEstimate => node.size ?? unknownSize;

const withCosts = (estimate: CallEstimate, costs: readonly CostEstimate[]): CallEstimate => ({
  ...estimate,
  cost: plus(estimate.cost, ...costs),
});

function literalSize(e: Expr): SizeEstimate | undefined {
  if (e.kind === "list") return fixed(e.elements.length);
  if (e.kind === "map") return fixed(e.entries.length);
  if (e.kind !== "literal") return undefined;
  if (typeof e.value === "string") return fixed(stringSize(e.value));
  return fixed(e.value instanceof Uint8Array ? e.value.length : 1);
}

function isScalar(type: CelType): boolean {
  if (isOptional(type)) return isScalar(parameterOf(type));
  return ["bool", "double", "duration", "int", "timestamp", "uint"].includes(type.kind);
}

/** As 64-bit integers are: what is too large begins again at 0. */
function wrapped(size: number, factor: bigint, plusBytes: bigint): number {
  const exact = size >= costMax ? 2n ** 64n - 1n : BigInt(size);
  return Number(BigInt.asUintN(64, exact * factor + plusBytes));
}

const comparisons = /^(?:(?:less|greater)(?:_equals)?_(?:string|bytes)|equals|not_equals)$/;

function standardEstimate(overload: string, target: SizedExpr | undefined, args: readonly SizedExpr[]): CallEstimate {
  const [a, b] = args;
  const traversed = (node: SizedExpr): CostEstimate => scaled(sizeOf(node), traversalFactor);
  if (target) {
    if (overload === "string_format") return { cost: traversed(target) };
    if (a && (overload === "starts_with_string" || overload === "ends_with_string")) return { cost: traversed(a) };
    if (a && overload === "matches_string") {
      const text = scaled(plus(sizeOf(target), fixed(1)), traversalFactor);
      return { cost: times(text, scaled(sizeOf(a), regexFactor)) };
    }
    if (a && overload === "contains_string") return { cost: times(traversed(target), traversed(a)) };
  } else if (a && args.length === 1) {
    const { min, max } = sizeOf(a);
    if (overload === "string_to_bytes") return { cost: traversed(a), size: { min, max: wrapped(max, 4n, 0n) } };
    if (overload === "bytes_to_string") return { cost: traversed(a), size: { min: Math.floor(min / 4), max } };
    if (overload === "strings_quote") return { cost: traversed(a), size: { min: min + 2, max: wrapped(max, 2n, 2n) } };
  } else if (a && b && overload === "in_list") return { cost: sizeOf(b) };
  else if (a && b && comparisons.test(overload)) {
    const max = Math.min(sizeOf(a).max, sizeOf(b).max);
    return { cost: scaled({ min: max > 0 ? 1 : 0, max }, traversalFactor) };
  }
  return { cost: fixed(1) };
}
