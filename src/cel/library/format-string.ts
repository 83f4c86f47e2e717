/** `"%s is %d".format([a, b])` and the check of its arguments before it runs (cel-go's ext/formatting.go). */

import { goQuote } from "#machinery";
import { convert, typeOf } from "../operations.ts";
import type { Call, Expr } from "../syntax/ast.ts";
import { type CelType, dynType } from "../types.ts";
import type { CallValidators } from "../validators.ts";
import { CelError, CelList, CelMap, type CelValue, Duration, type Result, Timestamp, Uint } from "../values.ts";

type Clause = "s" | "d" | "f" | "e" | "b" | "x" | "X" | "o";

/** Digits after the point: protects the server from texts of any length. */
const precisionMax = 1_000;
const defaultPrecision = 6;

const complaints: Readonly<Record<Lowercase<Clause>, string>> = {
  s: "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given ",
  d: "decimal clause can only be used on integers, was given ",
  f: "fixed-point clause can only be used on doubles, was given ",
  e: "scientific clause can only be used on doubles, was given ",
  b: "only integers and bools can be formatted as binary, was given ",
  x: "only integers, byte buffers, and strings can be formatted as hex, was given ",
  o: "octal clause can only be used on integers, was given ",
};

/** A text that cannot be made; `at` is where in the expression, when that is known. */
class FormatError extends Error {
  readonly at: number | undefined;
  constructor(message: string, at?: number) {
    super(message);
    this.at = at;
  }
}

const unfit = (clause: Clause, typeName: string, at?: number): FormatError =>
  new FormatError(complaints[clause.toLowerCase() as Lowercase<Clause>] + typeName, at);

/** Walks over the format; `print` makes the text of one clause from the argument at an index. */
function interpolate(
  format: string,
  count: number,
  print: (clause: Clause, index: number, precision: number | undefined) => string,
): { text: string; used: number } {
  let text = "";
  let used = 0;
  for (let at = 0; at < format.length; ) {
    const percent = format.indexOf("%", at);
    text += format.slice(at, percent < 0 ? undefined : percent);
    if (percent < 0) break;
    if (format[percent + 1] === "%") {
      text += "%";
      at = percent + 2;
      continue;
    }
    if (percent + 1 >= format.length) throw new FormatError("unexpected end of string");
    if (used >= count) throw new FormatError(`index ${used} out of range`);
    const { clause, precision, end } = readClause(format, percent + 1);
    try {
      text += print(clause, used, precision);
    } catch (error) {
      if (error instanceof FormatError) throw new FormatError(`error during formatting: ${error.message}`, error.at);
      throw error;
    }
    at = end;
    used++;
  }
  return { text, used };
}

function readClause(format: string, at: number): { clause: Clause; precision: number | undefined; end: number } {
  const fail = (message: string): never => {
    throw new FormatError(`could not parse formatting clause: ${message}`);
  };
  let end = at;
  let precision: number | undefined;
  if (format[at] === ".") {
    const digits = /^\d*/.exec(format.slice(at + 1))?.[0] ?? "";
    end = at + 1 + digits.length;
    if (end >= format.length) fail("error while parsing precision: could not find end of precision specifier");
    if (digits === "")
      fail(
        'error while parsing precision: error while converting precision to integer: strconv.Atoi: parsing "": invalid syntax',
      );
    precision = Math.min(Number(digits), precisionMax);
  }
  const clause = format[end] ?? "";
  if (!/^[sdfebxXo]$/.test(clause)) fail(`unrecognized formatting clause "${clause}"`);
  return { clause: clause as Clause, precision, end: end + 1 };
}

export function formatString(format: string, args: CelList): Result {
  try {
    return interpolate(format, args.size, (clause, index, precision) => {
      const value = args.at(index);
      if (value instanceof CelError) throw new FormatError(value.message);
      return printClause(clause, value, precision ?? defaultPrecision);
    }).text;
  } catch (error) {
    if (error instanceof FormatError) return new CelError(error.message);
    throw error;
  }
}

function printClause(clause: Clause, value: CelValue, precision: number): string {
  const integer = typeof value === "bigint" ? value : value instanceof Uint ? value.value : undefined;
  switch (clause) {
    case "s":
      return printString(value);
    case "d":
      if (integer !== undefined) return String(integer);
      break;
    case "o":
      if (integer !== undefined) return integer.toString(8);
      break;
    case "b":
      if (typeof value === "boolean") return value ? "1" : "0";
      if (integer !== undefined) return integer.toString(2);
      break;
    case "x":
    case "X": {
      const bytes = typeof value === "string" ? Buffer.from(value) : value instanceof Uint8Array ? value : undefined;
      const hex = bytes ? Buffer.from(bytes).toString("hex") : integer?.toString(16);
      if (hex !== undefined) return clause === "X" ? hex.toUpperCase() : hex;
      break;
    }
    default: {
      const special = value === "NaN" || value === "Infinity" || value === "-Infinity" ? Number(value) : undefined;
      const double = typeof value === "number" ? value : special;
      if (double !== undefined)
        return clause === "f" ? printFixed(double, precision) : printScientific(double, precision);
    }
  }
  throw unfit(clause, typeOf(value).name);
}

/** As golang.org/x/text prints for English. */
function printSpecial(value: number): string | undefined {
  if (Number.isNaN(value)) return "NaN";
  return Number.isFinite(value) ? undefined : value > 0 ? "∞" : "-∞";
}

