/** What all values can do: their type, equality, order, arithmetic, conversions and text. Messages are cel-go's. */

import { goDouble, int64Max, int64Min, parseDouble, parseInteger, uint64Max } from "./go-numbers.ts";
import {
  addDuration,
  compareTimes,
  durationOf,
  goDuration,
  parseDuration,
  parseTime,
  printDuration,
  printTime,
  timeBetween,
  timestampOf,
} from "./time.ts";
import {
  anyOptionalType,
  boolType,
  bytesType,
  CelType,
  doubleType,
  durationType,
  dynListType,
  dynMapType,
  errorType,
  intType,
  nullType,
  parameterOf,
  stringType,
  timestampType,
  typeType,
  uintType,
} from "./types.ts";
import {
  CelError,
  CelList,
  CelMap,
  CelObject,
  type CelValue,
  ConcatList,
  Duration,
  GrowingList,
  GrowingMap,
  LazyObject,
  noSuchOverload,
  Optional,
  type Result,
  Timestamp,
  Uint,
} from "./values.ts";

const intOverflow = new CelError("integer overflow");
const uintOverflow = new CelError("unsigned integer overflow");

export function typeOf(value: Result): CelType {
  switch (typeof value) {
    case "boolean":
      return boolType;
    case "bigint":
      return intType;
    case "number":
      return doubleType;
    case "string":
      return stringType;
  }
  if (value === null) return nullType;
  if (value instanceof CelList) return dynListType;
  if (value instanceof CelMap) return value instanceof LazyObject ? value.type : dynMapType;
  if (value instanceof Uint) return uintType;
  if (value instanceof Optional) return anyOptionalType;
  if (value instanceof CelObject) return value.type;
  if (value instanceof Timestamp) return timestampType;
  if (value instanceof Duration) return durationType;
  if (value instanceof Uint8Array) return bytesType;
  return value instanceof CelType ? typeType : errorType;
}

/** The type's name at runtime, with parameters: `list(dyn)`. */
export function typeText(type: CelType): string {
  if (type.kind === "param") return `<${type.name}>`;
  return type.parameters.length === 0 ? type.name : `${type.name}(${type.parameters.map(typeText).join(", ")})`;
}

/** Whether a value can be an argument of a type; of lists and maps only the first element is looked at. */
export function isOfType(type: CelType, value: Result): boolean {
  if (type.kind === "dyn" || type.kind === "any" || type.kind === "param") return true;
  if (type.name !== typeOf(value).name) return false;
  if (type.kind === "list" && value instanceof CelList)
    return value.size === 0 || isOfType(parameterOf(type), value.at(0));
  if (type.kind === "map" && value instanceof CelMap) {
    for (const key of value.keys())
      return isOfType(parameterOf(type), key) && isOfType(parameterOf(type, 1), value.find(key) ?? null);
  }
  return true;
}

type Numeric = bigint | number | Uint;
const isNumeric = (value: CelValue): value is Numeric =>
  typeof value === "bigint" || typeof value === "number" || value instanceof Uint;

/** Negative, zero or positive. Neither is NaN. */
function compareNumbers(a: Numeric, b: Numeric): number {
  const x = a instanceof Uint ? a.value : a;
  const y = b instanceof Uint ? b.value : b;
  if (typeof x === typeof y) return x < y ? -1 : x > y ? 1 : 0;
  if (typeof x === "bigint") return -compareNumbers(y, x);
  // A double against an integer: beyond the integer's range by range, else as doubles.
  const [low, high] = b instanceof Uint ? [0, uint64Max] : [int64Min, int64Max];
  if (x < low) return -1;
  if (x > Number(high)) return 1;
  const z = Number(y);
  return x < z ? -1 : x > z ? 1 : 0;
}

/** By code points, as Go's UTF-8 order. */
export function compareStrings(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x === y) continue;
    const isHigh = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdfff;
    if (isHigh(x) !== isHigh(y)) return isHigh(x) ? 1 : -1;
    return x - y;
  }
  return a.length - b.length;
}

