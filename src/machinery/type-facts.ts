/**
 * Reads the compact form of types in a facts file (see `tools/facts/compact.ts`). There are 1,500 types and a process
 * touches few of them, so a type is parsed when its fields are first asked for; types refer to each other freely.
 */
import { assert } from "#base";
import type { AnySchema, FieldSchema, TypeSchema, ValueSchema } from "./schema.ts";

/** Package, type, then one string for each field. */
export type CompactTypes = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
/** Enums by full name: their values' numbers. */
export type CompactEnums = Readonly<Record<string, Readonly<Record<string, number>>>>;

export interface TypeFacts {
  /** By the name in the facts: `api.core.v1.Pod`. The same object each time. */
  type(name: string): TypeSchema | undefined;
}

export interface TypeFactsOptions {
  readonly enums?: CompactEnums;
  readonly prefix?: string;
}

const scalars: ReadonlyMap<string, ValueSchema> = new Map<string, ValueSchema>([
  ["string", { kind: "string" }],
  ["bytes", { kind: "bytes" }],
  ["bool", { kind: "boolean" }],
  ["int32", { kind: "integer", bits: 32 }],
  ["int64", { kind: "integer", bits: 64 }],
  ["uint32", { kind: "integer", bits: 32, unsigned: true }],
  ["uint64", { kind: "integer", bits: 64, unsigned: true }],
  ["number", { kind: "number" }],
  ["time", { kind: "time", micro: false }],
  ["microtime", { kind: "time", micro: true }],
  ["quantity", { kind: "quantity" }],
  ["intstr", { kind: "int-or-string" }],
  ["raw", { kind: "any", form: "raw" }],
]);

/** `prefix` goes before the names of the types that are given out. */
export function typeFacts(types: CompactTypes, { enums = {}, prefix = "" }: TypeFactsOptions = {}): TypeFacts {
  const known = new Map<string, LazyType>();
  const enumSchemas = new Map<string, ValueSchema>();

  const find = (name: string): LazyType | undefined => {
    const found = known.get(name);
    if (found) return found;
    const cut = name.lastIndexOf(".");
    const lines = types[name.slice(0, cut)]?.[name.slice(cut + 1)];
    if (!lines) return undefined;
    const type = new LazyType(prefix + name, lines, (text) => value(name.slice(0, cut), text));
    known.set(name, type);
    return type;
  };

  const value = (home: string, text: string): ValueSchema => {
    const scalar = scalars.get(text);
    if (scalar) return scalar;
    if (text.startsWith("{}")) return { kind: "map", values: value(home, text.slice(2)) };
    if (text.startsWith("[]")) return list(value(home, text.slice(2)), false);
    if (text.startsWith("[=]")) return list(value(home, text.slice(3)), true);
    if (text.startsWith("schema-or-")) {
      const type = find(`${home}.JSONSchemaProps`);
      assert(type !== undefined, `${home} has no JSONSchemaProps`);
      return { kind: "any", form: text as Exclude<AnySchema["form"], "raw" | undefined>, type }; // cast: the prefix says so
    }
    const name = text.includes(".") ? text : `${home}.${text}`;
    const enumeration = enums[name];
    if (enumeration) {
      const schema = enumSchemas.get(name) ?? { kind: "enum", numbers: new Map(Object.entries(enumeration)) };
      enumSchemas.set(name, schema);
      return schema;
    }
    const type = find(name);
    assert(type !== undefined, `the facts have no type ${name}`);
    return { kind: "object", type };
  };
  return { type: find };
}

const list = (items: ValueSchema, wrapped: boolean): ValueSchema => ({
  kind: "list",
  items,
  listType: "atomic",
  mapKeys: [],
  ...(wrapped ? { wrapped } : {}),
});

class LazyType implements TypeSchema {
  readonly name: string;
  readonly preserveUnknown = false;
  readonly #lines: readonly string[];
  readonly #value: (text: string) => ValueSchema;
  #fields: ReadonlyMap<string, FieldSchema> | undefined;
  #embedded: { number: number; type: TypeSchema }[] = [];

  constructor(name: string, lines: readonly string[], value: (text: string) => ValueSchema) {
    this.name = name;
    this.#lines = lines;
    this.#value = value;
  }

  get atomic(): boolean {
    return this.#lines[0] === "atomic";
  }

  get fields(): ReadonlyMap<string, FieldSchema> {
    this.#fields ??= this.#parse();
    return this.#fields;
  }

  get embedded(): readonly { number: number; type: TypeSchema }[] {
    this.#fields ??= this.#parse();
    return this.#embedded;
  }

  #parse(): ReadonlyMap<string, FieldSchema> {
    const fields = new Map<string, FieldSchema>();
    for (const line of this.#lines) {
      if (line === "atomic") continue;
      const [first = "", second = "", third = "", ...options] = line.split(" ");
      if (first.startsWith("...")) {
        const number = Number(first.slice(3));
        const value = this.#value(second);
        assert(value.kind === "object", `${this.name} embeds ${second}, which is no type`);
        this.#embedded.push({ number, type: value.type });
        for (const [name, field] of value.type.fields) fields.set(name, { ...field, embedded: number });
      } else {
        const field = parseField(first, second, this.#value(third), options);
        fields.set(field.name, field);
      }
    }
    return fields;
  }
}

/** Of the letter behind the number; see `tools/facts/compact.ts`. */
const zeroByMode: Readonly<Record<string, FieldSchema["zero"]>> = { "*": "unset", "~": "null", "=": "printed" };

function parseField(first: string, second: string, plain: ValueSchema, options: readonly string[]): FieldSchema {
  const required = first.endsWith("!");
  let value = plain;
  let atomic = false;
  let granular = false;
  let patchMergeKey: string | undefined;
  let defaultValue: { default?: unknown } = {};
  const patchStrategy: ("merge" | "replace" | "retainKeys")[] = [];
  for (const option of options) {
    const colon = option.indexOf(":");
    const [word, rest] = colon < 0 ? [option, ""] : [option.slice(0, colon), option.slice(colon + 1)];
    if (word === "set" && value.kind === "list") value = { ...value, listType: "set" };
    else if (word === "map" && value.kind === "list") value = { ...value, listType: "map", mapKeys: rest.split(",") };
    else if (word === "atomic") atomic = true;
    else if (word === "granular") granular = true;
    else if (word === "merge" || word === "replace" || word === "retainKeys") {
      patchStrategy.push(word);
      if (rest !== "") patchMergeKey = rest;
    } else if (word === "default") defaultValue = { default: JSON.parse(rest) };
    else throw new Error(`unknown option ${option} of field ${first}`);
  }
  const mode = second.at(-1);
  return {
    name: required ? first.slice(0, -1) : first,
    value,
    required,
    number: Number.parseInt(second, 10),
    patchStrategy,
    ...(patchMergeKey === undefined ? {} : { patchMergeKey }),
    atomic,
    ...(granular ? { granular } : {}),
    ...defaultValue,
    zero: zeroByMode[mode ?? ""] ?? "omitted",
  };
}