function printFixed(value: number, precision: number): string {
  const special = printSpecial(value);
  if (special !== undefined) return special;
  const [whole = "", fraction] = exactFixed(value, precision).split(".");
  const grouped = whole.replace(/\B(?=(?:\d{3})+$)/g, ",");
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** All digits, rounded half to even of the exact value; toFixed stops at 100 digits and at 1e21. */
function exactFixed(value: number, precision: number): string {
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  const [numerator, exponent] = fractionOf(Math.abs(value));
  const scaled = numerator * 10n ** BigInt(precision);
  let digits = exponent >= 0 ? scaled << BigInt(exponent) : scaled >> BigInt(-exponent);
  if (exponent < 0) {
    const rest = scaled - (digits << BigInt(-exponent));
    const half = 1n << BigInt(-exponent - 1);
    if (rest > half || (rest === half && digits % 2n === 1n)) digits++;
  }
  const text = String(digits).padStart(precision + 1, "0");
  return sign + (precision === 0 ? text : `${text.slice(0, -precision)}.${text.slice(-precision)}`);
}

/** value = numerator * 2 ** exponent */
function fractionOf(value: number): [numerator: bigint, exponent: number] {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  const all = bits.getBigUint64(0);
  const biased = Number((all >> 52n) & 0x7ffn);
  const mantissa = all & 0xfffffffffffffn;
  return biased === 0 ? [mantissa, -1074] : [mantissa | 0x10000000000000n, biased - 1075];
}

const superscripts = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** cel-go asks for a width where it means a precision: there are always six digits. */
function printScientific(value: number, width: number): string {
  const special = printSpecial(value);
  if (special !== undefined) return special.padStart(width);
  const [mantissa = "", exponentText = "0"] = value.toExponential(defaultPrecision).split("e");
  const exponent = Number(exponentText);
  const digits = String(Math.abs(exponent)).padStart(2, "0");
  const raised = [...digits].map((digit) => superscripts[Number(digit)]).join("");
  return `${mantissa}×10${exponent < 0 ? "⁻" : ""}${raised}`.padStart(width);
}

function printString(value: CelValue): string {
  if (value instanceof CelList) {
    const parts = [...value].map((element) => printNested(element));
    return `[${parts.join(", ")}]`;
  }
  if (value instanceof CelMap) return printMap(value);
  const { kind, name } = typeOf(value);
  if (kind === "opaque" || kind === "struct") throw unfit("s", name);
  const text = convert(value, "string");
  if (text instanceof CelError) throw new FormatError(`could not convert argument ${goQuote(text.message)} to string`);
  return text as string; // convert to string gives no other value
}

function printMap(map: CelMap): string {
  const entries = [...map.keys()].map((key): [string, string] => {
    const { kind, name } = typeOf(key);
    if (!["string", "bool", "int", "uint"].includes(kind))
      throw new FormatError(`no formatting function for map key of type ${name}`);
    return [printNested(key), printNested(map.find(key) ?? null)];
  });
  const sorted = entries.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${sorted.map((entry) => entry.join(":")).join(", ")}}`;
}

/** An element of a list or map. */
function printNested(value: Result): string {
  if (value instanceof CelError) throw new FormatError(value.message);
  if (typeof value === "string") return goQuote(value);
  if (value instanceof Uint8Array) return `b${goQuote(printString(value))}`;
  if (value instanceof Timestamp) return `timestamp(${goQuote(printString(value))})`;
  if (value instanceof Duration) return `duration(${goQuote(printString(value))})`;
  if (typeof value === "number") {
    if (!Number.isFinite(value)) return goQuote(Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
    return exactFixed(value, defaultPrecision);
  }
  const { kind, name } = typeOf(value);
  if (kind === "opaque" || kind === "struct") throw new FormatError(`no formatting function for ${name}`);
  return printString(value);
}

const clauseTypes: Readonly<Record<Lowercase<Clause>, readonly CelType["kind"][]>> = {
  s: ["list", "map", "int", "uint", "double", "bool", "string", "timestamp", "bytes", "duration", "type", "null"],
  d: ["int", "uint"],
  f: ["double", "string"],
  e: ["double", "string"],
  b: ["int", "uint", "bool"],
  x: ["int", "uint", "string", "bytes"],
  o: ["int", "uint"],
};

/** Throws for the first expression whose type cannot be formatted so; strings look into lists and maps. */
function checkClause(clause: Clause, e: Expr): void {
  const type = e.type ?? dynType;
  const kinds = clauseTypes[clause.toLowerCase() as Lowercase<Clause>];
  if (type.kind !== "dyn" && !kinds.includes(type.kind)) throw unfit(clause, type.name, e.at);
  if (clause !== "s") return;
  const inner =
    e.kind === "list" ? e.elements : e.kind === "map" ? e.entries.flatMap(({ key, value }) => [key, value]) : [];
  for (const part of inner) checkClause(clause, part);
}

function validateFormat(call: Call, report: (at: number, message: string) => void): void {
  const [args] = call.args;
  if (call.target?.kind !== "literal" || typeof call.target.value !== "string" || args?.kind !== "list") return;
  if (call.args.length !== 1 || !call.overloads?.includes("string_format")) return;
  const { elements } = args;
  try {
    const { used } = interpolate(call.target.value, elements.length, (clause, index) => {
      const element = elements[index];
      if (element) checkClause(clause, element);
      return "";
    });
    if (elements.length > used)
      report(call.at, `too many arguments supplied to string.format (expected ${used}, got ${elements.length})`);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    report(error.at ?? call.at, error.message);
  }
}

export const formatValidators: CallValidators = { format: validateFormat };
