/**
 * Attributes: a variable or a value followed by selections, `self.spec.items[i].?name`, resolved in one go. They follow
 * cel-go's interpreter/attributes.go step by step, because the steps decide what an evaluation costs: every selection
 * counts one unit, an attribute that is evaluated one more, and none when it stands as a branch of `?:` or as an index.
 */

import type { Run } from "./run.ts";
import { goTypeName, printValue } from "./operations.ts";
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

// Classes, because programs are many: an instance is a few words, an object with closures a few hundred bytes.

/** Starts at what `base` gives. */
class BasedAttribute implements Attribute {
  readonly conditional = false;
  readonly #base: Evaluate;
  #qualifiers: readonly Qualifier[] = noQualifiers;

  constructor(base: Evaluate) {
    this.#base = base;
  }
  add(qualifier: Qualifier): void {
    this.#qualifiers = [...this.#qualifiers, qualifier];
  }
  resolve(run: Run): Result {
    const value = this.#base(run);
    if (value instanceof CelError || this.#qualifiers === noQualifiers) return value;
    return applyQualifiers(run, value, this.#qualifiers);
  }
}
const noQualifiers: readonly Qualifier[] = [];

export const createAttribute = (base: Evaluate): Attribute => new BasedAttribute(base);

class ConditionalAttribute implements Attribute {
  readonly conditional = true;
  readonly #condition: Evaluate;
  readonly #whenTrue: Attribute;
  readonly #whenFalse: Attribute;

  constructor(condition: Evaluate, whenTrue: Attribute, whenFalse: Attribute) {
    this.#condition = condition;
    this.#whenTrue = whenTrue;
    this.#whenFalse = whenFalse;
  }
  add(qualifier: Qualifier): void {
    this.#whenTrue.add(qualifier);
    this.#whenFalse.add(qualifier);
  }
  resolve(run: Run): Result {
    const value = this.#condition(run);
    if (value === true) return this.#whenTrue.resolve(run);
    if (value === false) return this.#whenFalse.resolve(run);
    return value instanceof CelError ? value : noSuchOverload;
  }
}

export const createConditional = (condition: Evaluate, whenTrue: Attribute, whenFalse: Attribute): Attribute =>
  new ConditionalAttribute(condition, whenTrue, whenFalse);

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
class ConstantQualifier implements Qualifier {
  readonly optional: boolean;
  protected readonly key: CelValue;

  constructor(key: CelValue, optional: boolean) {
    this.key = key;
    this.optional = optional;
  }
  select(run: Run, value: CelValue): Result {
    run.charge(1);
    return selectOrFail(value, this.key);
  }
  selectIfPresent(run: Run, value: CelValue): Result | Absent {
    return chargePresent(run, selectFrom(value, this.key));
  }
}

export const createConstantQualifier = (key: CelValue, optional: boolean): Qualifier =>
  new ConstantQualifier(key, optional);

/** `has(a.key)` */
class TestQualifier extends ConstantQualifier {
  override select(run: Run, value: CelValue): Result {
    run.charge(1);
    const found = selectFrom(value, this.key);
    return found instanceof CelError ? found : found !== undefined;
  }
}

export const createTestQualifier = (key: string): Qualifier => new TestQualifier(key, false);

/** An index that is computed. */
class DynamicQualifier implements Qualifier {
  readonly optional: boolean;
  readonly #index: Evaluate;

  constructor(index: Evaluate, optional: boolean) {
    this.#index = index;
    this.optional = optional;
  }
  select(run: Run, value: CelValue): Result {
    const key = this.#key(run);
    run.charge(1);
    return key instanceof CelError ? key : selectOrFail(value, key);
  }
  selectIfPresent(run: Run, value: CelValue): Result | Absent {
    const key = this.#key(run);
    return key instanceof CelError ? key : chargePresent(run, selectFrom(value, key));
  }
  #key(run: Run): Result {
    const key = this.#index(run);
    return key instanceof CelError || isKey(key)
      ? key
      : new CelError(`invalid qualifier type: ${key === null ? "<nil>" : goTypeName(key)}`);
  }
}

export const createDynamicQualifier = (index: Evaluate, optional: boolean): Qualifier =>
  new DynamicQualifier(index, optional);

/** Where absence is allowed, only what is there costs; errors never do. */
function chargePresent(run: Run, found: Result | Absent): Result | Absent {
  if (found !== undefined && !(found instanceof CelError)) run.charge(1);
  return found;
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
