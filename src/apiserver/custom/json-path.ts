/**
 * The paths of printer columns and selectable fields: client-go's JSONPath, told apart as its parser does it and with its quirks, because
 * a column that finds something else is a column that shows something else. Without `range`, which leads nowhere in a column.
 * Follows k8s.io/client-go/util/jsonpath.
 */
import { asGo, isJsonObject } from "#api";
import { goJson, goNumber } from "#machinery";

/** All that is found, in order. */
export type JsonPath = (object: unknown) => readonly unknown[];

/** Found nothing because it can't be looked for there: an index of a text, for example. */
class Unfit extends Error {}
/** The text is no path. */
class Unreadable extends Error {}

type Step = (values: readonly unknown[]) => readonly unknown[];

/** Undefined: it can't be read. */
export function compileJsonPath(text: string): JsonPath | undefined {
  try {
    const [first, ...others] = new Parser(`{${text}}`).parse();
    return (object) => {
      const found = first?.([object]) ?? [];
      for (const other of others) other([object]);
      return found;
    };
  } catch (error) {
    if (error instanceof Unreadable) return undefined;
    throw error;
  }
}

/** Where it can't be followed nothing is found. */
export function found(path: JsonPath, object: unknown): readonly unknown[] {
  try {
    return path(object);
  } catch (error) {
    if (error instanceof Unfit) return [];
    throw error;
  }
}

/** As client-go prints one result. */
export function printResult(value: unknown): string {
  if (value === null || value === undefined) return "<no value>";
  if (typeof value === "object") return goJson(asGo(value));
  return typeof value === "number" ? goNumber(value) : String(value);
}

const end = "";
const terminators = new Set([" ", "\t", "\r", "\n", end, ".", ",", "[", "]", "$", "@", "{", "}"]);

class Parser {
  readonly #text: string;
  #at = 0;
  #from = 0;
  readonly #roots: Step[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  parse(): readonly Step[] {
    this.#parseText();
    return this.#roots;
  }

  #rest(prefix: string): boolean {
    return this.#text.startsWith(prefix, this.#at);
  }

  #next(): string {
    const character = this.#text.charAt(this.#at);
    if (character !== end) this.#at++;
    return character;
  }

  #take(): string {
    const taken = this.#text.slice(this.#from, this.#at);
    this.#from = this.#at;
    return taken;
  }

  /** Up to and with a character. */
  #skipTo(wanted: string): void {
    for (;;) {
      const character = this.#next();
      if (character === end || character === "\n") throw new Unreadable();
      if (character === wanted) return;
    }
  }

  #parseText(): void {
    const open = this.#text.indexOf("{", this.#at);
    if (open > this.#at || (open < 0 && this.#at < this.#text.length)) this.#roots.push(constant(null));
    if (open < 0) return;
    this.#at = open + 1;
    this.#take();
    const steps: Step[] = [];
    this.#roots.push((values) => steps.reduce((found, step) => step(found), values));
    this.#parseAction(steps);
  }

  #parseAction(steps: Step[]): void {
    for (;;) {
      if (this.#rest("}")) {
        this.#at++;
        this.#take();
        this.#parseText();
        return;
      }
      if (this.#rest("[?(")) this.#parseFilter(steps);
      else if (this.#rest("..")) this.#parseRecursion(steps);
      else this.#parsePart(steps);
    }
  }

  #parsePart(steps: Step[]): void {
    const character = this.#next();
    if (character === end || character === "\n" || character === "\r") throw new Unreadable();
    if (character === " " || character === "@" || character === "$") this.#take();
    else if (character === "[") this.#parseBrackets(steps);
    else if (character === '"' || character === "'") this.#parseQuoted(steps, character);
    else if (character === ".") this.#parseField(steps);
    else if (/[-+\p{Nd}]/u.test(character)) this.#parseNumber(steps);
    else if (/[_\p{L}]/u.test(character)) this.#parseWord(steps);
    else throw new Unreadable();
  }

  #parseWord(steps: Step[]): void {
    while (!terminators.has(this.#text.charAt(this.#at))) this.#at++;
    const word = this.#take();
    if (word === "true" || word === "false") steps.push(constant(word === "true"));
    else
      steps.push(() => {
        throw new Unfit(word);
      });
  }

  #parseNumber(steps: Step[]): void {
    while (/[.\p{Nd}]/u.test(this.#text.charAt(this.#at))) this.#at++;
    const text = this.#take();
    if (!/^[-+]?(\d+\.?\d*|\.\d+)$/.test(text)) throw new Unreadable();
    steps.push(constant(Number(text)));
  }

  #parseQuoted(steps: Step[], quote: string): void {
    do this.#skipTo(quote);
    while (this.#text.charAt(this.#at - 2) === "\\");
    const text = this.#take().slice(1, -1);
    const read = text.replace(/\\(.)/g, (_, character: string) => escapes[character] ?? character);
    steps.push(() => [read]);
  }

  #parseRecursion(steps: Step[]): void {
    if (steps.at(-1) === recursive) throw new Unreadable();
    this.#at += 2;
    this.#take();
    steps.push(recursive);
    if (/[_\p{L}\p{Nd}]/u.test(this.#text.charAt(this.#at))) this.#parseField(steps);
  }

  #parseField(steps: Step[]): void {
    this.#take();
    for (;;) {
      const character = this.#text.charAt(this.#at);
      if (terminators.has(character)) break;
      this.#at += character === "\\" ? 2 : 1;
    }
    const name = this.#take();
    steps.push(name === "*" ? wildcard : member(name.replaceAll("\\", "")));
  }

  #parseBrackets(steps: Step[]): void {
    this.#skipTo("]");
    const inner = this.#take().slice(1, -1);
    const text = inner === "*" ? ":" : inner;
    const parts = text.split(",");
    const [quoted] = /^'[^']*'$/.exec(text) ?? [];
    if (parts.length > 1) steps.push(union(parts.map((part) => inside(`[${part.replace(/^ +| +$/g, "")}]`))));
    else if (quoted !== undefined) steps.push(inside(`.${quoted.slice(1, -1)}`));
    else steps.push(slice(text));
  }

  #parseFilter(steps: Step[]): void {
    this.#at += 3;
    this.#take();
    let quote = "";
    for (let closed = true; ; ) {
      const character = this.#next();
      if (character === end || character === "\n") throw new Unreadable();
      if (character === '"' || character === "'") {
        if (quote === "") {
          quote = character;
          closed = false;
        } else if (character === quote && this.#text.charAt(this.#at - 2) !== "\\") closed = true;
      } else if (character === ")" && closed) break;
    }
    if (this.#next() !== "]") throw new Unreadable();
    const text = this.#take().slice(0, -2);
    const [, left, operator, right] = /^([^!<>=]+)([!<>=]+)(.+?)$/.exec(text) ?? [];
    if (left === undefined) steps.push(existing(inside(text)));
    else steps.push(comparing(inside(left), operator ?? "", inside(right ?? "")));
  }
}

