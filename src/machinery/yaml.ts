/**
 * YAML as upstream reads it (sigs.k8s.io/yaml on yaml.v2): the first document only, YAML 1.1 words (`yes` is true, `010` is 8),
 * keys turned into strings, a repeated key noted. The library parses; scalars are resolved here, because its own
 * YAML 1.1 differs (dates, base 60). Loaded only when a client sends YAML.
 */
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  Scalar,
  type YAMLError as LibraryError,
  type YAMLMap,
} from "yaml";
import { canonicalBase64 } from "./base64.ts";
import { Decimal } from "./decimal.ts";
import { jsonDepthMax } from "./json-complaint.ts";

/** A text that is not YAML, or that JSON cannot hold. */
export class YamlError extends Error {
  override name = "YamlError";
}

export interface Yaml {
  /** undefined for an empty document. */
  readonly value: unknown;
  /** Complaints about repeated keys, `line 7: key "a" already set in map`; the last one won. */
  readonly duplicates: readonly string[];
}

/** Collections within each other, as in JSON. */
const levelsMax = jsonDepthMax;
/** Nodes after aliases are followed. Protects against a few bytes of aliases that stand for gigabytes. */
const nodesMax = 1_000_000;

/** Throws YamlError. */
export function parseYaml(source: Uint8Array | string): Yaml {
  const text = typeof source === "string" ? source : yamlText(source);
  const lines = new LineCounter();
  const [document] = parseDocuments(text, lines);
  if (!document) {
    if (/^%(?!YAML|TAG)/m.test(text)) throw new YamlError("yaml: found unknown directive name");
    return { value: undefined, duplicates: [] };
  }
  const directive = document.warnings.find(({ code }) => code === "BAD_DIRECTIVE");
  if (directive) throw new YamlError(`yaml: ${badDirective(directive.message)}`);
  const end = endOfClosed(document.contents);
  const error = document.errors.find(
    ({ code, pos }) => code !== "MULTIPLE_DOCS" && (code === "MISSING_CHAR" || pos[0] < end),
  );
  if (error?.code === "RESOURCE_EXHAUSTION") throw tooDeep();
  if (error) throw new YamlError(complaint(error, text, lines));
  const reader = new Reader(document, lines);
  return { value: reader.read(document.contents), duplicates: reader.duplicates };
}

function parseDocuments(text: string, lineCounter: LineCounter) {
  try {
    return parseAllDocuments(text, {
      schema: "failsafe",
      version: "1.1",
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: "error",
      lineCounter,
    });
  } catch (error) {
    // The library recurses; a stack that overflows is the only bound it has.
    if (error instanceof RangeError) throw tooDeep();
    throw error;
  }
}

const tooDeep = () => new YamlError("yaml: exceeded max depth of 10000");

/** A flow collection or a quoted text that is all of a document ends it; what comes then is another one, which nobody reads. */
function endOfClosed(contents: unknown): number {
  const closed =
    isMap(contents) || isSeq(contents) ? contents.flow : isScalar(contents) && contents.type !== Scalar.PLAIN;
  return (closed && (contents as Node).range?.[1]) || Number.POSITIVE_INFINITY;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
// biome-ignore lint/suspicious/noControlCharactersInRegex: what YAML forbids
const forbidden = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]/;

/** Bytes as text: UTF-16 if a mark says so. Throws YamlError for what isn't text. */
function yamlText(bytes: Uint8Array): string {
  const [first, second] = bytes;
  let text: string;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) {
    text = new TextDecoder(first === 0xff ? "utf-16le" : "utf-16be").decode(bytes);
  } else {
    try {
      text = utf8.decode(bytes);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new YamlError(`yaml: ${badOctet(bytes)}`);
    }
  }
  if (forbidden.test(text)) throw new YamlError("yaml: control characters are not allowed");
  return text;
}

function badOctet(bytes: Uint8Array): string {
  for (let at = 0; at < bytes.length; ) {
    const octet = bytes[at] ?? 0;
    const width =
      octet < 0x80 ? 1 : (octet & 0xe0) === 0xc0 ? 2 : (octet & 0xf0) === 0xe0 ? 3 : (octet & 0xf8) === 0xf0 ? 4 : 0;
    if (width === 0) return "invalid leading UTF-8 octet";
    if (at + width > bytes.length) return "incomplete UTF-8 octet sequence";
    for (let i = 1; i < width; i++) if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return "invalid trailing UTF-8 octet";
    at += width;
  }
  return "invalid Unicode character";
}

