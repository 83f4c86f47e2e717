/** The functions and operators of the language itself (cel-go's common/stdlib). */

import type { FunctionTable, Implementation, Library } from "../functions.ts";
import {
  add,
  type Convertible,
  compare,
  convert,
  divide,
  isIn,
  modulo,
  multiply,
  negate,
  sizeOf,
  subtract,
  typeOf,
} from "../operations.ts";
import type { RegexCompiler } from "../regex.ts";
import { standardMacros } from "../syntax/macros.ts";
import { type CalendarField, createCalendar } from "../time.ts";
import {
  anyOptionalType,
  boolType,
  bytesType,
  doubleType,
  durationType,
  intType,
  listType,
  mapType,
  nullType,
  stringType,
  timestampType,
  typeParameter,
  typeType,
  uintType,
} from "../types.ts";
import {
  CelError,
  CelObject,
  type CelValue,
  Duration,
  noSuchOverload,
  type Result,
  type Timestamp,
} from "../values.ts";

const unused: Implementation = () => noSuchOverload;

/** For operators that the planner evaluates itself. */
const operator = (...is: string[]): { apply: Implementation; is: string[] } => ({ apply: unused, is });

const numeric = ["int64", "uint64", "double"] as const;
const celName = { int64: "int", uint64: "uint", double: "double" } as const;

/** `less_int64_double (int, double) bool` and so on: all pairs of numbers, other types with themselves. */
function comparison(name: string, holds: (order: number) => boolean): { apply: Implementation; is: string[] } {
  const symbol = { less: "_<_", less_equals: "_<=_", greater: "_>_", greater_equals: "_>=_" }[name] ?? "";
  const numbers = numeric.flatMap((a) =>
    numeric.map((b) => `${name}_${a}${a === b ? "" : `_${b}`} (${celName[a]}, ${celName[b]}) bool`),
  );
  const others = ["string", "bytes", "timestamp", "duration"].map((type) => `${name}_${type} (${type}, ${type}) bool`);
  const apply = (a: CelValue, b: CelValue): Result => {
    const order = compare(a, b);
    if (typeof order === "number") return holds(order);
    const ordered = typeof a !== "object" || a instanceof Duration || typeOf(a).kind !== "list";
    return ordered ? order : new CelError(`no such overload: ${symbol}`);
  };
  return { apply, is: [`${name}_bool (bool, bool) bool`, ...numbers, ...others] };
}

const identity = (value: CelValue): Result => value;

/** `int64_to_string (int) string` and so on. */
function conversions(to: Convertible, ...signatures: string[]): Record<string, Implementation> {
  return Object.fromEntries(signatures.map((signature) => [signature, (value: CelValue) => convert(value, to)]));
}

function onStrings(id: string, test: (text: string, part: string) => boolean): FunctionTable[string] {
  const apply = (a: CelValue, b: CelValue): Result =>
    typeof a === "string" && typeof b === "string" ? test(a, b) : noSuchOverload;
  return { apply, is: [`${id} .(string, string) bool`] };
}

function matcher(regex: RegexCompiler): FunctionTable[string] {
  const apply = (text: CelValue, pattern: CelValue): Result => {
    if (typeof text !== "string") return new CelError("no such overload: matches");
    if (typeof pattern !== "string") return noSuchOverload;
    const compiled = regex(pattern);
    return compiled instanceof CelError ? compiled : compiled.test(text);
  };
  return { apply, is: ["matches (string, string) bool", "matches_string .(string, string) bool"] };
}

const calendarIds: Readonly<Record<CalendarField, string>> = {
  getFullYear: "year",
  getMonth: "month",
  getDayOfYear: "day_of_year",
  getDayOfMonth: "day_of_month",
  getDate: "day_of_month_1_based",
  getDayOfWeek: "day_of_week",
  getHours: "hours",
  getMinutes: "minutes",
  getSeconds: "seconds",
  getMilliseconds: "milliseconds",
};

const durationUnits: Readonly<Partial<Record<CalendarField, bigint>>> = {
  getHours: 3_600_000_000_000n,
  getMinutes: 60_000_000_000n,
  getSeconds: 1_000_000_000n,
  getMilliseconds: 1_000_000n,
};

function calendarFunctions(): FunctionTable {
  const calendar = createCalendar();
  const entries = Object.entries(calendarIds).map(([name, id]) => {
    const field = name as CalendarField;
    const unit = durationUnits[field];
    const spec: Record<string, Implementation> = {
      [`timestamp_to_${id} .(timestamp) int`]: (time: Timestamp) => calendar(field, time),
      [`timestamp_to_${id}_with_tz .(timestamp, string) int`]: (time: Timestamp, zone: string) =>
        calendar(field, time, zone),
      ...(unit && { [`duration_to_${id} .(duration) int`]: (value: Duration) => value.nanoseconds / unit }),
    };
    return [name, spec] as const;
  });
  return Object.fromEntries(entries);
}

