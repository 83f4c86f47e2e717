/**
 * JSON as values, adapted where it is looked at, never as a whole. With a schema the values have its types, and names of
 * fields are escaped; lists of type set and map compare and add as such (apiserver/pkg/cel/common/valuesunstructured.go).
 */

import { semanticEqual } from "#machinery";
import { escapeName, unescapeName } from "./escape.ts";
import {
  additionalOf,
  isEmbedded,
  isIntOrString,
  itemsOf,
  type JsonSchema,
  typeName,
  withTypeAndObjectMeta,
} from "./json-schema.ts";
import { equalResults } from "./operations.ts";
import { parseDate, parseDuration, parseTime, printDuration, printTime } from "./time.ts";
import { opaqueType } from "./types.ts";
import {
  CelError,
  CelList,
  CelMap,
  CelObject,
  type CelValue,
  Duration,
  noSuchOverload,
  Optional,
  type Result,
  Timestamp,
  Uint,
} from "./values.ts";

type JsonObject = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A JSON value; of the types that its schema says, else of those that JSON has (whole numbers are ints). */
export function fromJson(value: unknown, schema?: JsonSchema): Result {
  return schema ? adapt(value, schema) : adaptDynamic(value);
}

function adaptDynamic(value: unknown): Result {
  switch (typeof value) {
    case "number":
      return Number.isInteger(value) ? BigInt(value) : value;
    case "boolean":
    case "string":
    case "bigint":
      return value;
  }
  if (value === null || value === undefined) return null;
  return Array.isArray(value) ? new JsonList(value) : new JsonMap(value as JsonObject); // JSON has nothing else
}

class JsonList extends CelList {
  readonly json: readonly unknown[];
  constructor(json: readonly unknown[]) {
    super();
    this.json = json;
  }
  get size(): number {
    return this.json.length;
  }
  at(index: number): Result {
    return adaptDynamic(this.json[index]);
  }
}

class JsonMap extends CelMap {
  readonly json: JsonObject;
  #size: number | undefined;
  constructor(json: JsonObject) {
    super();
    this.json = json;
  }
  get size(): number {
    this.#size ??= Object.keys(this.json).length;
    return this.#size;
  }
  find(key: CelValue): Result | undefined {
    return typeof key === "string" && Object.hasOwn(this.json, key) ? adaptDynamic(this.json[key]) : undefined;
  }
  keys(): Iterable<CelValue> {
    return Object.keys(this.json);
  }
}

function jsonTypeName(value: unknown): string {
  if (Array.isArray(value)) return "[]interface {}";
  if (isObject(value)) return "map[string]interface {}";
  if (typeof value === "number") return Number.isInteger(value) ? "int64" : "float64";
  return { string: "string", boolean: "bool", bigint: "int64" }[typeof value as string] ?? "<nil>";
}

const invalid = (expected: string, value: unknown): CelError =>
  new CelError(`invalid data, expected ${expected}, got ${jsonTypeName(value)}`);

function integer(value: unknown): bigint | undefined {
  if (typeof value === "bigint") return value;
  return typeof value === "number" && Number.isInteger(value) ? BigInt(value) : undefined;
}

function adapt(value: unknown, schema: JsonSchema): Result {
  if (value === null || value === undefined)
    return schema.nullable ? null : new CelError("invalid data, got null for schema with nullable=false");
  if (isIntOrString(schema)) {
    const whole = typeof value === "string" ? value : integer(value);
    return whole ?? new CelError("invalid data, expected XIntOrString value to be either a string or integer");
  }
  switch (typeName(schema)) {
    case "object":
      if (!isObject(value))
        return new CelError("invalid data, expected a map for the provided schema with type=object");
      return new SchemaMap(value, isEmbedded(schema) ? withTypeAndObjectMeta(schema) : schema);
    case "array":
      return adaptList(value, schema);
    case "string":
      return typeof value === "string" ? adaptString(value, schema.format) : invalid("string", value);
    case "number":
      return typeof value === "number" || typeof value === "bigint" ? Number(value) : invalid("float", value);
    case "integer":
      return integer(value) ?? invalid("int", value);
    case "boolean":
      return typeof value === "boolean" ? value : invalid("bool", value);
  }
  if (schema["x-kubernetes-preserve-unknown-fields"]) return new Preserved(value);
  return new CelError(
    "invalid type, expected object, array, number, integer, boolean or string, or no type with " +
      `x-kubernetes-int-or-string or x-kubernetes-preserve-unknown-fields is true, got ${typeName(schema)}`,
  );
}

