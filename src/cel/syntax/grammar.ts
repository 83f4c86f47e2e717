/**
 * The grammar of CEL as a network of states: an edge is taken for free, for a token, or by going through another rule.
 * Only syntax errors need it: which tokens are expected where, and how parsing goes on after one (see explain.ts).
 */

import type { TokenKind } from "./lexer.ts";

export interface Edge {
  readonly to: number;
  /** Taken when one of these tokens is next. */
  readonly tokens?: ReadonlySet<TokenKind>;
  /** Taken by going through a rule first. */
  readonly call?: { readonly rule: string; readonly precedence: number };
  /** Only taken at this level of a rule that calls itself on its left, or below it. */
  readonly level?: number;
}

/** What kind of choice a state is; decides what happens to a token that doesn't fit. */
export type StateKind = "block" | "loop" | "loopBack" | "end" | undefined;

export interface State {
  readonly kind: StateKind;
  readonly edges: Edge[];
  readonly rule: string;
}

export interface Network {
  readonly states: readonly State[];
  readonly starts: ReadonlyMap<string, number>;
  /** Where each rule is called from: the states after it. */
  readonly follows: ReadonlyMap<string, readonly number[]>;
}

type Part =
  | { readonly tokens: readonly TokenKind[] }
  | { readonly rule: string; readonly precedence?: number }
  | { readonly level: number }
  | { readonly all: readonly Part[] }
  | { readonly either: readonly Part[] }
  | { readonly optional: Part }
  | { readonly any: Part }
  | { readonly some: Part };

const t = (...tokens: TokenKind[]): Part => ({ tokens });
const r = (rule: string, precedence = 0): Part => ({ rule, precedence });
const all = (...parts: Part[]): Part => ({ all: parts });
const either = (...parts: Part[]): Part => ({ either: parts });
const optional = (...parts: Part[]): Part => ({ optional: all(...parts) });
const any = (...parts: Part[]): Part => ({ any: all(...parts) });
const some = (...parts: Part[]): Part => ({ some: all(...parts) });
const level = (n: number): Part => ({ level: n });

const name = t("IDENTIFIER");
const dot = optional(t("."));
const question = optional(t("?"));
const comma = optional(t(","));
const listOf = (part: Part): Part => all(part, any(t(","), part));
const pairOf = (key: string): Part => all(r(key), t(":"), r("expr"));
const args = all(t("("), optional(r("exprList")), t(")"));

const rules: Readonly<Record<string, Part>> = {
  start: all(r("expr"), t("<EOF>")),
  expr: all(r("conditionalOr"), optional(t("?"), r("conditionalOr"), t(":"), r("expr"))),
  conditionalOr: all(r("conditionalAnd"), any(t("||"), r("conditionalAnd"))),
  conditionalAnd: all(r("relation"), any(t("&&"), r("relation"))),
  relation: all(r("calc"), any(level(1), t("<", "<=", ">=", ">", "==", "!=", "in"), r("relation", 2))),
  calc: all(
    r("unary"),
    any(either(all(level(2), t("*", "/", "%"), r("calc", 3)), all(level(1), t("+", "-"), r("calc", 2)))),
  ),
  unary: either(r("member"), all(some(t("!")), r("member")), all(some(t("-")), r("member"))),
  member: all(
    r("primary"),
    any(
      either(
        all(level(3), t("."), question, r("escapeIdent")),
        all(level(2), t("."), name, args),
        all(level(1), t("["), question, r("expr"), t("]")),
      ),
    ),
  ),
  primary: either(
    all(dot, name),
    all(dot, name, args),
    all(t("("), r("expr"), t(")")),
    all(t("["), optional(r("listInit")), comma, t("]")),
    all(t("{"), optional(r("mapInitializerList")), comma, t("}")),
    all(dot, name, any(t("."), name), t("{"), optional(r("fieldInitializerList")), comma, t("}")),
    r("literal"),
  ),
  exprList: listOf(r("expr")),
  listInit: listOf(r("optExpr")),
  fieldInitializerList: listOf(pairOf("optField")),
  optField: all(question, r("escapeIdent")),
  mapInitializerList: listOf(pairOf("optExpr")),
  escapeIdent: either(name, t("ESC_IDENTIFIER")),
  optExpr: all(question, r("expr")),
  literal: either(
    all(optional(t("-")), t("NUM_INT")),
    t("NUM_UINT"),
    all(optional(t("-")), t("NUM_FLOAT")),
    t("STRING"),
    t("BYTES"),
    t("true"),
    t("false"),
    t("null"),
  ),
};

export function buildNetwork(): Network {
  const states: State[] = [];
  const starts = new Map<string, number>();
  const follows = new Map<string, number[]>();
  const add = (rule: string, kind?: StateKind): number => states.push({ kind, edges: [], rule }) - 1;
  const link = (from: number, edge: Edge): void => {
    states[from]?.edges.push(edge);
  };

  /** Adds the states of a part after `from`; gives the state behind it. */
  const build = (part: Part, from: number, rule: string): number => {
    const step = (edge: Omit<Edge, "to">): number => {
      const to = add(rule);
      link(from, { ...edge, to });
      return to;
    };
    const choice = (kind: StateKind): number => {
      const state = add(rule, kind);
      link(from, { to: state });
      return state;
    };
    if ("tokens" in part) return step({ tokens: new Set(part.tokens) });
    if ("rule" in part) {
      const to = step({ call: { rule: part.rule, precedence: part.precedence ?? 0 } });
      follows.set(part.rule, [...(follows.get(part.rule) ?? []), to]);
      return to;
    }
    if ("level" in part) return step({ level: part.level });
    if ("all" in part) return part.all.reduce((at, inner) => build(inner, at, rule), from);
    if ("any" in part) {
      const entry = choice("loop");
      const body = add(rule);
      link(entry, { to: body });
      const back = add(rule, "loopBack");
      link(build(part.any, body, rule), { to: back });
      link(back, { to: entry });
      const end = add(rule);
      link(entry, { to: end });
      return end;
    }
    if ("some" in part) {
      const body = choice("block");
      const back = add(rule, "loopBack");
      link(build(part.some, body, rule), { to: back });
      link(back, { to: body });
      const end = add(rule);
      link(back, { to: end });
      return end;
    }
    const block = choice("block");
    const end = add(rule);
    for (const alternative of "either" in part ? part.either : [part.optional]) {
      const start = add(rule);
      link(block, { to: start });
      link(build(alternative, start, rule), { to: end });
    }
    if ("optional" in part) link(block, { to: end });
    return end;
  };

  for (const [rule, part] of Object.entries(rules)) {
    const start = add(rule);
    starts.set(rule, start);
    link(build(part, start, rule), { to: add(rule, "end") });
  }
  return { states, starts, follows };
}
