/** The syntax tree. The checker writes types and chosen overloads into it, and turns qualified names into identifiers. */

import type { CelType } from "../types.ts";
import type { CelValue } from "../values.ts";

interface Node {
  /** Where the source has it; -1: nowhere. */
  readonly at: number;
  /** Set by the checker. */
  type?: CelType;
}

export interface Literal extends Node {
  readonly kind: "literal";
  readonly value: CelValue;
}

export interface Ident extends Node {
  kind: "ident";
  name: string;
}

export interface Select extends Node {
  readonly kind: "select";
  readonly operand: Expr;
  readonly field: string;
  /** `has(a.b)` */
  readonly testOnly: boolean;
}

export interface Call extends Node {
  readonly kind: "call";
  function: string;
  target: Expr | undefined;
  readonly args: readonly Expr[];
  /** Ids of the overloads that fit; set by the checker. */
  overloads?: readonly string[];
}

export interface ListExpr extends Node {
  readonly kind: "list";
  readonly elements: readonly Expr[];
  /** Indices of the elements with a question mark. */
  readonly optionals: readonly number[];
}

export interface MapEntry {
  readonly at: number;
  readonly key: Expr;
  readonly value: Expr;
  readonly optional: boolean;
}

export interface MapExpr extends Node {
  readonly kind: "map";
  readonly entries: readonly MapEntry[];
}

export interface StructField {
  readonly at: number;
  readonly name: string;
  readonly value: Expr;
  readonly optional: boolean;
}

export interface StructExpr extends Node {
  readonly kind: "struct";
  typeName: string;
  readonly fields: readonly StructField[];
}

/** A loop: `accuVar = accuInit; for (iterVar[, iterVar2] in range) { if (!condition) break; accuVar = step } result`. */
export interface Comprehension extends Node {
  readonly kind: "comprehension";
  readonly range: Expr;
  readonly iterVar: string;
  readonly iterVar2: string | undefined;
  readonly accuVar: string;
  readonly accuInit: Expr;
  readonly condition: Expr;
  readonly step: Expr;
  readonly result: Expr;
}

/** Stands where an error was reported. */
export interface Unspecified extends Node {
  readonly kind: "unspecified";
}

export type Expr = Literal | Ident | Select | Call | ListExpr | MapExpr | StructExpr | Comprehension | Unspecified;

/** Name of the accumulator that macros make; cannot be written. */
export const accumulatorName = "@result";
/** The same in older releases; may not be used as a loop variable. */
export const oldAccumulatorName = "__result__";
/** Iteration variable of a comprehension that only binds a name. */
export const unusedName = "#unused";

/** A comprehension that only gives a name to a value: it loops over nothing. */
export function isBind(e: Comprehension): boolean {
  return (
    e.range.kind === "list" &&
    e.range.elements.length === 0 &&
    e.condition.kind === "literal" &&
    e.condition.value === false &&
    e.accuVar !== oldAccumulatorName
  );
}

/** Calls `visit` for the node and all below it, parents first. */
export function walk(e: Expr, visit: (e: Expr, parents: readonly Expr[]) => void, parents: readonly Expr[] = []): void {
  visit(e, parents);
  const path = [...parents, e];
  for (const child of childrenOf(e)) walk(child, visit, path);
}

export function childrenOf(e: Expr): readonly Expr[] {
  switch (e.kind) {
    case "select":
      return [e.operand];
    case "call":
      return e.target ? [e.target, ...e.args] : e.args;
    case "list":
      return e.elements;
    case "map":
      return e.entries.flatMap((entry) => [entry.key, entry.value]);
    case "struct":
      return e.fields.map((field) => field.value);
    case "comprehension":
      return [e.range, e.accuInit, e.condition, e.step, e.result];
    default:
      return [];
  }
}
