/**
 * Attributes: a variable or a value followed by selections, `self.spec.items[i].?name`, resolved in one go. They follow
 * cel-go's interpreter/attributes.go step by step, because the steps decide what an evaluation costs: every selection
 * counts one unit, an attribute that is evaluated one more, and none when it stands as a branch of `?:` or as an index.
 */

import type { Run } from "./run.ts";
import { printValue } from "./operations.ts";
import {
  CelError,
  CelList,
  CelMap,
  CelObject,
  type CelValue,
  noSuchOverload,
  none,
  Optional,
  type Result,
  Uint,
} from "./values.ts";

export type Evaluate = (run: Run) => Result;

/** Says that a selection found nothing. */
type Absent = undefined;

export interface Qualifier {
  /** `.?field` or `[?index]`; everything after it is optional, too. */
  readonly optional: boolean;
  /** The selection from a value, or an error when there is nothing. */
  select(run: Run, value: CelValue): Result;
  /** The same, with undefined when there is nothing. */
  selectIfPresent(run: Run, value: CelValue): Result | Absent;
}

export interface Attribute {
  resolve(run: Run): Result;
  add(qualifier: Qualifier): void;
  /** `c ? a : b`; it costs nothing itself. */
  readonly conditional: boolean;
}

/** Starts at what `base` gives. */
export function createAttribute(base: Evaluate): Attribute {
  const qualifiers: Qualifier[] = [];
  return {
    conditional: false,
    add: (qualifier) => {
      qualifiers.push(qualifier);
    },
    resolve: (run) => {
      const value = base(run);
      return value instanceof CelError || qualifiers.length === 0 ? value : applyQualifiers(run, value, qualifiers);
    },
  };
}

export function createConditional(condition: Evaluate, whenTrue: Attribute, whenFalse: Attribute): Attribute {
  return {
    conditional: true,
    add: (qualifier) => {
      whenTrue.add(qualifier);
      whenFalse.add(qualifier);
    },
    resolve: (run) => {
      const value = condition(run);
      if (value === true) return whenTrue.resolve(run);
      if (value === false) return whenFalse.resolve(run);
      return value instanceof CelError ? value : noSuchOverload;
    },
  };
}

function applyQualifiers(run: Run, start: CelValue, qualifiers: readonly Qualifier[]): Result {
  let value = start;
  let optional = false;
  if (value instanceof Optional) {
    if (value.value === undefined) return value;
    value = value.value;
    optional = true;
  }
  for (const qualifier of qualifiers) {
    optional ||= qualifier.optional;
    const selected = optional ? qualifier.selectIfPresent(run, value) : qualifier.select(run, value);
    if (selected === undefined) return none;
    if (selected instanceof CelError) return selected;
    value = selected;
  }
  return optional ? new Optional(value) : value;
}

/** A field name or a literal index. */
export function createConstantQualifier(key: CelValue, optional: boolean): Qualifier {
  return {
    optional,
    select: (run, value) => {
      run.charge(1);
      return selectOrFail(value, key);
    },
    selectIfPresent: (run, value) => {
      const found = selectFrom(value, key);
      // Only what is there costs; errors never are.
      if (found !== undefined && !(found instanceof CelError)) run.charge(1);
      return found;
    },
  };
}

/** `has(a.key)` */
export function createTestQualifier(key: string): Qualifier {
  return {
    optional: false,
    select: (run, value) => {
      run.charge(1);
      const found = selectFrom(value, key);
      return found instanceof CelError ? found : found !== undefined;
    },
    selectIfPresent: (run, value) => {
      const found = selectFrom(value, key);
      if (found !== undefined && !(found instanceof CelError)) run.charge(1);
      return found;
    },
  };
}

/** An index that is computed. */
export function createDynamicQualifier(index: Evaluate, optional: boolean): Qualifier {
  const select = (run: Run, value: CelValue, ifPresent: boolean): Result | Absent => {
    const key = index(run);
    let found: Result | Absent;
    if (key instanceof CelError) found = key;
    else if (!isKey(key)) found = new CelError(`invalid qualifier type: ${printValue(key)}`);
    else found = ifPresent ? selectFrom(value, key) : selectOrFail(value, key);
    if (!ifPresent || (found !== undefined && !(found instanceof CelError))) run.charge(1);
    return found;
  };
  return {
    optional,
    select: (run, value) => select(run, value, false) ?? null,
    selectIfPresent: (run, value) => select(run, value, true),
  };
}

export const isKey = (key: CelValue): boolean =>
  typeof key === "string" ||
  typeof key === "bigint" ||
  typeof key === "boolean" ||
  typeof key === "number" ||
  key instanceof Uint;

function selectOrFail(value: CelValue, key: CelValue): Result {
  if (value instanceof CelObject && value.get && typeof key === "string") return value.get(key);
  const found = selectFrom(value, key);
  if (found !== undefined) return found;
  return new CelError(`${value instanceof CelList ? "index out of bounds" : "no such key"}: ${printValue(key)}`);
}

function selectFrom(value: CelValue, key: CelValue): Result | Absent {
  if (value instanceof CelMap) return value.find(key);
  if (value instanceof CelList) {
    const index = listIndex(key);
    if (index instanceof CelError) return index;
    return index >= 0 && index < value.size ? value.at(index) : undefined;
  }
  if (value instanceof CelObject && typeof key === "string" && value.has?.(key)) return value.get?.(key);
  return undefined;
}

function listIndex(key: CelValue): number | CelError {
  if (typeof key === "bigint") return Number(key);
  if (key instanceof Uint) return Number(key.value);
  if (typeof key === "number") {
    return Number.isInteger(key) ? key : new CelError(`unsupported index value ${printValue(key)} in list`);
  }
  return new CelError(`unsupported index type '${typeof key === "boolean" ? "bool" : "string"}' in list`);
}
