/** The schema of a custom resource as its definition gives it, and the parts of it that come in several forms. */
import type { DeepReadonly } from "#machinery";
import type { JSONSchemaProps } from "../../types.d.ts";

export type JsonSchema = DeepReadonly<JSONSchemaProps>;

export type Json = Record<string, unknown>;

export const isJsonObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Of all items of a list; undefined where there is none, or one for each position (which no structural schema has). */
export function itemsOf({ items }: JsonSchema): JsonSchema | undefined {
  return items !== undefined && !Array.isArray(items) ? (items as JsonSchema) : undefined; // not a list: a schema
}

/** Of the values of a map. */
export function additionalOf({ additionalProperties: additional }: JsonSchema): JsonSchema | undefined {
  return typeof additional === "object" ? additional : undefined;
}

/** Upstream takes an explicit null as no default. */
export const defaultOf = (schema: JsonSchema | undefined): unknown => schema?.default ?? undefined;

export const preservesUnknown = (schema: JsonSchema): boolean =>
  schema["x-kubernetes-preserve-unknown-fields"] === true;
export const isEmbedded = (schema: JsonSchema): boolean => schema["x-kubernetes-embedded-resource"] === true;
export const isIntOrString = (schema: JsonSchema): boolean => schema["x-kubernetes-int-or-string"] === true;

/** Own properties only: a field may be called `constructor`. */
export function propertyOf({ properties }: JsonSchema, name: string): JsonSchema | undefined {
  return properties && Object.hasOwn(properties, name) ? properties[name] : undefined;
}

/** Which schema says what a member of an object is. */
export const memberSchema = (schema: JsonSchema, name: string): JsonSchema | undefined =>
  propertyOf(schema, name) ?? additionalOf(schema);

/** Whether anything in the schema answers the question. */
export function schemaHas(schema: JsonSchema | undefined, ask: (schema: JsonSchema) => boolean): boolean {
  if (!schema) return false;
  if (ask(schema)) return true;
  for (const child of childrenOf(schema)) if (schemaHas(child, ask)) return true;
  return false;
}

function* childrenOf(schema: JsonSchema): Iterable<JsonSchema> {
  const { items, allOf = [], anyOf = [], oneOf = [], not, additionalItems, dependencies = {} } = schema;
  if (Array.isArray(items)) yield* items as readonly JsonSchema[];
  else if (items) yield items as JsonSchema; // not a list: a schema
  yield* [...allOf, ...anyOf, ...oneOf];
  if (not) yield not;
  for (const group of [schema.properties, schema.patternProperties, schema.definitions])
    if (group) yield* Object.values(group);
  const additional = additionalOf(schema);
  if (additional) yield additional;
  if (typeof additionalItems === "object") yield additionalItems;
  for (const each of Object.values(dependencies)) if (!Array.isArray(each)) yield each as JsonSchema; // a schema or names
}

/** The names everything with a type of its own has, described or not. */
export const metaFields: ReadonlySet<string> = new Set(["apiVersion", "kind", "metadata"]);

/** With sorted keys, as Go prints maps. */
export function asGo(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asGo);
  if (!isJsonObject(value)) return value;
  const names = Object.keys(value).sort();
  return Object.fromEntries(names.map((name) => [name, asGo(value[name])]));
}
