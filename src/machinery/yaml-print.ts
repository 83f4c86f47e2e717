/**
 * JSON as YAML, letter by letter as upstream's printer (go.yaml.in/yaml/v2 behind sigs.k8s.io/yaml) writes it: keys in its order, lists
 * as deep as their key, strings quoted when they would be read as something else, long ones folded.
 */
import { compareKeys, PlainNumber, plainNumber, readsAsOther } from "./yaml-words.ts";

export function printYaml(json: Uint8Array): string {
  const text = Buffer.from(json.buffer, json.byteOffset, json.byteLength).toString("utf8");
  return new Printer().document(parse(text));
}

/** Numbers that JSON.parse would round, or whose form it would forget, stay as they are written. */
function parse(text: string): unknown {
  if (!/\d(?:[.eE]|\d{15})/.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_key, value: unknown, context?: { source?: string }) =>
    typeof value === "number" && context?.source !== undefined ? plainNumber(context.source, value) : value,
  );
}

/** A line that is longer is broken at the next space. */
const widthMax = 80;
const keyBytesMax = 128;
const indentStep = 2;

type LineStyle = "plain" | "single" | "double";

interface Place {
  readonly indent: number;
  /** A list there stands as deep as its key. */
  readonly inMap: boolean;
}

/** Where the pen is, and what libyaml knows of it. */
class Printer {
  readonly #pieces: string[] = [];
  #column = 0;
  /** What was written last needs no space before the next. */
  #whitespace = true;
  /** Nothing but indentation and list marks stands in this line. */
  #indention = true;

  document(value: unknown): string {
    this.#node(value, { indent: 0, inMap: false });
    this.#begin(0);
    return this.#pieces.join("");
  }

