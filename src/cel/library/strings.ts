/** cel-go's string extensions, version 2 (ext/strings.go). Positions count code points. */

import type { Library } from "../functions.ts";
import { printValue } from "../operations.ts";
import { ArrayList, CelError, type CelList, type Result } from "../values.ts";
import { formatString } from "./format-string.ts";

/** Characters that a function may make out of short texts: protects memory, which costs don't count. */
const textMax = 2 ** 25;

const tooLong = new CelError("operation cancelled: text too long", "cost");
const outOfRange = (index: bigint): CelError => new CelError(`index out of range: ${index}`);

const bounded = (length: number, make: () => string): Result => (length > textMax ? tooLong : make());

/** Code points, only split where the text has any beyond 16 bits. */
const characters = (text: string): string | string[] => (/[\ud800-\udbff]/.test(text) ? [...text] : text);
const joined = (part: string | string[]): string => (typeof part === "string" ? part : part.join(""));

function charAt(text: string, index: bigint): Result {
  const all = characters(text);
  if (index < 0n || index > BigInt(all.length)) return outOfRange(index);
  return all[Number(index)] ?? "";
}

/** How many code points are before a position in the text. */
const pointsBefore = (text: string, position: number): number => characters(text.slice(0, position)).length;

function indexOf(text: string, part: string, offset = 0n): Result {
  if (part === "") return offset;
  if (offset < 0n) return outOfRange(offset);
  const all = characters(text);
  if (offset >= BigInt(all.length)) return -1n;
  const skipped = joined(all.slice(0, Number(offset))).length;
  const found = text.indexOf(part, skipped);
  return BigInt(found < 0 ? -1 : pointsBefore(text, found));
}

function lastIndexOf(text: string, part: string, offset?: bigint): Result {
  const all = characters(text);
  if (part === "") return offset ?? BigInt(all.length);
  if (offset === undefined && (text.length < part.length || all.length === 0)) return -1n;
  if (offset !== undefined && offset < 0n) return outOfRange(offset);
  if (offset !== undefined && offset >= BigInt(all.length)) return -1n;
  const start = joined(all.slice(0, Number(offset ?? BigInt(all.length - 1)))).length;
  const found = text.lastIndexOf(part, start);
  return BigInt(found < 0 ? -1 : pointsBefore(text, found));
}

function substring(text: string, start: bigint, end?: bigint): Result {
  const all = characters(text);
  const length = BigInt(all.length);
  if (end !== undefined && start > end) return new CelError(`invalid substring range. start: ${start}, end: ${end}`);
  for (const index of [start, end ?? length]) if (index < 0n || index > length) return outOfRange(index);
  return joined(all.slice(Number(start), Number(end ?? length)));
}

function replace(text: string, old: string, by: string, limit = -1n): Result {
  if (limit === 0n || old === by) return text;
  const parts = old === "" ? gaps(text) : text.split(old);
  const count = Math.min(parts.length - 1, limit < 0n ? parts.length : Number(limit));
  return bounded(text.length + count * (by.length - old.length), () => {
    // What is not replaced any more stays joined by the old text.
    const replaced = parts.slice(0, count).map((part) => part + by);
    return replaced.join("") + parts.slice(count).join(old);
  });
}

/** An empty text is found before each character and at the end. */
const gaps = (text: string): string[] => ["", ...text, ""];

function split(text: string, separator: string, limit = -1n): Result {
  if (limit === 0n) return new ArrayList([]);
  const parts = separator === "" ? [...text] : text.split(separator);
  const max = limit < 0n ? parts.length : Number(limit);
  if (parts.length <= max) return new ArrayList(parts);
  return new ArrayList([...parts.slice(0, max - 1), parts.slice(max - 1).join(separator)]);
}

function join(list: CelList, separator = ""): Result {
  const parts: string[] = [];
  let length = 0;
  for (const element of list) {
    if (typeof element !== "string") return new CelError(`join: invalid input: ${printValue(element)}`);
    length += element.length + separator.length;
    if (length > textMax) return tooLong;
    parts.push(element);
  }
  return parts.join(separator);
}

const quotes: Readonly<Record<string, string>> = {
  "\u0007": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  "\\": "\\\\",
  '"': '\\"',
};

const quotable = /[\\"]|\p{Cc}/gu;

const quote = (text: string): string =>
  `"${text.replace(quotable, (c) => quotes[c] ?? c).replace(/\p{Cs}/gu, "\ufffd")}"`;

/** Unicode's White_Space, as Go trims it. */
const trim = (text: string): string => text.replace(/^[\p{White_Space}]+/u, "").replace(/[\p{White_Space}]+$/u, "");

export const stringsLibrary: Library = {
  since: 29,
  functions: {
    charAt: { "string_char_at_int .(string, int) string": charAt },
    indexOf: {
      "string_index_of_string .(string, string) int": indexOf,
      "string_index_of_string_int .(string, string, int) int": indexOf,
    },
    lastIndexOf: {
      "string_last_index_of_string .(string, string) int": lastIndexOf,
      "string_last_index_of_string_int .(string, string, int) int": lastIndexOf,
    },
    lowerAscii: {
      "string_lower_ascii .(string) string": (text: string) => text.replace(/[A-Z]+/g, (part) => part.toLowerCase()),
    },
    upperAscii: {
      "string_upper_ascii .(string) string": (text: string) => text.replace(/[a-z]+/g, (part) => part.toUpperCase()),
    },
    replace: {
      "string_replace_string_string .(string, string, string) string": replace,
      "string_replace_string_string_int .(string, string, string, int) string": replace,
    },
    split: {
      "string_split_string .(string, string) list(string)": split,
      "string_split_string_int .(string, string, int) list(string)": split,
    },
    substring: {
      "string_substring_int .(string, int) string": substring,
      "string_substring_int_int .(string, int, int) string": substring,
    },
    trim: { "string_trim .(string) string": trim },
    format: {
      "string_format .(string, list(dyn)) string": (format: string, args: CelList) => {
        const text = formatString(format, args);
        return typeof text === "string" && text.length > textMax ? tooLong : text;
      },
    },
    "strings.quote": { "strings_quote (string) string": quote },
    join: {
      "list_join .(list(string)) string": join,
      "list_join_string .(list(string), string) string": join,
    },
  },
};
