/**
 * JSON whose keys stand twice, as Go reads it into structs and maps: the second object goes into what the first has left.
 * Only for texts that JSON.parse has taken; it keeps the last one.
 */
import { setOwn } from "./deep.ts";

type Json = Record<string, unknown>;

export function parseMerging(text: string): unknown {
  return new MergingParser(text).value(undefined);
}

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

class MergingParser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(before: unknown): unknown {
    const next = this.#peek();
    if (next === "{") return this.#object(isObject(before) ? before : {});
    if (next === "[") return this.#array();
    const start = this.#at;
    if (next === '"') this.#skipString();
    else this.#at = this.#endOfWord();
    return JSON.parse(this.#text.slice(start, this.#at));
  }

  #object(object: Json): Json {
    this.#at++;
    while (this.#peek() !== "}") {
      const start = this.#at;
      this.#skipString();
      const key: string = JSON.parse(this.#text.slice(start, this.#at));
      this.#peek();
      this.#at++; // the colon
      const value = this.value(Object.hasOwn(object, key) ? object[key] : undefined);
      // Null leaves what was there.
      if (value !== null || !Object.hasOwn(object, key)) setOwn(object, key, value);
      if (this.#peek() === ",") this.#at++;
    }
    this.#at++;
    return object;
  }

  #array(): unknown[] {
    const items: unknown[] = [];
    this.#at++;
    while (this.#peek() !== "]") {
      items.push(this.value(undefined));
      if (this.#peek() === ",") this.#at++;
    }
    this.#at++;
    return items;
  }

  #peek(): string | undefined {
    while (/[ \t\r\n]/.test(this.#text[this.#at] ?? "")) this.#at++;
    return this.#text[this.#at];
  }

  #skipString(): void {
    for (this.#at++; this.#text[this.#at] !== '"'; this.#at++) if (this.#text[this.#at] === "\\") this.#at++;
    this.#at++;
  }

  #endOfWord(): number {
    let end = this.#at;
    while (end < this.#text.length && !/[\s,\]}]/.test(this.#text[end] ?? "")) end++;
    return end;
  }
}
