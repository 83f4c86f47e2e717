/**
 * Functions and their overloads. Libraries are tables from names to signatures with what they do:
 * `"string_find_string .(string, string) string"` is the overload's id, a dot when it is called on its first argument,
 * parameter types and result type. Single capital letters are type parameters.
 */

import type { MacroSet } from "./syntax/macros.ts";
import {
  boolType,
  bytesType,
  type CelType,
  doubleType,
  durationType,
  dynType,
  intType,
  listType,
  mapType,
  nullType,
  objectType,
  opaqueType,
  optionalType,
  stringType,
  timestampType,
  typeOfType,
  typeParameter,
  uintType,
} from "./types.ts";
import type { Result } from "./values.ts";

/** Called with arguments of the declared types only. */
export type Implementation = (...args: never[]) => Result;

export interface Overload {
  readonly id: string;
  readonly member: boolean;
  readonly parameters: readonly CelType[];
  readonly result: CelType;
  /** Names of type parameters. */
  readonly free: readonly string[];
  readonly apply?: Implementation;
}

export interface FunctionDeclaration {
  readonly name: string;
  readonly overloads: readonly Overload[];
  /** One implementation for all overloads, which checks its arguments itself. */
  readonly apply?: Implementation;
  /** What calls of it do, by chosen overloads: shared by all programs (see calls.ts). */
  readonly calls: Map<string, unknown>;
}

/** Per function: signatures with implementations; or one implementation (`apply`) and signatures. */
export type FunctionTable = Readonly<
  Record<
    string,
    Readonly<Record<string, Implementation>> | { readonly apply: Implementation; readonly is: readonly string[] }
  >
>;

export interface Library {
  readonly functions?: FunctionTable;
  readonly macros?: MacroSet;
  /** Types that can be named in expressions. */
  readonly types?: readonly CelType[];
  /** Minor release of Kubernetes with which it came; it is there from the beginning without one. */
  readonly since?: number;
}

const named: Readonly<Record<string, CelType>> = {
  bool: boolType,
  bytes: bytesType,
  double: doubleType,
  duration: durationType,
  dyn: dynType,
  int: intType,
  null: nullType,
  string: stringType,
  timestamp: timestampType,
  uint: uintType,
  "net.IP": opaqueType("net.IP"),
  "net.CIDR": opaqueType("net.CIDR"),
};

const generic: Readonly<Record<string, (...parameters: CelType[]) => CelType>> = {
  list: listType as (...parameters: CelType[]) => CelType,
  map: mapType as (...parameters: CelType[]) => CelType,
  optional: optionalType as (...parameters: CelType[]) => CelType,
  type: typeOfType as (...parameters: CelType[]) => CelType,
};

/** `map(string, list(A))` */
export function readType(text: string): CelType {
  const open = text.indexOf("(");
  if (open < 0) return named[text] ?? (/^[A-Z]$/.test(text) ? typeParameter(text) : objectType(text));
  const make = generic[text.slice(0, open)];
  if (!make) throw new Error(`no such type: ${text}`);
  return make(...splitTypes(text.slice(open + 1, -1)).map(readType));
}

/** At the commas outside of parentheses. */
function splitTypes(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "(") depth++;
    else if (text[i] === ")") depth--;
    else if (text[i] === "," && depth === 0) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  return [...parts, text.slice(start)].map((part) => part.trim()).filter((part) => part !== "");
}

function readOverload(signature: string, apply?: Implementation): Overload {
  const [, id = "", dot = "", rest = ""] = /^(\S+) (\.?)(\(.*)$/.exec(signature) ?? [];
  const end = closing(rest);
  const parameters = splitTypes(rest.slice(1, end)).map(readType);
  const result = readType(rest.slice(end + 2));
  const free = [...new Set(rest.match(/\b[A-Z]\b/g))];
  return { id, member: dot === ".", parameters, result, free, ...(apply && { apply }) };
}

/** Where the parameter list of `(list(A)) optional(A)` ends. */
function closing(text: string): number {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "(") depth++;
    if (text[i] === ")" && --depth === 0) return i;
  }
  return text.length;
}

/** All functions of the libraries; an overload that is declared twice keeps its first place. */
export function declareFunctions(
  libraries: readonly Library[],
  into: ReadonlyMap<string, FunctionDeclaration> = new Map(),
): Map<string, FunctionDeclaration> {
  const declared = new Map(into);
  for (const { functions = {} } of libraries) {
    for (const [name, spec] of Object.entries(functions)) {
      const shared = Array.isArray(spec.is) ? (spec as { apply: Implementation; is: readonly string[] }) : undefined;
      const added = shared
        ? shared.is.map((signature) => readOverload(signature))
        : Object.entries(spec as Record<string, Implementation>).map(([key, apply]) => readOverload(key, apply));
      const before = declared.get(name);
      const apply = shared?.apply ?? before?.apply;
      declared.set(name, {
        name,
        overloads: [...(before?.overloads ?? []), ...added],
        calls: new Map(),
        ...(apply && { apply }),
      });
    }
  }
  return declared;
}
