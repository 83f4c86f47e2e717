/**
 * A structural schema as machinery's types, for server-side apply and the owners of fields. Made part by part when something looks at
 * it: definitions are many and few of them are used.
 */
import {
  additionalOf,
  defaultOf,
  facts,
  isEmbedded,
  isIntOrString,
  itemsOf,
  type JsonSchema,
  preservesUnknown,
} from "#api";
import type { FieldSchema, TypeSchema, ValueSchema } from "#machinery";

/** Of a whole object: `kind`, `apiVersion` and `metadata` are there, described or not. */
export function objectType(schema: JsonSchema, name: string): TypeSchema {
  return new CustomType({ ...schema, "x-kubernetes-embedded-resource": true }, name);
}

class CustomType implements TypeSchema {
  readonly name: string;
  readonly #schema: JsonSchema;
  #fields: ReadonlyMap<string, FieldSchema> | undefined;

  constructor(schema: JsonSchema, name: string) {
    this.name = name;
    this.#schema = schema;
  }

  get atomic(): boolean {
    return isAtomic(this.#schema);
  }

  get preserveUnknown(): boolean {
    return preservesUnknown(this.#schema);
  }

  get fields(): ReadonlyMap<string, FieldSchema> {
    this.#fields ??= this.#read();
    return this.#fields;
  }

  #read(): ReadonlyMap<string, FieldSchema> {
    const { properties = {}, required = [] } = this.#schema;
    const fields = new Map<string, FieldSchema>();
    const add = (name: string, value: ValueSchema, more: Partial<FieldSchema> = {}) => {
      const plain = { name, value, required: required.includes(name), number: 0, patchStrategy: [], atomic: false };
      fields.set(name, { ...plain, zero: "unset", ...more });
    };
    for (const [name, property] of Object.entries(properties)) {
      const fallback = defaultOf(property);
      const more = { atomic: isAtomic(property), ...(fallback !== undefined && { default: fallback }) };
      add(name, valueSchema(property, `${this.name}.${name}`), more);
    }
    if (isEmbedded(this.#schema)) {
      add("kind", { kind: "string" });
      add("apiVersion", { kind: "string" });
      const metadata = facts.type("apimachinery.pkg.apis.meta.v1.ObjectMeta");
      if (metadata) add("metadata", { kind: "object", type: metadata });
    }
    return fields;
  }
}

const isAtomic = (schema: JsonSchema): boolean => schema["x-kubernetes-map-type"] === "atomic";

function valueSchema(schema: JsonSchema, name: string): ValueSchema {
  if (isIntOrString(schema)) return { kind: "int-or-string" };
  switch (schema.type) {
    case "string":
      return { kind: "string" };
    case "integer":
      return { kind: "integer", bits: 64 };
    case "number":
      return { kind: "number" };
    case "boolean":
      return { kind: "boolean" };
    case "array":
      return listOf(schema, name);
    case "object":
      return objectOf(schema, name);
    default:
      return { kind: "any" };
  }
}

function listOf(schema: JsonSchema, name: string): ValueSchema {
  const items = itemsOf(schema);
  const type = schema["x-kubernetes-list-type"];
  return {
    kind: "list",
    items: items ? valueSchema(items, `${name}[]`) : { kind: "any" },
    listType: type === "set" || type === "map" ? type : "atomic",
    mapKeys: schema["x-kubernetes-list-map-keys"] ?? [],
  };
}

function objectOf(schema: JsonSchema, name: string): ValueSchema {
  const described = schema.properties !== undefined || isEmbedded(schema);
  const additional = additionalOf(schema);
  if (!described && additional) return { kind: "map", values: valueSchema(additional, `${name}{}`) };
  if (!described && schema.additionalProperties === true) return { kind: "map", values: { kind: "any" } };
  return { kind: "object", type: new CustomType(schema, name) };
}
