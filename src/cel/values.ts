/**
 * Values of the expression language. JavaScript's own where they fit: boolean, string, null, bigint for int, number for
 * double, Uint8Array for bytes; classes for the rest. Errors are values too (CelError): && and || absorb them, so they
 * are returned, not thrown.
 */

import { unescapeName } from "./escape.ts";
import type { CelType } from "./types.ts";

export type CelValue =
  | boolean
  | bigint
  | number
  | string
  | null
  | Uint8Array
  | Uint
  | Duration
  | Timestamp
  | CelList
  | CelMap
  | Optional
  | CelObject
  | CelType;

/** What an evaluation step gives. */
export type Result = CelValue | CelError;

/** `cost`: the limit was exceeded, `interrupted`: it took too long; both end an evaluation at once. */
export type CelErrorCode = "evaluation" | "cost" | "interrupted";

export class CelError {
  readonly message: string;
  readonly code: CelErrorCode;

  constructor(message: string, code: CelErrorCode = "evaluation") {
    this.message = message;
    this.code = code;
  }
}

export const noSuchOverload = new CelError("no such overload");

/** An unsigned 64-bit integer. */
export class Uint {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = value;
  }
}

export class Duration {
  readonly nanoseconds: bigint;
  constructor(nanoseconds: bigint) {
    this.nanoseconds = nanoseconds;
  }
}

export class Timestamp {
  /** Since 1970, rounded down. */
  readonly seconds: number;
  /** 0 to 999,999,999. */
  readonly nanoseconds: number;
  /** East of UTC, kept for printing only. */
  readonly offsetSeconds: number;
  constructor(seconds: number, nanoseconds = 0, offsetSeconds = 0) {
    this.seconds = seconds;
    this.nanoseconds = nanoseconds;
    this.offsetSeconds = offsetSeconds;
  }
}

export class Optional {
  /** undefined: no value. */
  readonly value: CelValue | undefined;
  constructor(value?: CelValue) {
    this.value = value;
  }
}

export const none = new Optional();

/** A list; its elements may be made when they are asked for. */
export abstract class CelList {
  abstract readonly size: number;
  /** The element at an index within the size. */
  abstract at(index: number): Result;
  /** Lists from schemas compare and add in ways of their own. */
  equals?(other: CelValue): boolean | CelError;
  contains?(element: CelValue): boolean | CelError;
  plus?(other: CelList): CelList;

  *[Symbol.iterator](): Iterator<Result> {
    for (let i = 0; i < this.size; i++) yield this.at(i);
  }
}

export abstract class CelMap {
  abstract readonly size: number;
  /** undefined: no such key. */
  abstract find(key: CelValue): Result | undefined;
  /** Where `find` answers for keys that aren't there: whether this one is. */
  has?(key: CelValue): boolean;
  abstract keys(): Iterable<CelValue>;
  equals?(other: CelValue): boolean | CelError;
}

/** A value of a type that only some functions know: an IP address, a quantity, an authorizer. */
export abstract class CelObject {
  abstract readonly type: CelType;
  abstract equals(other: CelValue): boolean | CelError;
  /** The value of a field, null when it isn't set. Without it the object has no fields. */
  get?(field: string): Result;
  /** Whether a field is set; goes with get. */
  has?(field: string): boolean;
  /** What `string(x)` gives, where that is allowed. */
  text?(): string;
  /** Counted as its size by cost rules. */
  get size(): number | undefined {
    return undefined;
  }
  /** The plain JSON that it stands for. */
  toJson?(): unknown;
}

/** A list of finished values. */
export class ArrayList extends CelList {
  readonly values: readonly CelValue[];
  constructor(values: readonly CelValue[]) {
    super();
    this.values = values;
  }
  get size(): number {
    return this.values.length;
  }
  at(index: number): CelValue {
    return this.values[index] ?? null;
  }
}

export const emptyList = new ArrayList([]);