function adaptList(value: unknown, schema: JsonSchema): Result {
  if (!Array.isArray(value))
    return new CelError("invalid data, expected an array for the provided schema with type=array");
  const items = itemsOf(schema);
  if (!items) return new CelError("invalid array type, expected Items with a non-empty Schema");
  const kind = schema["x-kubernetes-list-type"] ?? "";
  if (kind === "set") return new SetList(value, items);
  if (kind === "map") return new MapList(value, items, schema["x-kubernetes-list-map-keys"] ?? []);
  if (kind === "" || kind === "atomic") return new SchemaList(value, items);
  return new CelError(`invalid x-kubernetes-list-type, expected 'map', 'set' or 'atomic' but got ${kind}`);
}

const wordUnits: readonly (readonly [pattern: RegExp, nanoseconds: bigint])[] = [
  [/^(?:ns|nano.*)$/i, 1n],
  [/^(?:us|µs|micro.*)$/i, 1000n],
  [/^(?:ms|milli.*)$/i, 1_000_000n],
  [/^(?:s|sec.*)$/i, 1_000_000_000n],
  [/^(?:m|min.*)$/i, 60_000_000_000n],
  [/^(?:h|hr|hour.*)$/i, 3_600_000_000_000n],
  [/^(?:d|day.*)$/i, 86_400_000_000_000n],
  [/^(?:w|wk|week.*)$/i, 604_800_000_000_000n],
];

/** Go's durations, and the loose ones of strfmt: `1 day 2 hours`. */
function parseLooseDuration(text: string): Duration | undefined {
  const exact = parseDuration(text);
  if (exact) return exact;
  let total: bigint | undefined;
  for (const [, count = "", word = ""] of text.matchAll(/(\d+)\s*([A-Za-zµ]+)/g)) {
    const unit = wordUnits.find(([pattern]) => pattern.test(word));
    if (unit) total = (total ?? 0n) + BigInt(count) * unit[1];
  }
  return total === undefined ? undefined : new Duration(total);
}

/** RFC 3339; strfmt also takes times without a zone. */
function parseLooseTime(text: string): Result | undefined {
  if (text === "") return new Timestamp(0);
  return parseTime(text) ?? parseTime(`${text}Z`);
}

/** Base64 with the alphabet for URLs, as strfmt reads it. */
function parseBase64(text: string): Uint8Array | CelError {
  if (/^(?:[\w-]{4})*(?:[\w-]{2}==|[\w-]{3}=)?$/.test(text)) return new Uint8Array(Buffer.from(text, "base64url"));
  const wrong = text.search(/[^\w=-]/);
  const at = wrong < 0 ? text.length - (text.length % 4) : wrong;
  return new CelError(`Invalid byte formatted string ${text}: illegal base64 data at input byte ${at}`);
}

function adaptString(text: string, format: string | undefined): Result {
  switch (format) {
    case "duration":
      return parseLooseDuration(text) ?? new CelError(`Invalid duration ${text}: unable to parse ${text} as duration`);
    case "date":
      return parseDate(text) ?? new CelError(`Invalid date formatted string ${text}: cannot parse`);
    case "date-time":
      return parseLooseTime(text) ?? new CelError(`Invalid date-time formatted string ${text}: cannot parse`);
    case "byte":
      return parseBase64(text);
  }
  return text;
}

const preservedType = opaqueType("unknown");

/** Data without a type; it can only be compared. */
class Preserved extends CelObject {
  readonly type = preservedType;
  readonly #json: unknown;
  constructor(json: unknown) {
    super();
    this.#json = json;
  }
  equals(other: CelValue): boolean {
    return semanticEqual(this.#json, toJson(other));
  }
  override toJson(): unknown {
    return this.#json;
  }
}

class SchemaMap extends CelMap {
  readonly json: JsonObject;
  readonly #schema: JsonSchema;
  #size: number | undefined;

  constructor(json: JsonObject, schema: JsonSchema) {
    super();
    this.json = json;
    this.#schema = schema;
  }

  get size(): number {
    this.#size ??= Object.keys(this.json).length;
    return this.#size;
  }

  /** Objects have fields, maps have keys. */
  get #isObject(): boolean {
    return this.#schema.properties !== undefined;
  }

  #schemaOf(name: string): JsonSchema | undefined {
    const { properties } = this.#schema;
    if (properties) return Object.hasOwn(properties, name) ? properties[name] : undefined;
    return additionalOf(this.#schema);
  }

  find(key: CelValue): Result | undefined {
    if (typeof key !== "string") return noSuchOverload;
    const name = this.#isObject ? unescapeName(key) : key;
    return name === undefined ? undefined : this.#get(name);
  }

  #get(name: string): Result | undefined {
    if (!Object.hasOwn(this.json, name)) return undefined;
    const value = this.json[name];
    const schema = this.#schemaOf(name);
    return schema && !(this.#isObject && value === null) ? adapt(value, schema) : undefined;
  }

