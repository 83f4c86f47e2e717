/** The parts of an OpenAPI schema (structural, references resolved) that decide the types of values. */
export interface JsonSchema {
  readonly type?: string | readonly string[] | undefined;
  readonly format?: string | undefined;
  readonly nullable?: boolean | undefined;
  readonly items?: JsonSchema | readonly JsonSchema[] | undefined;
  readonly properties?: Readonly<Record<string, JsonSchema>> | undefined;
  readonly additionalProperties?: JsonSchema | boolean | undefined;
  readonly required?: readonly string[] | undefined;
  readonly enum?: readonly unknown[] | undefined;
  readonly default?: unknown;
  readonly maxLength?: number | undefined;
  readonly maxItems?: number | undefined;
  readonly maxProperties?: number | undefined;
  readonly "x-kubernetes-int-or-string"?: boolean | undefined;
  readonly "x-kubernetes-embedded-resource"?: boolean | undefined;
  readonly "x-kubernetes-preserve-unknown-fields"?: boolean | undefined;
  readonly "x-kubernetes-list-type"?: string | undefined;
  readonly "x-kubernetes-list-map-keys"?: readonly string[] | undefined;
}

/** In OpenAPI 3.1 the type may be a list: the first counts. */
export const typeName = ({ type }: JsonSchema): string => (typeof type === "string" ? type : (type?.[0] ?? ""));

export function itemsOf({ items }: JsonSchema): JsonSchema | undefined {
  return items !== undefined && !Array.isArray(items) ? (items as JsonSchema) : undefined; // not a list: a schema
}

export const additionalOf = ({ additionalProperties: additional }: JsonSchema): JsonSchema | undefined =>
  typeof additional === "object" ? additional : undefined;

export const isIntOrString = (schema: JsonSchema): boolean =>
  schema["x-kubernetes-int-or-string"] === true || schema.format === "int-or-string";

export const isEmbedded = (schema: JsonSchema): boolean => schema["x-kubernetes-embedded-resource"] === true;

const string: JsonSchema = { type: "string" };

/** Every resource has a kind, an apiVersion, a name and a generateName, whether its schema says so or not. */
export function withTypeAndObjectMeta(schema: JsonSchema): JsonSchema {
  const { properties = {} } = schema;
  const typeAt = (at: Readonly<Record<string, JsonSchema>> | undefined, name: string): string =>
    at && Object.hasOwn(at, name) ? typeName(at[name] ?? {}) : "";
  const meta = typeAt(properties, "metadata") === "object" ? properties.metadata?.properties : undefined;
  const isWhole =
    ["kind", "apiVersion"].every((name) => typeAt(properties, name) === "string") &&
    ["name", "generateName"].every((name) => typeAt(meta, name) === "string");
  if (isWhole) return schema;
  const metadata: JsonSchema = { type: "object", properties: { name: string, generateName: string } };
  return { ...schema, properties: { ...properties, kind: string, apiVersion: string, metadata } };
}
