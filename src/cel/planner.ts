/**
 * A checked tree becomes closures. The order of evaluation, what is folded beforehand and what each step costs follow
 * cel-go (interpreter/planner.go, interpretable.go, runtimecost.go), because both the outcome of a failing expression and
 * its cost can be seen by users.
 */

import {
  type Attribute,
  createAttribute,
  createConditional,
  createConstantQualifier,
  createDynamicQualifier,
  createTestQualifier,
  type Evaluate,
  isKey,
} from "./attributes.ts";
import { planCall } from "./calls.ts";
import { listCost, mapCost, structCost } from "./cost/estimate.ts";
import type { FunctionDeclaration } from "./functions.ts";
import { finished, goTypeName, printValue, typeOf } from "./operations.ts";
import type { RegexCompiler } from "./regex.ts";
import { Run, unset } from "./run.ts";
import { type Call, type Comprehension, type Expr, isBind, type Select, type StructExpr } from "./syntax/ast.ts";
import type { TypeRegistry } from "./type-registry.ts";
import {
  ArrayList,
  CelError,
  CelList,
  CelMap,
  type CelValue,
  EntryMap,
  GrowingList,
  GrowingMap,
  noSuchOverload,
  Optional,
  type Result,
} from "./values.ts";

/** The expression is well typed but cannot work. */
export class PlanError extends Error {}

export interface PlanContext {
  readonly functions: ReadonlyMap<string, FunctionDeclaration>;
  readonly types: TypeRegistry;
  readonly regex: RegexCompiler;
}

interface Plan {
  readonly evaluate: Evaluate;
  /** The value is known already. */
  readonly constant?: { readonly value: CelValue };
  readonly attribute?: Attribute;
}

export function plan(checked: Expr, context: PlanContext): Evaluate {
  return new Planner(context).plan(checked).evaluate;
}

const constantPlan = (value: CelValue): Plan => ({ evaluate: () => value, constant: { value } });

function attributePlan(attribute: Attribute): Plan {
  const evaluate: Evaluate = attribute.conditional
    ? (run) => attribute.resolve(run)
    : (run) => {
        const value = attribute.resolve(run);
        run.charge(1);
        return value;
      };
  return { attribute, evaluate };
}

const attributeOf = (part: Plan): Attribute => part.attribute ?? createAttribute(part.evaluate);

const conversions = new Set([
  "bool",
  "bytes",
  "double",
  "duration",
  "dyn",
  "int",
  "string",
  "timestamp",
  "type",
  "uint",
]);
const regexFunctions = new Set(["matches", "find", "findAll"]);

class Planner {
  readonly #context: PlanContext;
  /** Where the variables of the comprehensions around are kept, innermost last. */
  readonly #scope: { readonly name: string; readonly read: Evaluate }[] = [];
  #slots = 0;

  constructor(context: PlanContext) {
    this.#context = context;
  }

  plan(e: Expr): Plan {
    switch (e.kind) {
      case "literal":
        return constantPlan(e.value);
      case "ident":
        return this.#ident(e.name, e);
      case "select":
        return this.#select(e);
      case "call":
        return this.#call(e);
      case "list":
        return this.#list(e.elements, new Set(e.optionals));
      case "map":
        return this.#map(e);
      case "struct":
        return { evaluate: this.#struct(e) };
      case "comprehension":
        return { evaluate: isBind(e) ? this.#bind(e) : this.#comprehension(e) };
      default:
        throw new PlanError("unsupported expr");
    }
  }

  #ident(name: string, e: Expr): Plan {
    const local = this.#scope.findLast((variable) => variable.name === name);
    if (local) return attributePlan(createAttribute(local.read));
    if (e.type?.kind === "type") {
      const type = this.#context.types.named.get(name);
      if (!type) throw new PlanError(`reference to undefined type: ${name}`);
      return constantPlan(type);
    }
    return attributePlan(createAttribute((run) => run.variable(name)));
  }

  #select(e: Select): Plan {
    const operand = this.plan(e.operand);
    const attribute = attributeOf(operand);
    if (!e.testOnly) {
      attribute.add(createConstantQualifier(e.field, false));
      return operand.attribute ? operand : attributePlan(attribute);
    }
    attribute.add(createTestQualifier(e.field));
    const evaluate: Evaluate = (run) => {
      const value = attribute.resolve(run);
      // Presence tests are free; cel-go takes back one unit that a conditional never counted.
      if (attribute.conditional) run.charge(-1);
      return value instanceof Optional ? value.value !== undefined : value;
    };
    return { attribute, evaluate };
  }

