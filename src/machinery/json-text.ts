/**
 * JSON as text: what JSON.parse cannot tell. A cheap count of members (a difference to the parsed object betrays a key that
 * stands twice), the depth, and where keys stand twice.
 */
import { JsonSyntaxError, jsonComplaint } from "./json-complaint.ts";

/** Bytes or text to a value. Throws JsonSyntaxError. */
export function parseJson(body: Uint8Array | string): unknown {
  const text = typeof body === "string" ? body : jsonText(body);
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new JsonSyntaxError(jsonComplaint(text));
  }
}

export function jsonText(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8");
}

const quoteCode = 0x22;
const backslash = 0x5c;
const nineCode = 0x39;

/** Of a valid JSON text: how many members all objects have together, how deep it is, and whether numbers have points or exponents. */
export function measureJson(text: string): { members: number; depth: number; decimals: boolean } {
  let members = 0;
  let decimals = false;
  let level = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case quoteCode:
        at = endOfString(text, at);
        break;
      case 0x3a: // :
        members++;
        break;
      case 0x7b: // {
      case 0x5b: // [
        if (++level > depth) depth = level;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        level--;
        break;
      case 0x2e: // .
      case 0x45: // E
        decimals = true;
        break;
      case 0x65: // e, also of true and false
        if (text.charCodeAt(at - 1) <= nineCode) decimals = true;
    }
  }
  return { members, depth, decimals };
}

/** The members of all objects in a parsed value; fewer than its text has when a key stands twice. */
export function countMembers(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  const children = Object.values(value);
  const own = Array.isArray(value) ? 0 : children.length;
  return children.reduce((sum: number, child) => sum + countMembers(child), own);
}

/** The position of the closing quote of the string that starts at `start`. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end > 0 && text.charCodeAt(end - 1) === backslash) {
    let slashes = 1;
    while (text.charCodeAt(end - 1 - slashes) === backslash) slashes++;
    if (slashes % 2 === 0) break;
    end = text.indexOf('"', end + 1);
  }
  return end < 0 ? text.length : end;
}

export type JsonPath = readonly (string | number)[];

export interface JsonMember {
  readonly key: string;
  /** Its key stood before. */
  readonly again: boolean;
  /** Only now; dear in deep texts. */
  path(): JsonPath;
}

/** Where each member of a valid JSON text stands, in the order of the text. */
export function* jsonMembers(text: string): Generator<JsonMember> {
  const levels: { keys?: Set<string>; at: string | number }[] = [];
  const path = () => levels.map(({ at }) => at);
  for (let at = 0; at < text.length; at++) {
    const level = levels.at(-1);
    switch (text[at]) {
      case "{":
        levels.push({ keys: new Set(), at: "" });
        break;
      case "[":
        levels.push({ at: 0 });
        break;
      case "}":
      case "]":
        levels.pop();
        break;
      case ",":
        if (typeof level?.at === "number") level.at++;
        break;
      case '"': {
        const end = endOfString(text, at);
        if (level?.keys && /^[ \t\r\n]*:/.test(text.slice(end + 1, end + 1 + keyGapMax))) {
          const key: string = JSON.parse(text.slice(at, end + 1));
          const again = level.keys.has(key);
          level.keys.add(key);
          level.at = key;
          yield { key, again, path };
        }
        at = end;
      }
    }
  }
}

/** White space between a key and its colon beyond this hides the key from `jsonMembers`; bounds the look ahead. */
const keyGapMax = 1000;