  #node(value: unknown, place: Place): void {
    if (typeof value === "string") this.#text(value, place.indent);
    else if (typeof value !== "object" || value === null) this.#mark(String(value));
    else if (value instanceof PlainNumber) this.#mark(value.text);
    else if (Array.isArray(value)) this.#list(value, place);
    else this.#map(value as Record<string, unknown>, place.indent);
  }

  #list(items: readonly unknown[], { indent, inMap }: Place): void {
    if (items.length === 0) this.#mark("[]");
    const inner = inMap && !this.#indention ? indent - indentStep : indent;
    for (const item of items) {
      this.#begin(inner);
      this.#mark("-", true);
      this.#node(item, { indent: inner + indentStep, inMap: false });
    }
  }

  #map(map: Readonly<Record<string, unknown>>, indent: number): void {
    const keys = Object.keys(map).sort(compareKeys);
    if (keys.length === 0) this.#mark("{}");
    for (const key of keys) {
      this.#begin(indent);
      const inner = { indent: indent + indentStep, inMap: true };
      const simple = !lineBreak.test(key) && Buffer.byteLength(key) <= keyBytesMax;
      if (simple) this.#string(key, undefined, keyStyleOf(key));
      else {
        this.#mark("?", true);
        this.#node(key, inner);
        this.#begin(indent);
      }
      if (simple) this.#write(":");
      else this.#mark(":", true);
      if (simple) [this.#whitespace, this.#indention] = [false, false];
      this.#node(map[key], inner);
    }
  }

  #text(text: string, indent: number): void {
    const style = styleOf(text);
    if (style === "literal") this.#literal(text, indent);
    else this.#string(text, indent, style);
  }

  /** Without an indent it is a key, which is never folded. */
  #string(text: string, indent: number | undefined, style: LineStyle): void {
    if (!this.#whitespace) this.#write(" ");
    const quote = style === "plain" ? "" : style === "single" ? "'" : '"';
    this.#write(quote);
    const whole = style !== "double" && (indent === undefined || this.#column + text.length <= widthMax);
    if (whole) this.#write(style === "single" ? text.replaceAll("'", "''") : text);
    let spaces = false;
    const characters = whole ? [] : [...text];
    for (const [i, character] of characters.entries()) {
      if (character !== " ") {
        if (style === "double" && toEscape.test(character)) this.#write(escaped(character));
        else this.#write(style === "single" && character === "'" ? "''" : character);
        spaces = false;
        continue;
      }
      const last = i === characters.length - 1;
      const before = characters[i + 1] === " ";
      const fold =
        indent !== undefined &&
        !spaces &&
        this.#column > widthMax &&
        (style === "plain" || (i > 0 && !last)) &&
        (style === "double" || !before);
      if (!fold) this.#write(" ");
      else {
        this.#indention = false;
        this.#begin(indent);
        if (before) this.#write("\\");
      }
      spaces = true;
    }
    this.#write(quote);
    [this.#whitespace, this.#indention] = [false, false];
  }

  #literal(text: string, indent: number): void {
    const hint = /^[ \n\u0085\u2028\u2029]/.test(text) ? String(indentStep) : "";
    const [, end = ""] = /([\n\u0085\u2028\u2029]*)$/.exec(text) ?? [];
    const chomp = end === "" ? "-" : end.length > 1 || text.length === 1 ? "+" : "";
    this.#mark(`|${hint}${chomp}`);
    this.#break();
    [this.#whitespace, this.#indention] = [true, true];
    let breaks = true;
    for (const line of text.split(/([\n\u0085\u2028\u2029])/)) {
      if (line === "") continue;
      if (lineBreak.test(line)) {
        if (line === "\n") this.#break();
        else {
          this.#pieces.push(line);
          this.#column = 0;
        }
        [this.#indention, breaks] = [true, true];
        continue;
      }
      if (breaks) this.#begin(indent);
      this.#write(line);
      [this.#indention, breaks] = [false, false];
    }
  }

  /** What stands for itself, after a space. `indention`: what follows still begins the line. */
  #mark(text: string, indention = false): void {
    if (!this.#whitespace) this.#write(" ");
    this.#write(text);
    this.#whitespace = false;
    this.#indention &&= indention;
  }

  /** At this depth, in a new line unless this one has nothing yet. */
  #begin(indent: number): void {
    if (!this.#indention || this.#column > indent || (this.#column === indent && !this.#whitespace)) this.#break();
    if (this.#column < indent) this.#write(" ".repeat(indent - this.#column));
    [this.#whitespace, this.#indention] = [true, true];
  }

  #break(): void {
    this.#pieces.push("\n");
    this.#column = 0;
  }

  #write(text: string): void {
    this.#pieces.push(text);
    this.#column += text.length;
  }
}

const lineBreak = /[\r\n\u0085\u2028\u2029]/;
/** What a reader would not see as it is. */
const special = /[^\n\x20-\x7e\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd]/u;
const toEscape = /["\\\n\u2028\u2029]|[^\x20-\x7e\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd]/u;
const breakSpace = /[\n\u2028\u2029] /;
const spaceBreak = / [\n\u2028\u2029]/;
/** Read as marks of a list, a map, a comment. */
const indicators = /^(?:---|\.\.\.|[#,[\]{}&*!|>'"%@`]|[?:-](?:[ \t]|$))|:(?:[ \t]|$)|[ \t\n\u0085\u2028\u2029]#/;
const outerSpace = /^[ \n\u2028\u2029]|[ \n\u2028\u2029]$/;

function styleOf(text: string): LineStyle | "literal" {
  if (text.includes("\n")) {
    const asLines = !special.test(text) && !spaceBreak.test(text) && !text.endsWith(" ");
    return asLines ? "literal" : "double";
  }
  return readsAsOther(text) ? "double" : quotedStyleOf(text);
}

/** Of a key that is no text of several lines. */
function keyStyleOf(text: string): LineStyle {
  return readsAsOther(text) ? "double" : quotedStyleOf(text);
}

function quotedStyleOf(text: string): LineStyle {
  if (!indicators.test(text) && !outerSpace.test(text) && !special.test(text) && !lineBreak.test(text)) return "plain";
  return special.test(text) || spaceBreak.test(text) || breakSpace.test(text) ? "double" : "single";
}

const escapes: Readonly<Record<string, string>> = {
  "\0": "0",
  "\x07": "a",
  "\b": "b",
  "\t": "t",
  "\n": "n",
  "\v": "v",
  "\f": "f",
  "\r": "r",
  "\x1b": "e",
  '"': '"',
  "\\": "\\",
  "\u0085": "N",
  "\u00a0": "_",
  "\u2028": "L",
  "\u2029": "P",
};

function escaped(character: string): string {
  const short = escapes[character];
  if (short !== undefined) return `\\${short}`;
  const code = character.codePointAt(0) ?? 0;
  const hex = code.toString(16).toUpperCase();
  if (code <= 0xff) return `\\x${hex.padStart(2, "0")}`;
  return code <= 0xffff ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}
