/**
 * The types of the expression language, as the checker knows them and as values carry them (a type is a value, too).
 * Assignability, substitution of type parameters and the names in messages follow cel-go (checker/types.go, format.go).
 */

export type TypeKind =
  | "any"
  | "bool"
  | "bytes"
  | "double"
  | "duration"
  | "dyn"
  | "error"
  | "int"
  | "list"
  | "map"
  | "null"
  | "opaque"
  | "param"
  | "string"
  | "struct"
  | "timestamp"
  | "type"
  | "uint";

export class CelType {
  readonly kind: TypeKind;
  readonly name: string;
  readonly parameters: readonly CelType[];

  constructor(kind: TypeKind, name: string, parameters: readonly CelType[] = []) {
    this.kind = kind;
    this.name = name;
    this.parameters = parameters;
  }

  /** As messages show it: `map(string, list(int))`. */
  toString(): string {
    if (this.kind === "duration" || this.kind === "timestamp") return this.kind;
    if (this.kind === "error") return "!error!";
    if (this.kind === "null") return "null";
    if (this.kind === "any") return "any";
    return this.parameters.length === 0 ? this.name : `${this.name}(${this.parameters.join(", ")})`;
  }
}

export const anyType = new CelType("any", "google.protobuf.Any");
export const boolType = new CelType("bool", "bool");
export const bytesType = new CelType("bytes", "bytes");
export const doubleType = new CelType("double", "double");
export const durationType = new CelType("duration", "google.protobuf.Duration");
export const dynType = new CelType("dyn", "dyn");
export const errorType = new CelType("error", "error");
export const intType = new CelType("int", "int");
export const nullType = new CelType("null", "null_type");
export const stringType = new CelType("string", "string");
export const timestampType = new CelType("timestamp", "google.protobuf.Timestamp");
export const typeType = new CelType("type", "type");
export const uintType = new CelType("uint", "uint");

export const listType = (element: CelType): CelType => new CelType("list", "list", [element]);
export const mapType = (key: CelType, value: CelType): CelType => new CelType("map", "map", [key, value]);
export const optionalType = (value: CelType): CelType => new CelType("opaque", "optional_type", [value]);
export const objectType = (name: string): CelType => new CelType("struct", name);
export const opaqueType = (name: string): CelType => new CelType("opaque", name);
export const typeOfType = (parameter: CelType): CelType => new CelType("type", "type", [parameter]);
export const typeParameter = (name: string): CelType => new CelType("param", name);

/** What a list, a map or an optional of unknown contents is as a value of type(). */
export const dynListType = listType(dynType);
export const dynMapType = mapType(dynType, dynType);
export const anyOptionalType = opaqueType("optional_type");

export const isDyn = (type: CelType): boolean => type.kind === "dyn" || type.kind === "any";
export const isDynOrError = (type: CelType): boolean => isDyn(type) || type.kind === "error";
export const isOptional = (type: CelType): boolean => type.kind === "opaque" && type.name === "optional_type";

/** The first type parameter; types that are asked for one have it. */
export const parameterOf = (type: CelType, index = 0): CelType => type.parameters[index] ?? dynType;

/** Same kind, name and parameters; with `anyParameterName` type parameters of different names are the same. */
export function sameType(a: CelType, b: CelType, anyParameterName = false): boolean {
  if (a === b) return true;
  if (a.kind !== b.kind || a.parameters.length !== b.parameters.length) return false;
  if (a.name !== b.name && !(anyParameterName && a.kind === "param")) return false;
  return a.parameters.every((parameter, i) => sameType(parameter, parameterOf(b, i), anyParameterName));
}

/** Type parameters that the checker has found a type for; the innermost of a chain of trials. */
export class Substitutions {
  readonly #found = new Map<string, CelType>();
  readonly #parent: Substitutions | undefined;

  constructor(parent?: Substitutions) {
    this.#parent = parent;
  }

  find(type: CelType): CelType | undefined {
    if (type.kind !== "param") return undefined;
    for (let at: Substitutions | undefined = this; at; at = at.#parent) {
      const found = at.#found.get(type.name);
      if (found) return found;
    }
    return undefined;
  }