  #call(e: Call): Plan {
    const args = (e.target ? [e.target, ...e.args] : e.args).map((arg) => this.plan(arg));
    const evaluates = args.map((arg) => arg.evaluate);
    const [a = noArgument, b = noArgument, c = noArgument] = args;
    switch (e.function) {
      case "_&&_":
        return { evaluate: logical(false, a.evaluate, b.evaluate) };
      case "_||_":
        return { evaluate: logical(true, a.evaluate, b.evaluate) };
      case "_?_:_":
        return attributePlan(createConditional(a.evaluate, attributeOf(b), attributeOf(c)));
      case "_[_]":
        return this.#index(a, b, false);
      case "_?._":
      case "_[?_]":
        return this.#index(a, b, true);
      case "@not_strictly_false":
        return { evaluate: notStrictlyFalse(a.evaluate) };
      case "or":
        if (e.overloads?.length !== 1 || e.overloads[0] === "optional_or_optional")
          return { evaluate: otherwise(a.evaluate, b.evaluate, (value) => value) };
        break;
      case "orValue":
        return { evaluate: otherwise(a.evaluate, b.evaluate, ({ value = null }) => value) };
      case "@in": {
        const known = b.constant?.value;
        const member = known instanceof CelList && e.overloads?.join() === "in_list" ? membership(a, known) : undefined;
        if (member) return member;
        break;
      }
    }
    if (conversions.has(e.function) && args.length === 1 && a.constant) {
      const value = this.#apply(e, evaluates)(new Run({}, { costLimit: Number.POSITIVE_INFINITY }));
      if (value instanceof CelError) throw new PlanError(value.message);
      return constantPlan(value);
    }
    const pattern = regexFunctions.has(e.function) ? b.constant?.value : undefined;
    if (typeof pattern !== "string") return { evaluate: this.#apply(e, evaluates) };
    const compiled = this.#context.regex(pattern);
    if (compiled instanceof CelError) throw new PlanError(compiled.message);
    return { evaluate: this.#apply(e, evaluates, true) };
  }

  #apply(e: Call, args: readonly Evaluate[], stopsAtErrors = false): Evaluate {
    const declaration = this.#context.functions.get(e.function);
    if (!declaration) throw new PlanError(`no such overload: ${e.function}`);
    return planCall(declaration, e.overloads ?? [], { args, stopsAtErrors });
  }

  #index(operand: Plan, index: Plan, optional: boolean): Plan {
    const attribute = attributeOf(operand);
    const { constant } = index;
    if (constant) {
      if (!isKey(constant.value)) throw new PlanError(`invalid qualifier type: ${goTypeName(constant.value)}`);
      attribute.add(createConstantQualifier(constant.value, optional));
    } else {
      const { attribute: of } = index;
      attribute.add(createDynamicQualifier(of ? (run) => of.resolve(run) : index.evaluate, optional));
    }
    return operand.attribute ? operand : attributePlan(attribute);
  }

  #list(elements: readonly Expr[], optionals: ReadonlySet<number>): Plan {
    const parts = elements.map((element) => this.plan(element));
    if (optionals.size === 0 && parts.every((part) => part.constant))
      return constantPlan(new ArrayList(parts.map((part) => part.constant?.value ?? null)));
    const evaluate: Evaluate = (run) => {
      const values: CelValue[] = [];
      for (const [i, part] of parts.entries()) {
        const value = part.evaluate(run);
        if (value instanceof CelError) return value;
        if (!optionals.has(i)) values.push(value);
        else if (!(value instanceof Optional))
          return new CelError(`cannot initialize optional list element from non-optional value ${printValue(value)}`);
        else if (value.value !== undefined) values.push(value.value);
      }
      return new ArrayList(values);
    };
    return { evaluate: charged(evaluate, listCost) };
  }

  #map(e: Expr & { kind: "map" }): Plan {
    const parts = e.entries.map(({ key, value, optional }) => ({
      key: this.plan(key),
      value: this.plan(value),
      optional,
    }));
    const evaluate: Evaluate = (run) => {
      const map = new EntryMap();
      for (const { key, value, optional } of parts) {
        const k = key.evaluate(run);
        if (k instanceof CelError) return k;
        const v = value.evaluate(run);
        if (v instanceof CelError) return v;
        if (!isKey(k) && k !== null) return new CelError(`unsupported map key type: ${typeOf(k).name}`);
        if (!optional) map.set(k, v);
        else if (!(v instanceof Optional)) return notOptional(k, v);
        else if (v.value === undefined) map.delete(k);
        else map.set(k, v.value);
      }
      return map;
    };
    const isConstant = parts.every(({ key, value, optional }) => key.constant && value.constant && !optional);
    if (!isConstant) return { evaluate: charged(evaluate, mapCost) };
    const value = evaluate(new Run({}, { costLimit: 0 }));
    return value instanceof CelError ? { evaluate: () => value } : constantPlan(value);
  }

  #struct(e: StructExpr): Evaluate {
    const type = this.#context.types.find(e.typeName);
    if (!type) throw new PlanError(`unknown type: ${e.typeName}`);
    const parts = e.fields.map(({ name, value, optional }) => ({ name, value: this.plan(value).evaluate, optional }));
    return charged((run) => {
      const fields = new Map<string, CelValue>();
      for (const { name, value, optional } of parts) {
        const v = value(run);
        if (v instanceof CelError) return v;
        if (!optional) fields.set(name, v);
        else if (!(v instanceof Optional)) return notOptional(name, v);
        else if (v.value === undefined) fields.delete(name);
        else fields.set(name, v.value);
      }
      return type.construct?.(fields) ?? new CelError(`unknown type '${e.typeName}'`);
    }, structCost);
  }

  #inScope(variables: readonly { name: string; read: Evaluate }[], e: Expr): Evaluate {
    this.#scope.push(...variables);
    const { evaluate } = this.plan(e);
    this.#scope.length -= variables.length;
    return evaluate;
  }

  /** The accumulator gets its first value when it is first asked for. */
  #accumulator(e: Comprehension, grows: boolean): { slot: number; name: string; read: Evaluate } {
    const slot = this.#slots++;
    const init = this.plan(e.accuInit).evaluate;
    const read: Evaluate = (run) => {
      const value = run.slots[slot];
      if (typeof value !== "symbol" && value !== undefined) return value;
      const first = init(run);
      const made = grows ? growing(first) : first;
      run.slots[slot] = made;
      return made;
    };
    return { slot, name: e.accuVar, read };
  }

  #bind(e: Comprehension): Evaluate {
    const accu = this.#accumulator(e, false);
    const result = this.#inScope([accu], e.result);
    return (run) => {
      run.slots[accu.slot] = unset;
      return result(run);
    };
  }

  #comprehension(e: Comprehension): Evaluate {
    const accu = this.#accumulator(e, true);
    const range = this.plan(e.range).evaluate;
    const [first, second] = [this.#slots++, this.#slots++];
    const local = (name: string, slot: number) => ({
      name,
      read: (run: Run): Result => run.slots[slot] as Result, // set before each iteration
    });
    const variables = [accu, local(e.iterVar, first), ...(e.iterVar2 ? [local(e.iterVar2, second)] : [])];
    const condition = this.#inScope(variables, e.condition);
    const step = this.#inScope(variables, e.step);
    const result = this.#inScope([accu], e.result);
    const iterate = (run: Run, key: Result, value: Result): boolean => {
      run.slots[first] = key;
      run.slots[second] = value;
      const goesOn = condition(run);
      if (goesOn === false) return false;
      run.slots[accu.slot] = step(run);
      run.iterate();
      return true;
    };
    const withPairs = e.iterVar2 !== undefined;
    return (run) => {
      const over = range(run);
      if (over instanceof CelError) return over;
      run.slots[accu.slot] = unset;
      if (over instanceof CelList) {
        for (let i = 0; i < over.size; i++) {
          const goesOn = withPairs ? iterate(run, BigInt(i), over.at(i)) : iterate(run, over.at(i), null);
          if (!goesOn) break;
        }
      } else if (over instanceof CelMap) {
        for (const key of over.keys()) if (!iterate(run, key, withPairs ? (over.find(key) ?? null) : null)) break;
      } else {
        return new CelError(
          withPairs
            ? `unsupported comprehension range type: ${goTypeName(over)}`
            : `got '${goTypeName(over)}', expected iterable type`,
        );
      }
      return finished(result(run));
    };
  }
}