  *keys(): Iterable<CelValue> {
    for (const name of Object.keys(this.json)) {
      if (this.#schemaOf(name)) yield this.#isObject ? (escapeName(name) ?? name) : name;
    }
  }

  override equals(other: CelValue): boolean | CelError {
    if (!(other instanceof CelMap)) return noSuchOverload;
    if (this.size !== other.size) return false;
    for (const [name, value] of Object.entries(this.json)) {
      const raw = other instanceof SchemaMap || other instanceof JsonMap ? other.json : undefined;
      if (this.#schemaOf(name)) {
        const mine = this.#get(name);
        const theirs = other instanceof SchemaMap ? other.#get(name) : other.find(name);
        if ((mine === undefined) !== (theirs === undefined)) return false;
        const same = mine === undefined || theirs === undefined || equalResults(mine, theirs);
        if (same !== true) return same;
      } else if (!raw) return noSuchOverload;
      else if (Object.hasOwn(raw, name) && !semanticEqual(value, raw[name])) return false;
    }
    return true;
  }
}

class SchemaList extends CelList {
  readonly json: readonly unknown[];
  protected readonly items: JsonSchema;
  constructor(json: readonly unknown[], items: JsonSchema) {
    super();
    this.json = json;
    this.items = items;
  }
  get size(): number {
    return this.json.length;
  }
  at(index: number): Result {
    return adapt(this.json[index], this.items);
  }
  override equals(other: CelValue): boolean | CelError {
    if (!(other instanceof CelList)) return noSuchOverload;
    if (this.size !== other.size) return false;
    for (let i = 0; i < this.size; i++) {
      const same = equalResults(this.at(i), other.at(i));
      if (same !== true) return same;
    }
    return true;
  }
  override contains(element: CelValue): boolean | CelError {
    let error: CelError | undefined;
    for (let i = 0; i < this.size; i++) {
      const same = equalResults(this.at(i), element);
      if (same === true) return true;
      if (same !== false) error ??= same;
    }
    return error ?? false;
  }
}

/** Elements are found by a key instead of their place. */
abstract class KeyedList extends SchemaList {
  protected abstract keyOf(element: unknown): string;

  #index(): Map<string, unknown> {
    return new Map(this.json.map((element) => [this.keyOf(element), element]));
  }

  override equals(other: CelValue): boolean | CelError {
    if (!(other instanceof CelList)) return noSuchOverload;
    if (this.size !== other.size) return false;
    const index = this.#index();
    for (const theirs of other) {
      if (theirs instanceof CelError) return theirs;
      const key = this.keyOf(toJson(theirs));
      if (!index.has(key)) return false;
      const mine = adapt(index.get(key), this.items);
      const same = equalResults(mine, theirs);
      if (same !== true) return same;
    }
    return true;
  }

  /** Elements of `other` take the places of those with the same key. */
  override plus(other: CelList): CelList {
    const index = this.#index();
    for (const element of other) {
      const json = element instanceof CelError ? null : toJson(element);
      index.set(this.keyOf(json), json);
    }
    return this.with([...index.values()]);
  }

  protected abstract with(json: readonly unknown[]): CelList;
}

class SetList extends KeyedList {
  protected override keyOf(element: unknown): string {
    return JSON.stringify(element) ?? "";
  }
  protected override with(json: readonly unknown[]): CelList {
    return new SetList(json, this.items);
  }
}

class MapList extends KeyedList {
  readonly #keys: readonly string[];
  constructor(json: readonly unknown[], items: JsonSchema, keys: readonly string[]) {
    super(json, items);
    this.#keys = keys;
  }
  protected override keyOf(element: unknown): string {
    return isObject(element) ? JSON.stringify(this.#keys.map((key) => element[key] ?? null)) : "";
  }
  protected override with(json: readonly unknown[]): CelList {
    return new MapList(json, this.items, this.#keys);
  }
}

/** Plain JSON; bytes in base64, times and durations as text, an optional without value as undefined. */
export function toJson(value: CelValue): unknown {
  if (
    value instanceof SchemaList ||
    value instanceof SchemaMap ||
    value instanceof JsonList ||
    value instanceof JsonMap
  )
    return value.json;
  if (value === null || typeof value !== "object") return typeof value === "bigint" ? Number(value) : value;
  if (value instanceof Uint) return Number(value.value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Duration) return printDuration(value);
  if (value instanceof Timestamp) return printTime(value);
  if (value instanceof Optional) return value.value === undefined ? undefined : toJson(value.value);
  if (value instanceof CelList)
    return [...value].map((element) => (element instanceof CelError ? null : toJson(element)));
  if (value instanceof CelMap) {
    const entries = [...value.keys()].map((key) => {
      const found = value.find(key) ?? null;
      return [String(toJson(key)), found instanceof CelError ? null : toJson(found)] as const;
    });
    return Object.fromEntries(entries);
  }
  return value instanceof CelObject ? (value.toJson?.() ?? value.text?.()) : value.name;
}
