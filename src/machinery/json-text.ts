/**
 * JSON as text: what JSON.parse cannot tell. Complaints about bad JSON in Go's words, a cheap count of members (a
 * difference to the parsed object betrays a key that stands twice), the depth, and where keys stand twice.
 */
import { goQuote } from "./go-text.ts";

/** Objects and lists within each other. Protects our recursion; upstream allows 10,000, no client needs 100. */
export const jsonDepthMax = 1000;

/** A text that is not JSON; the message is Go's. */
export class JsonSyntaxError extends Error {
  override name = "JsonSyntaxError";
}

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

/** How many members all objects of a valid JSON text have together, and how deep it is. */
export function measureJson(text: string): { members: number; depth: number } {
  let members = 0;
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
    }
  }
  return { members, depth };
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

/** Where each member of a valid JSON text stands, in the order of the text; `again` when its key stood before. */
export function* jsonMembers(text: string): Generator<{ path: JsonPath; again: boolean }> {
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
          yield { path: path(), again };
        }
        at = end;
      }
    }
  }
}

/** White space between a key and its colon beyond this hides the key from `jsonMembers`; bounds the look ahead. */
const keyGapMax = 1000;

type Expected = "value" | "value or ]" | "key" | "key or }" | ":" | "after member" | "after item" | "end";

const stringEscapes = new Set('bfnrt\\/"');
const isSpace = (byte: string) => byte === " " || byte === "\t" || byte === "\r" || byte === "\n";
const isDigit = (byte: string | undefined) => byte !== undefined && byte >= "0" && byte <= "9";

/** What Go's encoding/json says about a text that is not JSON: one pass over its bytes. */
export function jsonComplaint(text: string): string {
  return new Complainer(Buffer.from(text).toString("latin1")).complaint();
}

class Complainer {
  readonly #bytes: string;
  readonly #open: ("{" | "[")[] = [];
  #at = 0;

  constructor(bytes: string) {
    this.#bytes = bytes;
  }

  complaint(): string {
    try {
      let expected: Expected = "value";
      for (;;) {
        while (isSpace(this.#bytes[this.#at] ?? "")) this.#at++;
        if (this.#at >= this.#bytes.length) return "unexpected end of JSON input";
        expected = this.#token(expected);
      }
    } catch (error) {
      if (error instanceof JsonSyntaxError) return error.message;
      throw error;
    }
  }

  #token(expected: Expected): Expected {
    const byte = this.#bytes[this.#at];
    switch (expected) {
      case "value or ]":
        return byte === "]" ? this.#close() : this.#value();
      case "value":
        return this.#value();
      case "key or }":
        return byte === "}" ? this.#close() : this.#key();
      case "key":
        return this.#key();
      case ":":
        if (byte !== ":") throw this.#invalid("after object key");
        this.#at++;
        return "value";
      case "after member":
        if (byte === "}") return this.#close();
        if (byte !== ",") throw this.#invalid("after object key:value pair");
        this.#at++;
        return "key";
      case "after item":
        if (byte === "]") return this.#close();
        if (byte !== ",") throw this.#invalid("after array element");
        this.#at++;
        return "value";
      case "end":
        throw this.#invalid("after top-level value");
    }
  }

  #value(): Expected {
    const byte = this.#bytes[this.#at] ?? "";
    if (byte === "{" || byte === "[") {
      if (this.#open.length >= jsonDepthMax) throw this.#invalid("exceeded max depth");
      this.#open.push(byte);
      this.#at++;
      return byte === "{" ? "key or }" : "value or ]";
    }
    if (byte === '"') this.#string();
    else if (byte === "-" || isDigit(byte)) this.#number();
    else if (byte === "t") this.#literal("true");
    else if (byte === "f") this.#literal("false");
    else if (byte === "n") this.#literal("null");
    else throw this.#invalid("looking for beginning of value");
    return this.#after();
  }

  #key(): Expected {
    if (this.#bytes[this.#at] !== '"') throw this.#invalid("looking for beginning of object key string");
    this.#string();
    return ":";
  }

  #close(): Expected {
    this.#open.pop();
    this.#at++;
    return this.#after();
  }

  #after(): Expected {
    const open = this.#open.at(-1);
    return open === "{" ? "after member" : open === "[" ? "after item" : "end";
  }

  #string(): void {
    for (this.#at++; this.#bytes[this.#at] !== '"'; this.#at++) {
      const byte = this.#need();
      if (byte < " ") throw this.#invalid("in string literal");
      if (byte !== "\\") continue;
      this.#at++;
      const letter = this.#need();
      if (letter === "u") this.#hex();
      else if (!stringEscapes.has(letter)) throw this.#invalid("in string escape code");
    }
    this.#at++;
  }

  #hex(): void {
    for (let count = 0; count < 4; count++) {
      this.#at++;
      if (!/[0-9a-fA-F]/.test(this.#need())) throw this.#invalid("in \\u hexadecimal character escape");
    }
  }

  #number(): void {
    if (this.#bytes[this.#at] === "-") {
      this.#at++;
      this.#needDigit("in numeric literal");
    }
    if (this.#bytes[this.#at] === "0") this.#at++;
    else this.#digits();
    if (this.#bytes[this.#at] === ".") {
      this.#at++;
      this.#needDigit("after decimal point in numeric literal");
      this.#digits();
    }
    if (this.#bytes[this.#at] === "e" || this.#bytes[this.#at] === "E") {
      this.#at++;
      if (this.#bytes[this.#at] === "+" || this.#bytes[this.#at] === "-") this.#at++;
      this.#needDigit("in exponent of numeric literal");
      this.#digits();
    }
  }

  #digits(): void {
    while (isDigit(this.#bytes[this.#at])) this.#at++;
  }

  #literal(word: string): void {
    for (const expected of word) {
      if (this.#need() !== expected) throw this.#invalid(`in literal ${word} (expecting '${expected}')`);
      this.#at++;
    }
  }

  #needDigit(where: string): void {
    if (!isDigit(this.#need())) throw this.#invalid(where);
  }

  #need(): string {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new JsonSyntaxError("unexpected end of JSON input");
    return byte;
  }

  #invalid(where: string): JsonSyntaxError {
    const byte = this.#bytes[this.#at] ?? "";
    const quoted = byte === "'" ? "\\'" : byte === '"' ? '"' : goQuote(byte).slice(1, -1);
    return new JsonSyntaxError(`invalid character '${quoted}' ${where}`);
  }
}
