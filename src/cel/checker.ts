/**
 * Types: every expression gets one, every call the overloads that fit; what doesn't fit is reported in cel-go's words
 * (checker/checker.go). Names with dots become identifiers where a variable or type of that name exists.
 */

import type { FunctionDeclaration } from "./functions.ts";
import {
  type Call,
  childrenOf,
  type Comprehension,
  type Expr,
  type ListExpr,
  type MapExpr,
  type Select,
  type StructExpr,
} from "./syntax/ast.ts";
import type { Issues } from "./syntax/issues.ts";
import { type TypeRegistry, typeVariable } from "./type-registry.ts";
import { typeOf } from "./operations.ts";
import {
  assignable,
  boolType,
  type CelType,
  dynType,
  errorType,
  intType,
  isDyn,
  isDynOrError,
  isOptional,
  listType,
  mapType,
  mostGeneral,
  optionalType,
  parameterOf,
  sameType,
  Substitutions,
  substitute,
  typeOfType,
  typeParameter,
} from "./types.ts";

export interface CheckContext {
  readonly variables: ReadonlyMap<string, CelType>;
  readonly functions: ReadonlyMap<string, FunctionDeclaration>;
  readonly types: TypeRegistry;
}

/** Writes types and overloads into the tree, reports to `issues`. */
export function check(e: Expr, context: CheckContext, issues: Issues): void {
  new Checker(context, issues).run(e);
}

/** `a.b.c`; undefined for anything else. */
function qualifiedName(e: Expr): string | undefined {
  if (e.kind === "ident") return e.name;
  if (e.kind !== "select" || e.testOnly) return undefined;
  const prefix = qualifiedName(e.operand);
  return prefix === undefined ? undefined : `${prefix}.${e.field}`;
}

const plainName = (name: string): string => (name.startsWith(".") ? name.slice(1) : name);
const typeAt = (e: Expr): CelType => e.type ?? errorType;

class Checker {
  readonly #context: CheckContext;
  readonly #issues: Issues;
  readonly #found = new Substitutions();
  /** Variables of the comprehensions around, innermost last. */
  readonly #locals: { readonly name: string; readonly type: CelType }[] = [];
  #freeTypes = 0;

  constructor(context: CheckContext, issues: Issues) {
    this.#context = context;
    this.#issues = issues;
  }

  run(e: Expr): void {
    this.#check(e);
    this.#settle(e);
  }

  /** All types are known now: what was left open can be anything. */
  #settle(e: Expr): void {
    if (e.type) e.type = substitute(this.#found, e.type, true);
    for (const child of childrenOf(e)) this.#settle(child);
  }

