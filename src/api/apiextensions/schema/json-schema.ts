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

type Ask = (schema: JsonSchema) => boolean;

/** Whether anything in the schema answers the question. Asked often of what may be large: nothing is made on the way. */
export function schemaHas(schema: JsonSchema | undefined, ask: Ask): boolean {
  if (!schema) return false;
  if (ask(schema) || someNamed(schema.properties, ask)) return true;
  const { items, additionalProperties: additional, additionalItems, not } = schema;
  if (items && (Array.isArray(items) ? some(items, ask) : schemaHas(items as JsonSchema, ask))) return true; // not a list: a schema
  if (typeof additional === "object" && schemaHas(additional, ask)) return true;
  if (some(schema.allOf, ask) || some(schema.anyOf, ask) || some(schema.oneOf, ask)) return true;
  if (not && schemaHas(not, ask)) return true;
  if (someNamed(schema.patternProperties, ask) || someNamed(schema.definitions, ask)) return true;
  if (typeof additionalItems === "object" && schemaHas(additionalItems, ask)) return true;
  return schema.dependencies !== undefined && someDependency(schema.dependencies, ask);
}

function some(schemas: readonly JsonSchema[] | undefined, ask: Ask): boolean {
  if (schemas) for (const each of schemas) if (schemaHas(each, ask)) return true;
  return false;
}

function someNamed(schemas: Readonly<Record<string, JsonSchema>> | undefined, ask: Ask): boolean {
  if (schemas) for (const name in schemas) if (schemaHas(schemas[name], ask)) return true;
  return false;
}

const someDependency = (dependencies: Readonly<Record<string, unknown>>, ask: Ask): boolean =>
  Object.values(dependencies).some((each) => !Array.isArray(each) && schemaHas(each as JsonSchema, ask)); // a schema or names

/** The names everything with a type of its own has, described or not. */
export const metaFields: ReadonlySet<string> = new Set(["apiVersion", "kind", "metadata"]);

/** With sorted keys, as Go prints maps. */
export function asGo(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asGo);
  if (!isJsonObject(value)) return value;
  const names = Object.keys(value).sort();
  return Object.fromEntries(names.map((name) => [name, asGo(value[name])]));
}