export function equal(a: CelValue, b: CelValue): boolean | CelError {
  if (a === b && (a === null || typeof a !== "object")) return !(typeof a === "number" && Number.isNaN(a));
  if (a === null || b === null) return false;
  switch (typeof a) {
    case "boolean":
    case "string":
      return false;
    case "bigint":
    case "number":
      return equalNumbers(a, b);
  }
  if (a instanceof Uint) return equalNumbers(a, b);
  if (a instanceof CelList) return a.equals?.(b) ?? equalLists(a, b);
  if (a instanceof CelMap) return a.equals?.(b) ?? equalMaps(a, b);
  if (a instanceof CelObject) return a.equals(b);
  if (a instanceof Uint8Array) return b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  if (a instanceof Duration) return b instanceof Duration && a.nanoseconds === b.nanoseconds;
  if (a instanceof Timestamp) return b instanceof Timestamp && compareTimes(a, b) === 0;
  if (a instanceof CelType) return b instanceof CelType && a.name === b.name;
  if (!(b instanceof Optional)) return false;
  if (a.value === undefined || b.value === undefined) return a.value === b.value;
  return equal(a.value, b.value);
}

function equalNumbers(a: Numeric, b: CelValue): boolean {
  if (!isNumeric(b) || Number.isNaN(a) || Number.isNaN(b)) return false;
  return compareNumbers(a, b) === 0;
}

/** Elements that cannot be compared count as equal, as in cel-go. */
function equalLists(a: CelList, b: CelValue): boolean | CelError {
  if (!(b instanceof CelList) || a.size !== b.size) return false;
  for (let i = 0; i < a.size; i++) if (equalResults(a.at(i), b.at(i)) === false) return false;
  return true;
}

function equalMaps(a: CelMap, b: CelValue): boolean {
  if (!(b instanceof CelMap) || a.size !== b.size) return false;
  for (const key of a.keys()) {
    const other = b.find(key);
    if (other === undefined || equalResults(a.find(key) ?? null, other) === false) return false;
  }
  return true;
}

export function equalResults(a: Result, b: Result): boolean | CelError {
  if (a instanceof CelError) return a;
  return b instanceof CelError ? b : equal(a, b);
}

/** -1, 0 or 1; an error when there is no order between them. */
export function compare(a: CelValue, b: CelValue): number | CelError {
  if (isNumeric(a)) {
    if (Number.isNaN(a)) return new CelError("NaN values cannot be ordered");
    if (!isNumeric(b)) return noSuchOverload;
    return Number.isNaN(b) ? new CelError("NaN values cannot be ordered") : compareNumbers(a, b);
  }
  if (typeof a === "string" && typeof b === "string") return Math.sign(compareStrings(a, b));
  if (typeof a === "boolean" && typeof b === "boolean") return Number(a) - Number(b);
  if (a instanceof Timestamp && b instanceof Timestamp) return Math.sign(compareTimes(a, b));
  if (a instanceof Duration && b instanceof Duration) return compareNumbers(a.nanoseconds, b.nanoseconds);
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  return noSuchOverload;
}

const int = (value: bigint): Result => (value > int64Max || value < int64Min ? intOverflow : value);
const uint = (value: bigint): Result => (value > uint64Max || value < 0n ? uintOverflow : new Uint(value));

/** A value that has no such operation: some types say so in other words. */
function unsupported(operator: string, operand: CelValue): CelError {
  const receives = typeof operand === "string" || operand instanceof Duration || operand instanceof Timestamp;
  return receives ? noSuchOverload : new CelError(`no such overload: ${operator}`);
}

export function add(a: CelValue, b: CelValue): Result {
  if (typeof a === "bigint") return typeof b === "bigint" ? int(a + b) : noSuchOverload;
  if (typeof a === "string") return typeof b === "string" ? a + b : noSuchOverload;
  if (typeof a === "number") return typeof b === "number" ? a + b : noSuchOverload;
  if (a instanceof CelList) return b instanceof CelList ? concat(a, b) : noSuchOverload;
  if (a instanceof Uint) return b instanceof Uint ? uint(a.value + b.value) : noSuchOverload;
  if (a instanceof Uint8Array) {
    return b instanceof Uint8Array ? new Uint8Array(Buffer.concat([a, b])) : noSuchOverload;
  }
  if (a instanceof Duration) {
    if (b instanceof Timestamp) return addDuration(b, a);
    return b instanceof Duration ? durationOf(a.nanoseconds + b.nanoseconds) : noSuchOverload;
  }
  if (a instanceof Timestamp) return b instanceof Duration ? addDuration(a, b) : noSuchOverload;
  return unsupported("_+_", a);
}

function concat(a: CelList, b: CelList): CelList {
  if (a.plus) return a.plus(b);
  if (a.size === 0) return b;
  return b.size === 0 ? a : new ConcatList(a, b);
}