  add(parameter: CelType, type: CelType): void {
    this.#found.set(parameter.name, type);
  }

  /** Takes over what a trial found. */
  absorb(trial: Substitutions): void {
    for (const [name, type] of trial.#found) this.#found.set(name, type);
  }
}

/** The type with its parameters replaced; with `freeToDyn` those without a substitution become dyn. */
export function substitute(found: Substitutions, type: CelType, freeToDyn = false): CelType {
  const known = found.find(type);
  if (known) return substitute(found, known, freeToDyn);
  if (type.kind === "param") return freeToDyn ? dynType : type;
  if (type.parameters.length === 0) return type;
  const parameters = type.parameters.map((parameter) => substitute(found, parameter, freeToDyn));
  return parameters.every((parameter, i) => parameter === type.parameters[i])
    ? type
    : new CelType(type.kind, type.name, parameters);
}

/** Whether each type can be used where its partner is expected; if so, what that says about type parameters is kept. */
export function assignable(found: Substitutions, from: readonly CelType[], to: readonly CelType[]): boolean {
  const trial = new Substitutions(found);
  if (!allAssignable(trial, from, to)) return false;
  found.absorb(trial);
  return true;
}

function allAssignable(found: Substitutions, from: readonly CelType[], to: readonly CelType[]): boolean {
  return from.length === to.length && from.every((type, i) => isAssignable(found, type, parameterAt(to, i)));
}

const parameterAt = (types: readonly CelType[], index: number): CelType => types[index] ?? dynType;

function isAssignable(found: Substitutions, a: CelType, b: CelType): boolean {
  if (b.kind === "param") {
    const outcome = bind(found, a, b);
    if (outcome !== "free") return outcome === "fits";
  }
  if (a.kind === "param") return bind(found, b, a) === "fits";
  if (isDynOrError(a) || isDynOrError(b)) return true;
  if (a.kind === "null") return b.kind === "null" || isNullable(b);
  if (b.kind === "null") return isNullable(a);
  if (a.kind === "type") return b.kind === "type";
  return a.kind === b.kind && a.name === b.name && allAssignable(found, a.parameters, b.parameters);
}

const isNullable = (type: CelType): boolean =>
  type.kind === "opaque" || type.kind === "struct" || type.kind === "duration" || type.kind === "timestamp";

/** Makes `parameter` stand for `type`. "free": it could not, and nothing was known about it before. */
function bind(found: Substitutions, type: CelType, parameter: CelType): "fits" | "conflicts" | "free" {
  if (sameType(type, parameter)) return "fits";
  const known = found.find(parameter);
  if (known) {
    if (sameType(type, known)) return "fits";
    if (!isAssignable(found, type, known)) return "conflicts";
    const wider = mostGeneral(type, known);
    if (!mentions(found, parameter, wider)) found.add(parameter, wider);
    return "fits";
  }
  if (mentions(found, parameter, type)) return "free";
  found.add(parameter, type);
  return "fits";
}

/** A parameter must not stand for a type that contains it. */
function mentions(found: Substitutions, parameter: CelType, type: CelType): boolean {
  if (sameType(parameter, type)) return true;
  if (type.kind === "param") {
    const known = found.find(type);
    return known !== undefined && mentions(found, parameter, known);
  }
  return type.parameters.some((inner) => mentions(found, parameter, inner));
}

export function mostGeneral(a: CelType, b: CelType): CelType {
  return isLessSpecific(a, b) ? a : b;
}

function isLessSpecific(a: CelType, b: CelType): boolean {
  if (isDyn(a) || a.kind === "param") return true;
  if (isDyn(b) || b.kind === "param" || a.kind !== b.kind) return false;
  if (a.kind === "type") return true;
  if (a.name !== b.name || a.parameters.length !== b.parameters.length) return false;
  return a.parameters.every((parameter, i) => isLessSpecific(parameter, parameterOf(b, i)));
}