  #check(e: Expr): void {
    switch (e.kind) {
      case "literal":
        e.type = typeOf(e.value);
        break;
      case "ident": {
        const type = this.#lookup(e.name);
        e.type = type ?? this.#undeclared(e.at, e.name);
        e.name = plainName(e.name);
        break;
      }
      case "select":
        this.#checkSelect(e);
        break;
      case "call":
        this.#checkCall(e);
        break;
      case "list":
        e.type = this.#listType(e);
        break;
      case "map":
        e.type = this.#mapType(e);
        break;
      case "struct":
        this.#checkStruct(e);
        break;
      case "comprehension":
        this.#checkComprehension(e);
        break;
      default:
        this.#issues.report(e.at, "unexpected unspecified type: exprNode");
    }
  }

  #lookup(given: string): CelType | undefined {
    const name = plainName(given);
    const local = name === given ? this.#locals.findLast((variable) => variable.name === name) : undefined;
    const { variables, types } = this.#context;
    const known = local?.type ?? variables.get(name);
    if (known) return known;
    const named = types.named.get(name);
    if (named) return typeOfType(named);
    const struct = types.find(name);
    return struct && typeVariable(struct);
  }

  #undeclared(at: number, name: string): CelType {
    this.#issues.report(at, `undeclared reference to '${name}' (in container '')`);
    return errorType;
  }

  #checkSelect(e: Select): void {
    const name = qualifiedName(e);
    const variable = name === undefined ? undefined : this.#lookup(name);
    if (variable && name !== undefined) {
      // The node turns into the variable that it names.
      Object.assign(e, { kind: "ident", name: plainName(name), type: variable });
      return;
    }
    const type = this.#fieldOf(e.at, e.operand, e.field, false);
    e.type = e.testOnly ? boolType : substitute(this.#found, type);
  }

  #fieldOf(at: number, operand: Expr, field: string, optional: boolean): CelType {
    this.#check(operand);
    const given = substitute(this.#found, typeAt(operand));
    const target = isOptional(given) ? parameterOf(given) : given;
    const type = this.#selected(at, target, field);
    return optional || target !== given ? optionalType(type) : type;
  }

  #selected(at: number, target: CelType, field: string): CelType {
    switch (target.kind) {
      case "map":
        return parameterOf(target, 1);
      case "struct":
        return this.#structField(at, target.name, field) ?? errorType;
      case "param":
        assignable(this.#found, [dynType], [target]);
        return dynType;
    }
    if (!isDynOrError(target)) this.#issues.report(at, `type '${target}' does not support field selection`);
    return dynType;
  }

  #structField(at: number, typeName: string, field: string): CelType | undefined {
    const type = this.#context.types.find(typeName);
    const found = type?.field(field);
    if (!found) {
      this.#issues.report(at, type ? `undefined field '${field}'` : `unexpected failed resolution of '${typeName}'`);
    }
    return found;
  }

  #checkCall(e: Call): void {
    if (e.function === "_?._") {
      this.#checkOptionalSelect(e);
      return;
    }
    for (const arg of e.args) this.#check(arg);
    const { functions } = this.#context;
    if (e.target) {
      const prefix = qualifiedName(e.target);
      const qualified = prefix === undefined ? undefined : functions.get(plainName(`${prefix}.${e.function}`));
      if (qualified) {
        e.target = undefined;
        e.function = qualified.name;
        this.#resolve(e, qualified);
        return;
      }
      this.#check(e.target);
    }
    const declaration = functions.get(e.target ? e.function : plainName(e.function));
    if (!declaration) {
      e.type = this.#undeclared(e.at, e.function);
      return;
    }
    e.function = declaration.name;
    this.#resolve(e, declaration);
  }

  #checkOptionalSelect(e: Call): void {
    const [operand, field] = e.args;
    if (!operand || field?.kind !== "literal" || typeof field.value !== "string") return;
    const type = this.#fieldOf(e.at, operand, field.value, true);
    field.type = typeOf(field.value);
    e.type = substitute(this.#found, type);
    e.overloads = ["select_optional_field"];
  }

  #resolve(e: Call, declaration: FunctionDeclaration): void {
    const args = e.target ? [e.target, ...e.args] : e.args;
    const types = args.map(typeAt);
    const overloads = declaration.overloads.filter((overload) => overload.member === (e.target !== undefined));
    if (declaration.name === "_&&_" || declaration.name === "_||_") {
      this.#resolveLogical(e, overloads[0]?.id ?? "");
      return;
    }
    const ids: string[] = [];
    let result: CelType | undefined;
    for (const overload of overloads) {
      const fresh = new Substitutions();
      for (const name of overload.free) fresh.add(typeParameter(name), this.#newType());
      const parameters = overload.parameters.map((type) => substitute(fresh, type));
      if (!assignable(this.#found, types, parameters)) continue;
      ids.push(overload.id);
      const type = substitute(this.#found, substitute(fresh, overload.result));
      if (!result) result = type;
      else if (!isDyn(result) && !sameType(type, result)) result = dynType;
    }
    e.type = result ?? errorType;
    if (result) e.overloads = ids;
    else this.#noOverload(e, types);
  }

  #noOverload(e: Call, types: readonly CelType[]): void {
    const texts = types.map((type) => substitute(this.#found, type, true).toString());
    const signature = e.target ? `${texts[0]}.(${texts.slice(1).join(", ")})` : `(${texts.join(", ")})`;
    this.#issues.report(e.at, `found no matching overload for '${e.function}' applied to '${signature}'`);
  }

  #resolveLogical(e: Call, id: string): void {
    e.type = boolType;
    e.overloads = [id];
    for (const arg of e.args) {
      if (assignable(this.#found, [typeAt(arg)], [boolType])) continue;
      this.#mismatch(arg.at, boolType, typeAt(arg));
      e.type = errorType;
    }
  }

  #mismatch(at: number, expected: CelType, found: CelType): void {
    this.#issues.report(at, `expected type '${expected}' but found '${found}'`);
  }

  #newType(): CelType {
    return typeParameter(`_var${this.#freeTypes++}`);
  }

  /** What an element marked with a question mark contributes. */
  #unwrapped(e: Expr): CelType {
    const type = typeAt(e);
    if (isOptional(type)) return parameterOf(type);
    if (!isDyn(type)) this.#mismatch(e.at, optionalType(type), type);
    return type;
  }

  /** Literals of mixed types are reported by the validators, where they are not allowed. */
  #join(previous: CelType | undefined, type: CelType): CelType {
    if (!previous) return type;
    return assignable(this.#found, [previous], [type]) ? mostGeneral(previous, type) : dynType;
  }

  #listType(e: ListExpr): CelType {
    let type: CelType | undefined;
    for (const [i, element] of e.elements.entries()) {
      this.#check(element);
      type = this.#join(type, e.optionals.includes(i) ? this.#unwrapped(element) : typeAt(element));
    }
    return listType(type ?? this.#newType());
  }

  #mapType(e: MapExpr): CelType {
    let keyType: CelType | undefined;
    let valueType: CelType | undefined;
    for (const { key, value, optional } of e.entries) {
      this.#check(key);
      keyType = this.#join(keyType, typeAt(key));
      this.#check(value);
      valueType = this.#join(valueType, optional ? this.#unwrapped(value) : typeAt(value));
    }
    return mapType(keyType ?? this.#newType(), valueType ?? this.#newType());
  }

  #checkStruct(e: StructExpr): void {
    const variable = this.#lookup(e.typeName);
    if (!variable) {
      e.type = this.#undeclared(e.at, e.typeName);
      return;
    }
    e.typeName = plainName(e.typeName);
    e.type = errorType;
    if (variable.kind !== "type") this.#issues.report(e.at, `'${variable.name}' is not a type`);
    else if (parameterOf(variable).kind === "struct") e.type = parameterOf(variable);
    else this.#issues.report(e.at, `'${parameterOf(variable).name}' is not a message type`);
    for (const { at, name, value, optional } of e.fields) {
      this.#check(value);
      const expected = this.#structField(at, e.typeName, name) ?? errorType;
      const given = optional ? this.#unwrapped(value) : typeAt(value);
      if (!assignable(this.#found, [expected], [given]))
        this.#issues.report(at, `expected type of field '${name}' is '${expected}' but provided type is '${given}'`);
    }
  }

  #checkComprehension(e: Comprehension): void {
    this.#check(e.range);
    this.#check(e.accuInit);
    const range = substitute(this.#found, typeAt(e.range));
    const accuType = typeAt(e.accuInit);
    const [first, second] = this.#loopTypes(e, range);
    this.#locals.push({ name: e.accuVar, type: accuType });
    const loop = [{ name: e.iterVar, type: first }, ...(e.iterVar2 ? [{ name: e.iterVar2, type: second }] : [])];
    this.#locals.push(...loop);
    this.#check(e.condition);
    this.#require(e.condition, boolType);
    this.#check(e.step);
    this.#require(e.step, accuType);
    this.#locals.length -= loop.length;
    this.#check(e.result);
    this.#locals.pop();
    e.type = substitute(this.#found, typeAt(e.result));
  }

  #loopTypes(e: Comprehension, range: CelType): [CelType, CelType] {
    switch (range.kind) {
      case "list":
        return e.iterVar2 ? [intType, parameterOf(range)] : [parameterOf(range), errorType];
      case "map":
        return [parameterOf(range), parameterOf(range, 1)];
      case "dyn":
      case "error":
      case "param":
        assignable(this.#found, [dynType], [range]);
        return [dynType, dynType];
    }
    this.#issues.report(
      e.range.at,
      `expression of type '${range}' cannot be range of a comprehension (must be list, map, or dynamic)`,
    );
    return [errorType, errorType];
  }

  #require(e: Expr, type: CelType): void {
    if (!assignable(this.#found, [type], [typeAt(e)])) this.#mismatch(e.at, type, typeAt(e));
  }
}