export function subtract(a: CelValue, b: CelValue): Result {
  if (typeof a === "bigint") return typeof b === "bigint" ? int(a - b) : noSuchOverload;
  if (typeof a === "number") return typeof b === "number" ? a - b : noSuchOverload;
  if (a instanceof Uint) return b instanceof Uint ? uint(a.value - b.value) : noSuchOverload;
  if (a instanceof Duration) {
    return b instanceof Duration ? durationOf(a.nanoseconds - b.nanoseconds) : noSuchOverload;
  }
  if (a instanceof Timestamp) {
    if (b instanceof Timestamp) return timeBetween(a, b);
    if (!(b instanceof Duration)) return noSuchOverload;
    const negated = durationOf(-b.nanoseconds);
    return negated instanceof CelError ? negated : addDuration(a, negated);
  }
  return unsupported("_-_", a);
}

export function multiply(a: CelValue, b: CelValue): Result {
  if (typeof a === "bigint") return typeof b === "bigint" ? int(a * b) : noSuchOverload;
  if (typeof a === "number") return typeof b === "number" ? a * b : noSuchOverload;
  if (a instanceof Uint) return b instanceof Uint ? uint(a.value * b.value) : noSuchOverload;
  return unsupported("_*_", a);
}

export function divide(a: CelValue, b: CelValue): Result {
  if (typeof a === "number") return typeof b === "number" ? a / b : noSuchOverload;
  if (typeof a !== "bigint" && !(a instanceof Uint)) return unsupported("_/_", a);
  return divideIntegers(a, b, "division by zero", (x, y) => x / y);
}

export function modulo(a: CelValue, b: CelValue): Result {
  if (typeof a !== "bigint" && !(a instanceof Uint)) return unsupported("_%_", a);
  return divideIntegers(a, b, "modulus by zero", (x, y) => x % y);
}

function divideIntegers(
  a: bigint | Uint,
  b: CelValue,
  byZero: string,
  operation: (x: bigint, y: bigint) => bigint,
): Result {
  const isUint = a instanceof Uint;
  const [x, y] = isUint
    ? [a.value, b instanceof Uint ? b.value : undefined]
    : [a, typeof b === "bigint" ? b : undefined];
  if (y === undefined) return noSuchOverload;
  if (y === 0n) return new CelError(byZero);
  if (x === int64Min && y === -1n) return intOverflow;
  const value = operation(x, y);
  return isUint ? new Uint(value) : value;
}

export function negate(a: CelValue): Result {
  if (typeof a === "bigint") return int(-a);
  if (typeof a === "number") return -a;
  if (a instanceof Duration) return durationOf(-a.nanoseconds);
  return typeof a === "boolean" ? noSuchOverload : unsupported("-_", a);
}

/** Code points. */
export function stringSize(text: string): number {
  let size = text.length;
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) === 0xdc00) size--;
  return size;
}

/** undefined: it has no size. */
export function sizeOf(value: Result): number | undefined {
  if (typeof value === "string") return stringSize(value);
  if (value instanceof CelList || value instanceof CelMap) return value.size;
  if (value instanceof Uint8Array) return value.length;
  return value instanceof CelObject ? value.size : undefined;
}

/** `element in container` */
export function isIn(element: CelValue, container: CelValue): Result {
  if (container instanceof CelMap) {
    if (container.has) return container.has(element);
    const found = container.find(element);
    return found instanceof CelError ? found : found !== undefined;
  }
  return container instanceof CelList ? contains(container, element) : noSuchOverload;
}

export function contains(list: CelList, element: CelValue): boolean | CelError {
  if (list.contains) return list.contains(element);
  for (let i = 0; i < list.size; i++) {
    const value = list.at(i);
    if (!(value instanceof CelError) && equal(element, value) === true) return true;
  }
  return false;
}

export type Convertible = "bool" | "bytes" | "double" | "duration" | "int" | "string" | "timestamp" | "uint";

const targets: Readonly<Record<Convertible, CelType>> = {
  bool: boolType,
  bytes: bytesType,
  double: doubleType,
  duration: durationType,
  int: intType,
  string: stringType,
  timestamp: timestampType,
  uint: uintType,
};

export function convert(value: CelValue, to: Convertible): Result {
  const type = typeOf(value);
  if (type === targets[to]) return value;
  return (
    conversion(value, to) ??
    new CelError(`type conversion error from '${typeText(type)}' to '${typeText(targets[to])}'`)
  );
}

