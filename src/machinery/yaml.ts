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

/** Nodes after aliases are followed. Protects against a few bytes of aliases that stand for gigabytes. */
const nodesMax = 1_000_000;

/** Throws YamlError. */
export function parseYaml(text: string): Yaml {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, {
    schema: "failsafe",
    version: "1.1",
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: "error",
    lineCounter: lines,
  });
  const [document] = documents;
  if (!document || !("contents" in document)) return { value: undefined, duplicates: [] };
  const error = document.errors.find(({ code }) => code !== "MULTIPLE_DOCS");
  if (error) throw new YamlError(`yaml: line ${lines.linePos(error.pos[0]).line}: ${complaint(error)}`);
  const reader = new Reader(document, lines);
  return { value: reader.read(document.contents), duplicates: reader.duplicates };
}

/** All complaints about repeated keys in one, as the strict parser gives it. */
export const duplicatesError = (duplicates: readonly string[]): string =>
  `yaml: unmarshal errors:${duplicates.map((each) => `\n  ${each}`).join("")}`;

/** The library's error in libyaml's words, as far as they have the same idea of it. */
function complaint({ code, message }: LibraryError): string {
  switch (code) {
    case "TAB_AS_INDENT":
    case "BAD_SCALAR_START":
      return "found character that cannot start any token";
    case "BLOCK_AS_IMPLICIT_KEY":
      return "mapping values are not allowed in this context";
    case "MULTILINE_IMPLICIT_KEY":
    case "MISSING_CHAR":
      if (message.includes("quote")) return "found unexpected end of stream";
      return "could not find expected ':'";
    case "BAD_INDENT":
    case "UNEXPECTED_TOKEN":
    case "BAD_COLLECTION_TYPE":
      if (message.includes("end with a ]")) return "did not find expected ',' or ']'";
      if (message.includes("end with a }")) return "did not find expected ',' or '}'";
      return message.includes("Flow") ? "did not find expected node content" : "did not find expected key";
    default:
      return message;
  }
}

type Json = Record<string, unknown>;

class Reader {
  readonly duplicates: string[] = [];
  readonly #document: Document;
  readonly #lines: LineCounter;
  #nodes = 0;

  constructor(document: Document, lines: LineCounter) {
    this.#document = document;
    this.#lines = lines;
  }

  read(node: unknown): unknown {
    if (++this.#nodes > nodesMax) throw new YamlError("yaml: document contains excessive aliasing");
    if (node === null || node === undefined) return null;
    if (isAlias(node)) return this.read(this.#follow(node));
    if (isMap(node)) return this.#map(node);
    if (isSeq(node)) return node.items.map((item) => this.read(item));
    if (isScalar(node)) return readScalar(node);
    throw new YamlError("yaml: did not find expected node content");
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
      const name = keyText(this.read(key));
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
    return Object.fromEntries(entries);
  }
}

function keyText(key: unknown): string {
  if (typeof key === "string" || typeof key === "number" || typeof key === "boolean") return String(key);
  throw new YamlError(`unsupported map key of type: ${key === null ? "<nil>" : typeof key}`);
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
  if (tag === "!!str" || tag === "!!binary" || (node.type !== Scalar.PLAIN && tag === undefined)) return text;
  const word = words.get(text);
  if (word !== undefined) return word;
  if (notNumbers.test(text)) throw new YamlError(`json: unsupported value: ${text.replace(/^\+/, "")}`);
  if (!/^[-+.0-9]/.test(text)) return text;
  const plain = text.replaceAll("_", "");
  if (integers.test(plain)) return readInteger(plain);
  return floats.test(plain) ? Number(plain) : text;
}

function readInteger(text: string): number {
  const sign = text.startsWith("-") ? -1 : 1;
  const digits = text.replace(/^[+-]/, "");
  // A leading zero means octal, with or without the o.
  const value = Number(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
  return value === 0 ? 0 : sign * value;
}
