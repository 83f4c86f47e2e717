/** Macros: calls that the parser replaces by comprehensions and tests (cel-go's parser/macro.go and extensions). */

import type { CelValue } from "../values.ts";
import { accumulatorName, type Call, type Comprehension, type Expr, oldAccumulatorName, unusedName } from "./ast.ts";

/** Builds nodes placed where the macro was called. */
class Builder {
  readonly #at: number;
  constructor(at: number) {
    this.#at = at;
  }
  literal(value: CelValue): Expr {
    return { kind: "literal", at: this.#at, value };
  }
  ident(name: string): Expr {
    return { kind: "ident", at: this.#at, name };
  }
  accu(): Expr {
    return this.ident(accumulatorName);
  }
  list(...elements: Expr[]): Expr {
    return { kind: "list", at: this.#at, elements, optionals: [] };
  }
  map(): Expr {
    return { kind: "map", at: this.#at, entries: [] };
  }
  call(name: string, ...args: Expr[]): Expr {
    return { kind: "call", at: this.#at, function: name, target: undefined, args };
  }
  member(name: string, target: Expr, ...args: Expr[]): Expr {
    return { kind: "call", at: this.#at, function: name, target, args };
  }
  test(operand: Expr, field: string): Expr {
    return { kind: "select", at: this.#at, operand, field, testOnly: true };
  }
  loop(parts: Omit<Comprehension, "kind" | "at" | "type" | "iterVar2"> & { iterVar2?: string }): Expr {
    return { kind: "comprehension", at: this.#at, iterVar2: undefined, ...parts };
  }
  /** `name` stands for `value` inside `result`. */
  bind(name: string, value: Expr, result: Expr): Expr {
    return this.loop({
      range: this.list(),
      iterVar: unusedName,
      accuVar: name,
      accuInit: value,
      condition: this.literal(false),
      step: this.ident(name),
      result,
    });
  }
}

/** A use that the macro doesn't allow. */
class MacroError extends Error {
  readonly at: number;
  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

/** Gives undefined when the call is none of the macro's. */
type Expand = (b: Builder, target: Expr, args: readonly Expr[]) => Expr | undefined;

/** By name, number of arguments and whether it is called on something. */
export type MacroSet = ReadonlyMap<string, Expand>;

const keyOf = (name: string, args: number, receiver: boolean): string => `${name}:${args}:${receiver}`;

/** The call replaced; undefined when it isn't a macro's. `fail` reports and gives what stands in its place. */
export function expandMacro(
  call: Call,
  macros: MacroSet,
  fail: (at: number, message: string) => Expr,
): Expr | undefined {
  const expand = macros.get(keyOf(call.function, call.args.length, call.target !== undefined));
  if (!expand) return undefined;
  try {
    return expand(new Builder(call.at), call.target ?? { kind: "unspecified", at: -1 }, call.args);
  } catch (error) {
    if (error instanceof MacroError) return fail(error.at, error.message);
    throw error;
  }
}

const nothing: Expr = { kind: "unspecified", at: -1 };
const argument = (args: readonly Expr[], index: number): Expr => args[index] ?? nothing;
const simpleName = "argument must be a simple name";

function loopVariable(e: Expr, complaint = simpleName): string {
  if (e.kind !== "ident") throw new MacroError(e.at, complaint);
  checkLoopVariable(e.name, e.at);
  return e.name;
}

function checkLoopVariable(name: string, at: number): void {
  if (name === accumulatorName || name === oldAccumulatorName)
    throw new MacroError(at, "iteration variable overwrites accumulator variable");
}

function loopVariables(first: Expr, second: Expr): { iterVar: string; iterVar2: string } {
  for (const e of [first, second]) if (e.kind !== "ident") throw new MacroError(e.at, simpleName);
  const names = [first, second].map((e) => (e.kind === "ident" ? e.name : ""));
  const [iterVar = "", iterVar2 = ""] = names;
  if (iterVar === iterVar2) throw new MacroError(second.at, `duplicate variable name: ${iterVar}`);
  checkLoopVariable(iterVar, first.at);
  checkLoopVariable(iterVar2, second.at);
  return { iterVar, iterVar2 };
}

type Body = Pick<Comprehension, "accuInit" | "condition" | "step" | "result">;

const all = (b: Builder, predicate: Expr): Body => ({
  accuInit: b.literal(true),
  condition: b.call("@not_strictly_false", b.accu()),
  step: b.call("_&&_", b.accu(), predicate),
  result: b.accu(),
});
const exists = (b: Builder, predicate: Expr): Body => ({
  accuInit: b.literal(false),
  condition: b.call("@not_strictly_false", b.call("!_", b.accu())),
  step: b.call("_||_", b.accu(), predicate),
  result: b.accu(),
});
const existsOne = (b: Builder, predicate: Expr): Body => ({
  accuInit: b.literal(0n),
  condition: b.literal(true),
  step: b.call("_?_:_", predicate, b.call("_+_", b.accu(), b.literal(1n)), b.accu()),
  result: b.call("_==_", b.accu(), b.literal(1n)),
});

function collect(b: Builder, accuInit: Expr, add: Expr, filter?: Expr): Body {
  const step = filter ? b.call("_?_:_", filter, add, b.accu()) : add;
  return { accuInit, condition: b.literal(true), step, result: b.accu() };
}
const collectList = (b: Builder, element: Expr, filter?: Expr): Body =>
  collect(b, b.list(), b.call("_+_", b.accu(), b.list(element)), filter);

const accuVar = accumulatorName;
const notIdentifier = "argument is not an identifier";

const quantifier =
  (body: typeof all): Expand =>
  (b, range, args) =>
    b.loop({ range, iterVar: loopVariable(argument(args, 0)), accuVar, ...body(b, argument(args, 1)) });

const quantifier2 =
  (body: typeof all): Expand =>
  (b, range, args) =>
    b.loop({ range, ...loopVariables(argument(args, 0), argument(args, 1)), accuVar, ...body(b, argument(args, 2)) });

/** The last argument is the body; one before it, if there, the filter. */
const transform =
  (body: (b: Builder, element: Expr, key: string, filter?: Expr) => Body): Expand =>
  (b, range, args) => {
    const names = loopVariables(argument(args, 0), argument(args, 1));
    const filter = args.length === 4 ? args[2] : undefined;
    return b.loop({ range, ...names, accuVar, ...body(b, argument(args, args.length - 1), names.iterVar, filter) });
  };

const mapMacro: Expand = (b, range, args) => {
  const iterVar = loopVariable(argument(args, 0), notIdentifier);
  const filter = args.length === 3 ? args[1] : undefined;
  return b.loop({ range, iterVar, accuVar, ...collectList(b, argument(args, args.length - 1), filter) });
};

const filterMacro: Expand = (b, range, args) => {
  const element = argument(args, 0);
  const iterVar = loopVariable(element, notIdentifier);
  return b.loop({ range, iterVar, accuVar, ...collectList(b, element, argument(args, 1)) });
};

const hasMacro: Expand = (b, _target, args) => {
  const e = argument(args, 0);
  if (e.kind !== "select") throw new MacroError(e.at, "invalid argument to has() macro");
  return b.test(e.operand, e.field);
};

const optionalMap =
  (name: string, wrap: (b: Builder, e: Expr) => Expr): Expand =>
  (b, target, args) => {
    const e = argument(args, 0);
    if (e.kind !== "ident") throw new MacroError(e.at, `${name}() variable name must be a simple identifier`);
    const bound = b.bind(e.name, b.member("value", target), argument(args, 1));
    return b.call("_?_:_", b.member("hasValue", target), wrap(b, bound), b.call("optional.none"));
  };

const bindMacro: Expand = (b, target, args) => {
  if (target.kind !== "ident" || target.name !== "cel") return undefined;
  const e = argument(args, 0);
  if (e.kind !== "ident") throw new MacroError(e.at, "cel.bind() variable names must be simple identifiers");
  return b.bind(e.name, argument(args, 1), argument(args, 2));
};

const sortByName = "@__sortBy_input__";

const sortByMacro: Expand = (b, target, args) => {
  if (!["list", "select", "ident", "comprehension", "call"].includes(target.kind))
    throw new MacroError(
      target.at,
      "sortBy can only be applied to a list, identifier, comprehension, call or select expression",
    );
  const keys = mapMacro(b, b.ident(sortByName), args) ?? nothing;
  return b.bind(sortByName, target, b.member("@sortByAssociatedKeys", b.ident(sortByName), keys));
};

type Entry = readonly [name: string, args: number, expand: Expand];

const receiver = (entries: readonly Entry[]): [string, Expand][] =>
  entries.map(([name, args, expand]) => [keyOf(name, args, true), expand]);

export const standardMacros: MacroSet = new Map([
  [keyOf("has", 1, false), hasMacro],
  ...receiver([
    ["all", 2, quantifier(all)],
    ["exists", 2, quantifier(exists)],
    ["exists_one", 2, quantifier(existsOne)],
    ["map", 2, mapMacro],
    ["map", 3, mapMacro],
    ["filter", 2, filterMacro],
  ]),
]);

export const optionalMacros: MacroSet = new Map(
  receiver([
    ["optMap", 2, optionalMap("optMap", (b, e) => b.call("optional.of", e))],
    ["optFlatMap", 2, optionalMap("optFlatMap", (_, e) => e)],
  ]),
);

const insertEntry = transform((b, element, key, filter) =>
  collect(b, b.map(), b.call("cel.@mapInsert", b.accu(), b.ident(key), element), filter),
);
const insertMap = transform((b, element, _key, filter) =>
  collect(b, b.map(), b.call("cel.@mapInsert", b.accu(), element), filter),
);
const transformToList = transform((b, element, _key, filter) => collectList(b, element, filter));

export const twoVariableMacros: MacroSet = new Map(
  receiver([
    ["all", 3, quantifier2(all)],
    ["exists", 3, quantifier2(exists)],
    ["existsOne", 3, quantifier2(existsOne)],
    ["exists_one", 3, quantifier2(existsOne)],
    ["transformList", 3, transformToList],
    ["transformList", 4, transformToList],
    ["transformMap", 3, insertEntry],
    ["transformMap", 4, insertEntry],
    ["transformMapEntry", 3, insertMap],
    ["transformMapEntry", 4, insertMap],
  ]),
);

export const listMacros: MacroSet = new Map(receiver([["sortBy", 2, sortByMacro]]));
export const bindingMacros: MacroSet = new Map(receiver([["bind", 3, bindMacro]]));