function conversion(value: CelValue, to: Convertible): Result | undefined {
  if (typeof value === "string") return fromString(value, to);
  switch (to) {
    case "string":
      return toText(value);
    case "double":
      return isNumeric(value) ? Number(value instanceof Uint ? value.value : value) : undefined;
    case "int":
      if (value instanceof Uint) return int(value.value);
      if (value instanceof Timestamp) return BigInt(value.seconds);
      if (value instanceof Duration) return value.nanoseconds;
      if (typeof value !== "number") return undefined;
      return Number.isFinite(value) && value > -(2 ** 63) && value < 2 ** 63 ? BigInt(Math.trunc(value)) : intOverflow;
    case "uint":
      if (typeof value === "bigint") return uint(value);
      if (typeof value !== "number") return undefined;
      return value >= 0 && value < 2 ** 64 ? new Uint(BigInt(Math.trunc(value))) : uintOverflow;
    case "timestamp":
      return typeof value === "bigint" ? timestampOf(Number(value)) : undefined;
    default:
      return undefined;
  }
}

const trueTexts = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const falseTexts = new Set(["0", "f", "F", "FALSE", "false", "False"]);

function fromString(text: string, to: Convertible): Result | undefined {
  switch (to) {
    case "bool":
      return trueTexts.has(text) ? true : falseTexts.has(text) ? false : undefined;
    case "bytes":
      return new Uint8Array(Buffer.from(text));
    case "double":
      return parseDouble(text);
    case "duration":
      return parseDuration(text);
    case "timestamp":
      return parseTime(text);
    case "int": {
      const value = parseInteger(text);
      return value === undefined || value > int64Max || value < int64Min ? undefined : value;
    }
    case "uint": {
      const value = /^\d+$/.test(text) ? BigInt(text) : undefined;
      return value === undefined || value > uint64Max ? undefined : new Uint(value);
    }
    default:
      return text;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function toText(value: CelValue): Result | undefined {
  if (typeof value === "bigint" || typeof value === "boolean") return String(value);
  if (typeof value === "number") return goDouble(value);
  if (value === null) return "null";
  if (value instanceof Uint) return String(value.value);
  if (value instanceof Duration) return printDuration(value);
  if (value instanceof Timestamp) return printTime(value);
  if (value instanceof CelType) return value.name;
  if (value instanceof CelObject) return value.text?.();
  if (!(value instanceof Uint8Array)) return undefined;
  try {
    return utf8.decode(value);
  } catch {
    return new CelError("invalid UTF-8 in bytes, cannot convert to string");
  }
}

/** `%v`, for messages. */
export function printValue(value: Result): string {
  if (typeof value === "string") return value;
  if (value === null) return "0";
  if (value instanceof CelError) return value.message;
  if (value instanceof Uint8Array) return `[${value.join(" ")}]`;
  if (value instanceof Duration) return goDuration(value);
  if (value instanceof CelList) return `[${[...value].map(printValue).join(", ")}]`;
  if (value instanceof CelMap) {
    return `{${[...value.keys()].map((key) => `${printValue(key)}: ${printValue(value.find(key) ?? null)}`).join(", ")}}`;
  }
  if (value instanceof Optional)
    return value.value === undefined ? "optional.none()" : `optional(${printValue(value.value)})`;
  if (value instanceof CelType) return typeText(value);
  const text = toText(value);
  return typeof text === "string" ? text : typeOf(value).name;
}

const goTypeNames: Readonly<Record<string, string>> = {
  bool: "Bool",
  bytes: "Bytes",
  double: "Double",
  duration: "Duration",
  int: "Int",
  null: "Null",
  string: "String",
  timestamp: "Timestamp",
  uint: "Uint",
};

/** Go's name of what a value is, which some messages tell. */
export function goTypeName(value: CelValue): string {
  const name = goTypeNames[typeOf(value).kind];
  return name ? `types.${name}` : "*types.Type";
}

/** Whether `optional.ofNonZeroValue` drops it. */
export function isZero(value: CelValue): boolean {
  if (value === null || value === false || value === 0n || value === 0 || value === "") return true;
  if (value instanceof Uint) return value.value === 0n;
  if (value instanceof Uint8Array) return value.length === 0;
  if (value instanceof Duration) return value.nanoseconds === 0n;
  if (value instanceof Timestamp) return value.seconds === minTimeSeconds && value.nanoseconds === 0;
  if (value instanceof CelList || value instanceof CelMap) return value.size === 0;
  return false;
}
const minTimeSeconds = -62_135_596_800;

/** A list or map that was being built becomes one that isn't. */
export const finished = (value: Result): Result =>
  value instanceof GrowingList || value instanceof GrowingMap ? value.finish() : value;