const escapes: Readonly<Record<string, string>> = { a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };

/** What stands in brackets is an expression of its own; only its first part counts. */
function inside(text: string): Step {
  const [first] = new Parser(`{${text}}`).parse();
  if (!first) throw new Unreadable();
  return first;
}

const constant =
  (value: unknown): Step =>
  (values) =>
    values.map(() => value);

const member =
  (name: string): Step =>
  (values) =>
    values.flatMap((value) => (isJsonObject(value) && Object.hasOwn(value, name) ? [value[name]] : []));

const children = (value: unknown): readonly unknown[] =>
  Array.isArray(value) ? value : isJsonObject(value) ? Object.values(value) : [];

const wildcard: Step = (values) => values.flatMap(children);

/** Everything that has something in it. */
const recursive: Step = (values) =>
  values.flatMap((value) => {
    const below = children(value);
    if (below.length > 0) return [value, ...recursive(below)];
    return typeof value === "string" && value !== "" ? [value] : [];
  });

const union =
  (steps: readonly Step[]): Step =>
  (values) =>
    steps.flatMap((step) => step(values));

function slice(text: string): Step {
  const parts = /^(-?\d*)(:-?\d*)?(:-?\d*)?$/.exec(text);
  if (!parts) throw new Unreadable();
  const numbers = parts.slice(1).map((part) => (part ?? "").replace(/^:/, ""));
  if (numbers.includes("-")) throw new Unreadable();
  const [first, last, step] = numbers.map((number) => (number === "" ? undefined : Number(number)));
  const single = parts[2] === undefined;
  return (values) =>
    values.flatMap((value) => {
      if (value === null) return [];
      if (!Array.isArray(value)) throw new Unfit();
      const begin = (first ?? 0) < 0 ? (first ?? 0) + value.length : (first ?? 0);
      let stop = single ? (first ?? 0) + 1 : (last ?? value.length);
      if (stop < 0 || (stop === 0 && single)) stop += value.length;
      if (begin === stop) return [];
      if (begin < 0 || begin >= value.length || stop < 0 || stop > value.length || begin > stop) throw new Unfit();
      if (step !== undefined && step <= 0) throw new Unfit();
      const items: unknown[] = value.slice(begin, stop);
      return step === undefined ? items : items.filter((_, i) => i % step === 0);
    });
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new Unfit();
  return value;
}

const existing =
  (find: Step): Step =>
  (values) =>
    values.flatMap((value) => listOf(value).filter((item) => isThere(find, item)));

function isThere(find: Step, item: unknown): boolean {
  try {
    return find([item]).length > 0;
  } catch (error) {
    // What was reached before it went wrong counts.
    if (error instanceof Unfit) return true;
    throw error;
  }
}

const comparing =
  (left: Step, operator: string, right: Step): Step =>
  (values) =>
    values.flatMap((value) =>
      listOf(value).filter((item) => {
        const [a, ...more] = left([item]);
        if (a === undefined) return false;
        const [b, ...others] = right([item]);
        if (b === undefined) return false;
        if (more.length > 0 || others.length > 0) throw new Unfit();
        return holds(a, operator, b);
      }),
    );

/** Values of different kinds, and what has no order, can't be compared. */
function holds(a: unknown, operator: string, b: unknown): boolean {
  if (kindOf(a) !== kindOf(b)) throw new Unfit();
  if (operator === "==") return a === b;
  if (operator === "!=") return a !== b;
  if (typeof a === "boolean") throw new Unfit();
  const [x, y] = [a as number, b as number]; // or two texts, which compare as well
  if (operator === "<") return x < y;
  if (operator === "<=") return x <= y;
  if (operator === ">") return x > y;
  if (operator === ">=") return x >= y;
  throw new Unfit();
}

function kindOf(value: unknown): string {
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "float";
  if (typeof value !== "string" && typeof value !== "boolean") throw new Unfit();
  return typeof value;
}