const badDirective = (message: string): string =>
  message.includes("YAML version") ? "found incompatible YAML document" : "found unknown directive name";

/** All complaints about repeated keys in one, as the strict parser gives it. */
export const duplicatesError = (duplicates: readonly string[]): string =>
  `yaml: unmarshal errors:${duplicates.map((each) => `\n  ${each}`).join("")}`;

/** The library's error in libyaml's words, as far as they have the same idea of it. */
function complaint({ code, message, pos }: LibraryError, text: string, lines: LineCounter): string {
  const [words, scanner] = wordsOf(code, message, text[pos[0]]);
  // libyaml counts from 0, adds 1 if it is its scanner that complains, and doesn't tell line 0.
  const late = code === "MULTILINE_IMPLICIT_KEY" || code === "BLOCK_AS_IMPLICIT_KEY";
  const at = scanner && pos[0] >= text.length ? text.length : late ? Math.max(pos[0], pos[1] - 1) : pos[0];
  const line = lines.linePos(Math.min(at, text.length)).line - 1;
  const atEnd = !scanner && pos[0] >= text.length - 1 && /^did not find expected ','/.test(words);
  const told = atEnd ? text.trimEnd().split("\n").length : line === 0 ? 0 : scanner ? line + 1 : line;
  return `yaml: ${told === 0 ? "" : `line ${told}: `}${words}`;
}

/** And whether its scanner says so, or its parser. */
function wordsOf(
  code: string,
  message: string,
  character: string | undefined,
): readonly [words: string, scanner: boolean] {
  switch (code) {
    case "TAB_AS_INDENT":
      return ["found character that cannot start any token", true];
    case "BAD_SCALAR_START":
      if (character === ",") return ["did not find expected node content", false];
      return ["found character that cannot start any token", true];
    case "BAD_DQ_ESCAPE":
      return ["found unknown escape character", true];
    case "BLOCK_AS_IMPLICIT_KEY":
    case "MULTILINE_IMPLICIT_KEY":
    case "KEY_OVER_1024_CHARS":
      return ["mapping values are not allowed in this context", true];
    case "MISSING_CHAR":
      if (message.endsWith("]")) return ["did not find expected ',' or ']'", false];
      if (message.endsWith("}")) return ["did not find expected ',' or '}'", false];
      return [message.includes("quote") ? "found unexpected end of stream" : "could not find expected ':'", true];
    case "BAD_INDENT":
    case "UNEXPECTED_TOKEN":
    case "BAD_COLLECTION_TYPE":
      if (message.includes("end with a ]")) return ["did not find expected ',' or ']'", false];
      if (message.includes("end with a }")) return ["did not find expected ',' or '}'", false];
      if (message.includes("sequence items")) return ["did not find expected '-' indicator", false];
      if (/flow-(map|seq)-end/.test(message)) return ["did not find expected node content", false];
      return ["did not find expected key", false];
    default:
      return [message, false];
  }
}

type Json = Record<string, unknown>;

class Reader {
  readonly duplicates: string[] = [];
  readonly #document: Document;
  readonly #lines: LineCounter;
  #nodes = 0;
  #levels = 0;
  /** Anchors whose nodes are being read. */
  readonly #open = new Set<Node>();

  constructor(document: Document, lines: LineCounter) {
    this.#document = document;
    this.#lines = lines;
  }