const noArgument: Plan = constantPlan(null);

const notOptional = (key: CelValue, value: CelValue): CelError =>
  new CelError(`cannot initialize optional entry '${printValue(key)}' from non-optional value ${printValue(value)}`);

const charged =
  (evaluate: Evaluate, cost: number): Evaluate =>
  (run) => {
    const value = evaluate(run);
    run.charge(cost);
    return value;
  };

/** && (`decides` false) and || (true): an error counts only when no operand decides. */
function logical(decides: boolean, left: Evaluate, right: Evaluate): Evaluate {
  return (run) => {
    const a = left(run);
    if (a === decides) return decides;
    const b = right(run);
    if (b === decides) return decides;
    for (const value of [a, b]) {
      if (value instanceof CelError) return value;
      if (typeof value !== "boolean") return noSuchOverload;
    }
    return !decides;
  };
}

const notStrictlyFalse =
  (operand: Evaluate): Evaluate =>
  (run) => {
    const value = operand(run);
    run.charge(1);
    return typeof value === "boolean" ? value : true;
  };

/** `a.or(b)`, `a.orValue(b)`: free. */
const otherwise =
  (left: Evaluate, right: Evaluate, take: (value: Optional) => Result): Evaluate =>
  (run) => {
    const value = left(run);
    if (!(value instanceof Optional)) return value;
    return value.value === undefined ? right(run) : take(value);
  };

function growing(value: Result): Result {
  if (value instanceof CelList && value.size === 0) return new GrowingList();
  return value instanceof CelMap && value.size === 0 ? new GrowingMap() : value;
}

/** `x in [1, 2, 3]` of plain values is looked up, and free. */
function membership(element: Plan, list: CelList): Plan | undefined {
  if (list.size === 0) return constantPlan(false);
  const known = new EntryMap();
  for (const value of list) {
    if (value instanceof CelError || !isKey(value)) return undefined;
    known.set(value, true);
    // An EntryMap finds equal integers of both types, by doubles, too; but not the other way round.
    if (Number.isInteger(value)) known.set(BigInt(value as number), true); // isInteger: a number
  }
  return {
    evaluate: (run) => {
      const value = element.evaluate(run);
      if (value instanceof CelError) return value;
      return known.find(value) !== undefined;
    },
  };
}
