/**
 * One step of a field path, in the text form that managed fields use as keys:
 * `f:name` a field, `k:{"port":80}` an item of a list with keys, `v:"text"` an item of a set, `i:0` an item by position.
 * The text is canonical (keys sorted, JSON as Go writes it), so that equal steps are equal strings.
 */
import { goJson, goNumber, goQuote } from "../go-text.ts";

export const valueElement = (value: unknown): string => `v:${scalarJson(value)}`;

/** Most names need no escaping, and asking is quicker than encoding. */
export function scalarJson(value: unknown): string {
  if (typeof value === "string" && /^[\w./:-]*$/.test(value)) return `"${value}"`;
  return goJson(value);
}

/** Position of a step among its siblings: fields, then keys, values and positions; byte order inside fields. */
export function compareElements(a: string, b: string): number {
  if (a === b) return 0;
  const kindA = a.charCodeAt(0);
  const kindB = b.charCodeAt(0);
  if (kindA !== kindB) return rank(kindA) - rank(kindB);
  if (kindA === field) return a < b ? -1 : 1;
  const order = compareTexts(a, b);
  if (order !== undefined) return order;
  const valueA = parse(a);
  const valueB = parse(b);
  return kindA === key ? compareKeys(valueA, valueB) : compareScalars(valueA, valueB);
}

const field = 102; // f
const key = 107; // k
const dot = 46;

function rank(kind: number): number {
  return kind === dot ? 0 : kind === field ? 1 : kind === key ? 2 : kind === 118 ? 3 : 4;
}

const quote = 34;
const backslash = 92;
const closing = 125; // }

/** Compares keys and values by their JSON where that is enough: up to the first difference they are the same. */
function compareTexts(a: string, b: string): number | undefined {
  let at = 2;
  let inText = false;
  for (; at < a.length && a.charCodeAt(at) === b.charCodeAt(at); at++) {
    const char = a.charCodeAt(at);
    if (char === backslash) return undefined;
    if (char === quote) inText = !inText;
  }
  const left = a.charCodeAt(at);
  const right = b.charCodeAt(at);
  if (left === backslash || right === backslash) return undefined;
  // The end of a text comes before anything that may follow in a longer one.
  if (inText) return left === quote ? -1 : right === quote ? 1 : left - right;
  const start = startOfDigits(a, at);
  const lengthA = digitsFrom(a, start);
  const lengthB = digitsFrom(b, start);
  if (lengthA === 0 || lengthB === 0) return undefined;
  if (lengthA !== lengthB) return lengthA - lengthB;
  if (isDigit(left)) return left - right;
  return left === closing ? -1 : 1;
}

function startOfDigits(text: string, from: number): number {
  let at = from;
  while (isDigit(text.charCodeAt(at - 1))) at--;
  return at;
}

/** How many digits; 0 for a number that isn't a plain one. */
function digitsFrom(text: string, start: number): number {
  let at = start;
  while (isDigit(text.charCodeAt(at))) at++;
  const next = text[at];
  return text[start - 1] !== "-" && (next === "," || next === "}" || next === undefined) ? at - start : 0;
}

const isDigit = (char: number): boolean => char >= 48 && char <= 57;

function parse(element: string): unknown {
  return JSON.parse(element.slice(2));
}

/** Keys are compared name by name, a missing one comes first. */
function compareKeys(a: unknown, b: unknown): number {
  const left = Object.entries(a as Record<string, unknown>); // isElement and the walks let only objects follow `k:`
  const right = Object.entries(b as Record<string, unknown>); // as above
  for (let i = 0; ; i++) {
    const [nameA, valueA] = left[i] ?? [undefined, undefined];
    const [nameB, valueB] = right[i] ?? [undefined, undefined];
    if (nameA === undefined || nameB === undefined) return nameA === nameB ? 0 : nameA === undefined ? -1 : 1;
    if (nameA !== nameB) return nameA < nameB ? -1 : 1;
    const order = compareScalars(valueA, valueB);
    if (order !== 0) return order;
  }
}

/** Numbers, then texts, then booleans, as upstream orders values. */
function compareScalars(a: unknown, b: unknown): number {
  const order = scalarRank(a) - scalarRank(b);
  if (order !== 0 || a === b) return order;
  if (typeof a === "object" || typeof b === "object") return goJson(a) < goJson(b) ? -1 : 1;
  return (a as number | string) < (b as number | string) ? -1 : 1; // same rank: two of one scalar type
}

function scalarRank(value: unknown): number {
  switch (typeof value) {
    case "number":
      return 0;
    case "string":
      return 1;
    case "boolean":
      return 2;
    default:
      return Array.isArray(value) ? 3 : value === null ? 5 : 4;
  }
}

/**
 * The canonical form of a step that a client sent; undefined for kinds of steps that a later version may know (they are
 * dropped, as upstream does). Throws when it is none.
 */
export function canonicalElement(element: string): string | undefined {
  if (element.length < 2) throw new Error("key must be 2 characters long:");
  if (element[1] !== ":") throw new Error(`missing colon: ${element}`);
  switch (element[0]) {
    case "f":
      return element;
    case "v":
      return valueElement(parse(element));
    case "i": {
      const position = element.slice(2);
      if (!/^[+-]?\d+$/.test(position))
        throw new Error(`strconv.Atoi: parsing ${JSON.stringify(position)}: invalid syntax`);
      return `i:${Number(position)}`;
    }
    case "k": {
      const keys = parse(element);
      if (typeof keys !== "object" || keys === null || Array.isArray(keys)) throw new Error(`no keys: ${element}`);
      const sorted = Object.entries(keys).sort(([a], [b]) => (a < b ? -1 : 1));
      return `k:{${sorted.map(([name, value]) => `${goJson(name)}:${goJson(value)}`).join(",")}}`;
    }
    default:
      return undefined;
  }
}

/** As error messages show it: `.name`, `[port=80,protocol="TCP"]`, `[="text"]`, `[0]`. */
export function printElement(element: string): string {
  const rest = element.slice(2);
  switch (element[0]) {
    case "f":
      return `.${rest}`;
    case "k":
      return `[${Object.entries(parse(element) as Record<string, unknown>) // canonical: only objects follow `k:`
        .map(([name, value]) => `${name}=${printScalar(value)}`)
        .join(",")}]`;
    case "v":
      return `[=${printScalar(parse(element))}]`;
    default:
      return `[${rest}]`;
  }
}

function printScalar(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(printScalar).join(",")}]`;
  if (typeof value === "object" && value !== null)
    return Object.entries(value)
      .map(([name, inner]) => `${name}=${printScalar(inner)}`)
      .join("");
  if (typeof value === "number") return goNumber(value);
  return typeof value === "string" ? goQuote(value) : String(value);
}