  read(node: unknown): unknown {
    if (++this.#nodes > nodesMax) throw new YamlError("yaml: document contains excessive aliasing");
    if (node === null || node === undefined) return null;
    if (isAlias(node)) return this.#alias(node);
    if (isScalar(node)) return readScalar(node);
    if (!isMap(node) && !isSeq(node)) throw new YamlError("yaml: did not find expected node content");
    if (++this.#levels > levelsMax) throw tooDeep();
    const value = isMap(node) ? this.#map(node) : node.items.map((item) => this.read(item));
    this.#levels--;
    return value;
  }

  #alias(alias: Alias): unknown {
    const node = this.#follow(alias);
    if (this.#open.has(node)) throw new YamlError(`yaml: anchor '${alias.source}' value contains itself`);
    this.#open.add(node);
    const value = this.read(node);
    this.#open.delete(node);
    return value;
  }

  #follow(alias: Alias): Node {
    const node = alias.resolve(this.#document);
    if (!node) throw new YamlError(`yaml: unknown anchor '${alias.source}' referenced`);
    return node;
  }

  #map(map: YAMLMap): Json {
    const entries = new Map<string, unknown>();
    const merged: unknown[] = [];
    for (const { key, value } of map.items) {
      if (isScalar(key) && key.type === Scalar.PLAIN && key.value === "<<") {
        merged.push(this.read(value));
        continue;
      }
      const name = this.#name(this.read(key), value);
      if (entries.has(name)) {
        const at = isScalar(key) ? (key.range?.[0] ?? 0) : 0;
        this.duplicates.push(`line ${this.#lines.linePos(at).line}: key ${JSON.stringify(name)} already set in map`);
      }
      entries.set(name, this.read(value));
    }
    for (const source of merged.flat()) {
      if (typeof source !== "object" || source === null) {
        throw new YamlError("yaml: map merge requires map or sequence of maps as the value");
      }
      for (const [name, value] of Object.entries(source)) if (!entries.has(name)) entries.set(name, value);
    }
    // As JSON, which it becomes upstream, has them: complaints come in this order.
    return Object.fromEntries([...entries].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #name(key: unknown, value: unknown): string {
    if (typeof key === "string" || typeof key === "number" || typeof key === "boolean") return String(key);
    if (key instanceof Decimal) return key.text;
    if (key !== null) throw new YamlError(`yaml: invalid map key: ${goSyntax(key)}`);
    throw new YamlError(`unsupported map key of type: %!s(<nil>), key: <nil>, value: ${goSyntax(this.read(value))}`);
  }
}

/** As Go's %#v prints what yaml.v2 makes of it. */
function goSyntax(value: unknown): string {
  if (value === null) return "interface {}(nil)";
  if (Array.isArray(value)) return `[]interface {}{${value.map(goSyntax).join(", ")}}`;
  if (typeof value !== "object") return JSON.stringify(value);
  const members = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${goSyntax(item)}`);
  return `map[interface {}]interface {}{${members.join(", ")}}`;
}

const words = new Map<string, boolean | null>([
  ...["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"].map((word) => [word, true] as const),
  ...["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"].map((word) => [word, false] as const),
  ...["", "~", "null", "Null", "NULL"].map((word) => [word, null] as const),
]);

const integers = /^[+-]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)$/;
const floats = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;
const notNumbers = /^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/;

function readScalar(node: Scalar): unknown {
  const text = String(node.value ?? "");
  const tag = node.tag?.replace("tag:yaml.org,2002:", "!!");
  if (tag === "!!binary") return binary(text);
  if (tag === "!!str" || (node.type !== Scalar.PLAIN && tag === undefined)) return text;
  const value = resolve(text);
  if (typeof value === "string" && (tag === "!!int" || tag === "!!float" || tag === "!!bool")) {
    throw new YamlError(`yaml: cannot decode !!str \`${text}\` as a ${tag}`);
  }
  return value;
}

function binary(text: string): string {
  const canonical = canonicalBase64(text.replace(/\s/g, ""));
  if (typeof canonical === "string") return Buffer.from(canonical, "base64").toString("utf8");
  throw new YamlError("yaml: !!binary value contains invalid base64 data");
}

function resolve(text: string): unknown {
  const word = words.get(text);
  if (word !== undefined) return word;
  if (notNumbers.test(text)) throw new YamlError(`json: unsupported value: ${notNumber(text)}`);
  if (!/^[-+.0-9]/.test(text)) return text;
  const plain = text.replaceAll("_", "");
  if (integers.test(plain)) return readInteger(plain);
  return floats.test(plain) ? Number(plain) : text;
}

const notNumber = (text: string): string => (/nan/i.test(text) ? "NaN" : text.startsWith("-") ? "-Inf" : "+Inf");

function readInteger(text: string): unknown {
  const sign = text.startsWith("-") ? -1 : 1;
  const digits = text.replace(/^[+-]/, "");
  // A leading zero means octal, with or without the o.
  const value = Number(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
  // What int64 can't hold, but a double would take for its end.
  if (value >= 2 ** 63 && /^[0-9]+$/.test(digits) && !(sign < 0 && digits === "9223372036854775808")) {
    return new Decimal(`${sign < 0 ? "-" : ""}${digits}`, sign * value);
  }
  return value === 0 ? 0 : sign * value;
}