/** The list that a comprehension builds: `+` appends in place, so that building it takes linear time. */
export class GrowingList extends CelList {
  readonly values: CelValue[] = [];
  get size(): number {
    return this.values.length;
  }
  at(index: number): CelValue {
    return this.values[index] ?? null;
  }
  override plus(other: CelList): CelList | GrowingList {
    for (let i = 0; i < other.size; i++) {
      const value = other.at(i);
      // An element that cannot be adapted surfaces when it is read from the list it came from.
      if (value instanceof CelError) return new ConcatList(this, other);
      this.values.push(value);
    }
    return this;
  }
  finish(): ArrayList {
    return new ArrayList(this.values);
  }
}

/** `a + b` without copying. */
export class ConcatList extends CelList {
  readonly size: number;
  readonly #left: CelList;
  readonly #right: CelList;
  constructor(left: CelList, right: CelList) {
    super();
    this.#left = left;
    this.#right = right;
    this.size = left.size + right.size;
  }
  at(index: number): Result {
    let list: CelList = this;
    let i = index;
    while (list instanceof ConcatList) {
      const left: CelList = list.#left;
      if (i < left.size) list = left;
      else {
        i -= left.size;
        list = list.#right;
      }
    }
    return list.at(i);
  }
}

/** The integers from 0 on. */
export class RangeList extends CelList {
  readonly size: number;
  constructor(size: number) {
    super();
    this.size = size;
  }
  at(index: number): bigint {
    return BigInt(index);
  }
}

/** Keys of the two integer types that look the same differ: this tells them apart inside one JavaScript map. */
const uintKeys = 2n ** 70n;
const keyOf = (key: CelValue): unknown => (key instanceof Uint ? key.value + uintKeys : key);
const maxInt = 2n ** 63n - 1n;

/** A map of finished values. */
export class EntryMap extends CelMap {
  readonly #entries: Map<unknown, [CelValue, CelValue]>;

  /** A map with the entries of another, which is not used any more. */
  constructor(from?: EntryMap) {
    super();
    this.#entries = from ? from.#entries : new Map();
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Returns this map. */
  set(key: CelValue, value: CelValue): this {
    this.#entries.set(keyOf(key), [key, value]);
    return this;
  }

  delete(key: CelValue): void {
    this.#entries.delete(keyOf(key));
  }

  /** Numbers of all three types find each other when they are equal. */
  find(key: CelValue): CelValue | undefined {
    const exact = this.#entries.get(keyOf(key));
    if (exact) return exact[1];
    let other: CelValue | undefined;
    if (typeof key === "bigint" && key >= 0n) other = new Uint(key);
    else if (key instanceof Uint && key.value <= maxInt) other = key.value;
    else if (typeof key === "number" && Number.isInteger(key)) {
      const integer = BigInt(key);
      const asInt = this.#entries.get(integer);
      if (asInt) return asInt[1];
      other = new Uint(integer);
    }
    return other === undefined ? undefined : this.#entries.get(keyOf(other))?.[1];
  }

  *keys(): Iterable<CelValue> {
    for (const [key] of this.#entries.values()) yield key;
  }
}

/** The map that a comprehension builds: entries are inserted in place. */
export class GrowingMap extends EntryMap {
  finish(): EntryMap {
    return new EntryMap(this);
  }
}

/** An object whose fields are computed when they are first used: the `variables` of a policy. Compared by identity. */
export class LazyObject extends CelMap {
  readonly type: CelType;
  readonly #fields: Readonly<Record<string, () => Result>>;
  readonly #known = new Map<string, Result>();
  constructor(type: CelType, fields: Readonly<Record<string, () => Result>>) {
    super();
    this.type = type;
    this.#fields = fields;
  }
  get size(): number {
    return Object.keys(this.#fields).length;
  }
  find(key: CelValue): Result | undefined {
    if (typeof key !== "string") return noSuchOverload;
    const name = unescapeName(key);
    const known = name === undefined ? undefined : this.#known.get(name);
    if (known !== undefined || name === undefined || !Object.hasOwn(this.#fields, name)) return known;
    const value = this.#fields[name]?.() ?? null;
    this.#known.set(name, value);
    return value;
  }
  keys(): Iterable<CelValue> {
    return Object.keys(this.#fields);
  }
  override equals(other: CelValue): boolean | CelError {
    return other instanceof LazyObject ? this === other : noSuchOverload;
  }
}