export function standardLibrary(regex: RegexCompiler): Library {
  return {
    macros: standardMacros,
    types: [
      boolType,
      bytesType,
      doubleType,
      durationType,
      intType,
      listType(typeParameter("A")),
      mapType(typeParameter("A"), typeParameter("B")),
      nullType,
      stringType,
      timestampType,
      typeType,
      uintType,
      anyOptionalType,
    ],
    functions: {
      "_?_:_": operator("conditional (bool, A, A) A"),
      "_&&_": operator("logical_and (bool, bool) bool"),
      "_||_": operator("logical_or (bool, bool) bool"),
      "!_": {
        apply: (value: CelValue) => (typeof value === "boolean" ? !value : noSuchOverload),
        is: ["logical_not (bool) bool"],
      },
      "@not_strictly_false": operator("not_strictly_false (bool) bool"),
      "_==_": operator("equals (A, A) bool"),
      "_!=_": operator("not_equals (A, A) bool"),
      "_+_": {
        apply: add,
        is: [
          "add_bytes (bytes, bytes) bytes",
          "add_double (double, double) double",
          "add_duration_duration (duration, duration) duration",
          "add_duration_timestamp (duration, timestamp) timestamp",
          "add_timestamp_duration (timestamp, duration) timestamp",
          "add_int64 (int, int) int",
          "add_list (list(A), list(A)) list(A)",
          "add_string (string, string) string",
          "add_uint64 (uint, uint) uint",
        ],
      },
      "_/_": {
        apply: divide,
        is: ["divide_double (double, double) double", "divide_int64 (int, int) int", "divide_uint64 (uint, uint) uint"],
      },
      "_%_": { apply: modulo, is: ["modulo_int64 (int, int) int", "modulo_uint64 (uint, uint) uint"] },
      "_*_": {
        apply: multiply,
        is: [
          "multiply_double (double, double) double",
          "multiply_int64 (int, int) int",
          "multiply_uint64 (uint, uint) uint",
        ],
      },
      "-_": { apply: negate, is: ["negate_double (double) double", "negate_int64 (int) int"] },
      "_-_": {
        apply: subtract,
        is: [
          "subtract_double (double, double) double",
          "subtract_duration_duration (duration, duration) duration",
          "subtract_int64 (int, int) int",
          "subtract_timestamp_duration (timestamp, duration) timestamp",
          "subtract_timestamp_timestamp (timestamp, timestamp) duration",
          "subtract_uint64 (uint, uint) uint",
        ],
      },
      "_<_": comparison("less", (order) => order < 0),
      "_<=_": comparison("less_equals", (order) => order <= 0),
      "_>_": comparison("greater", (order) => order > 0),
      "_>=_": comparison("greater_equals", (order) => order >= 0),
      "_[_]": operator("index_list (list(A), int) A", "index_map (map(A, B), A) B"),
      "@in": { apply: isIn, is: ["in_list (A, list(A)) bool", "in_map (A, map(A, B)) bool"] },
      size: {
        apply: (value: CelValue) => {
          // Addresses have a size that only costs know.
          const size = value instanceof CelObject ? undefined : sizeOf(value);
          return size === undefined ? new CelError("no such overload: size") : BigInt(size);
        },
        is: ["bytes", "list", "map", "string"].flatMap((name) => {
          const type = { list: "list(A)", map: "map(A, B)" }[name] ?? name;
          return [`size_${name} (${type}) int`, `${name}_size .(${type}) int`];
        }),
      },
      type: { apply: typeOf, is: ["type (A) type(A)"] },
      dyn: { apply: identity, is: ["to_dyn (A) dyn"] },
      bool: conversions("bool", "bool_to_bool (bool) bool", "string_to_bool (string) bool"),
      bytes: conversions("bytes", "bytes_to_bytes (bytes) bytes", "string_to_bytes (string) bytes"),
      double: conversions(
        "double",
        "double_to_double (double) double",
        "int64_to_double (int) double",
        "string_to_double (string) double",
        "uint64_to_double (uint) double",
      ),
      duration: conversions(
        "duration",
        "duration_to_duration (duration) duration",
        "int64_to_duration (int) duration",
        "string_to_duration (string) duration",
      ),
      int: conversions(
        "int",
        "int64_to_int64 (int) int",
        "double_to_int64 (double) int",
        "duration_to_int64 (duration) int",
        "string_to_int64 (string) int",
        "timestamp_to_int64 (timestamp) int",
        "uint64_to_int64 (uint) int",
      ),
      string: conversions(
        "string",
        "string_to_string (string) string",
        "bool_to_string (bool) string",
        "bytes_to_string (bytes) string",
        "double_to_string (double) string",
        "duration_to_string (duration) string",
        "int64_to_string (int) string",
        "timestamp_to_string (timestamp) string",
        "uint64_to_string (uint) string",
      ),
      timestamp: conversions(
        "timestamp",
        "timestamp_to_timestamp (timestamp) timestamp",
        "int64_to_timestamp (int) timestamp",
        "string_to_timestamp (string) timestamp",
      ),
      uint: conversions(
        "uint",
        "uint64_to_uint64 (uint) uint",
        "double_to_uint64 (double) uint",
        "int64_to_uint64 (int) uint",
        "string_to_uint64 (string) uint",
      ),
      contains: onStrings("contains_string", (text, part) => text.includes(part)),
      endsWith: onStrings("ends_with_string", (text, part) => text.endsWith(part)),
      startsWith: onStrings("starts_with_string", (text, part) => text.startsWith(part)),
      matches: matcher(regex),
      ...calendarFunctions(),
    },
  };
}
