/** What Go's encoding/json says about a text that is not JSON; asked only after JSON.parse has refused it. */
import { goQuote } from "./go-text.ts";

/** Objects and lists within each other. Protects our recursion; upstream allows 10,000, no client needs 100. */
export const jsonDepthMax = 1000;

/** A text that is not JSON; the message is Go's. */
export class JsonSyntaxError extends Error {
  override name = "JsonSyntaxError";
}

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
