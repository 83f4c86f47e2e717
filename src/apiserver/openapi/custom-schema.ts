/**
 * The schema of a custom resource as it is published: in v3 as its definition has it, in v2 without what kubectl's old validation
 * doesn't understand. Follows apiextensions-apiserver's controller/openapi (builder and v2) and its schema's Unfold and ToKubeOpenAPI.
 */
import { isEmbedded, isIntOrString, type JsonSchema, preservesUnknown, validateStructural } from "#api";
import { FieldPath } from "#machinery";
import type { Resource } from "../resource.ts";
import type { Dialect, Json } from "./schemas.ts";

export interface Published {
  readonly dialect: Dialect;
  /** A reference to the schema of ObjectMeta. */
  readonly metadata: Json;
  /** The definition keeps unknown fields in the old way. */
  readonly preserve: boolean;
  /** Of the two fields every kind has. */
  readonly texts: MetaTexts;
}

export interface MetaTexts {
  readonly apiVersion?: string | undefined;
  readonly kind?: string | undefined;
}

const conventions = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";
const metadataText = `Standard object's metadata. More info: ${conventions}#metadata`;

/** @param schema absent: the definition has none. */
export function publishedSchema(schema: JsonSchema | undefined, published: Published): Json {
  const { dialect, preserve } = published;
  // kubectl takes properties for all there is: an open object says nothing.
  if (!schema || (dialect === "v2" && (preserve || preservesUnknown(schema)))) return { type: "object" };
  // Only definitions of old can be so.
  if (preserve && validateStructural(schema, FieldPath.none).length > 0) return { type: "object" };
  const root = part(schema, published);
  const properties = root.properties as Json | undefined; // made by `part`
  const own = objectProperties(published, published.texts);
  return { ...root, properties: sorted({ ...properties, ...own }) };
}

interface PublishedList {
  /** References to the schemas of the kind and of ListMeta. */
  readonly item: Json;
  readonly metadata: Json;
  readonly texts: MetaTexts;
}

type Named = Pick<Resource, "group" | "version" | "kind" | "listKind" | "resource">;

export function publishedList({ item, metadata, texts }: PublishedList, { kind, listKind, resource }: Named): Json {
  return {
    type: "object",
    description: `${listKind} is a list of ${kind}`,
    required: ["items"],
    properties: {
      apiVersion: described({ type: "string" }, texts.apiVersion),
      items: { type: "array", description: `List of ${resource}. More info: ${conventions}`, items: item },
      kind: described({ type: "string" }, texts.kind),
      metadata: described(metadata, `Standard list metadata. More info: ${conventions}#types-kinds`),
    },
  };
}

/** Named as upstream names types of a group: the group's domain backwards. */
export const customModelName = ({ group, version, kind }: Named): string =>
  [...group.split(".").reverse(), version, kind].join(".");

export function selectableFields({ stored }: Pick<Resource, "stored">): Json {
  const names = stored?.behaviour.selectableFieldNames ?? [];
  return names.length > 0 ? { "x-kubernetes-selectable-fields": names.map((fieldPath) => ({ fieldPath })) } : {};
}

function objectProperties({ dialect, metadata }: Published, { apiVersion, kind }: MetaTexts): Json {
  return {
    apiVersion: described({ type: "string" }, apiVersion),
    kind: described({ type: "string" }, kind),
    // In v3 nothing may stand beside a reference.
    metadata: described(dialect === "v3" ? { allOf: [metadata] } : metadata, metadataText),
  };
}

const described = (schema: Json, description: string | undefined): Json =>
  description === undefined ? schema : { ...schema, description };

const sorted = (members: Json): Json =>
  Object.fromEntries(Object.entries(members).sort(([a], [b]) => (a < b ? -1 : 1)));

/** What only says how to read the schema, or has no place in a published one. */
const dropped = new Set(["$schema", "id", "$ref", "definitions", "dependencies", "patternProperties"]);
const junctors = ["allOf", "anyOf", "oneOf"] as const;

/** What upstream's types leave out where it isn't set. */
function says([key, value]: [string, unknown]): boolean {
  if (value === null || dropped.has(key)) return false;
  return key === "default" || (value !== "" && (value !== false || key === "example"));
}

function part(schema: JsonSchema, published: Published): Json {
  const v2 = published.dialect === "v2";
  const out: Json = Object.fromEntries(Object.entries(schema).filter(says));
  const { items, properties, additionalProperties: additional, not } = schema;
  if (items && !Array.isArray(items)) out.items = part(items as JsonSchema, published); // not a list: a schema
  if (properties) out.properties = each(properties, (property) => part(property, published));
  if (typeof additional === "object") out.additionalProperties = part(additional, published);
  for (const key of junctors) if (schema[key]) out[key] = schema[key].map(alternative);
  if (not) out.not = alternative(not);
  if (isIntOrString(schema)) unfold(out, schema);
  if (v2) simplify(out, schema);
  if (isEmbedded(schema) && !(v2 && preservesUnknown(schema))) embed(out, published);
  return out;
}

const each = (properties: Readonly<Record<string, JsonSchema>>, publish: (schema: JsonSchema) => Json): Json =>
  sorted(Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, publish(property)])));

/** A schema below allOf and the like: it says what values are, not what they are made of. */
function alternative(schema: JsonSchema): Json {
  const { additionalProperties: _, ...out } = Object.fromEntries(Object.entries(schema).filter(says)) as Json;
  const { items, properties, not } = schema;
  if (items && !Array.isArray(items)) out.items = alternative(items as JsonSchema); // not a list: a schema
  if (properties) out.properties = each(properties, alternative);
  for (const key of junctors) if (schema[key]) out[key] = schema[key].map(alternative);
  if (not) out.not = alternative(not);
  return out;
}

const eitherType = [{ type: "integer" }, { type: "string" }];

/** Clients that don't know the extension read the alternatives. */
function unfold(out: Json, schema: JsonSchema): void {
  delete out.type;
  if (isEither(schema.anyOf) || isEither(schema.allOf?.[0]?.anyOf)) return;
  if (!schema.anyOf) out.anyOf = eitherType;
  else out.allOf = [{ anyOf: eitherType }, ...((out.allOf as Json[] | undefined) ?? [])]; // made by `part`
}

const isEither = (alternatives: readonly JsonSchema[] | undefined): boolean =>
  alternatives?.length === 2 && alternatives[0]?.type === "integer" && alternatives[1]?.type === "string";

function embed(out: Json, published: Published): void {
  const { apiVersion, kind } = published.texts;
  // An object within another is no resource of the API.
  const texts = {
    apiVersion: apiVersion?.replace(/^API/, "api").replace(/ Servers .* More info/, " More info"),
    kind: kind
      ?.replace(/^K/, "k")
      .replace("the REST resource this object represents", "the type of this object")
      .replace(/ Servers .* In Camel/, " In Camel"),
  };
  out.properties = sorted({ ...(out.properties as Json | undefined), ...objectProperties(published, texts) });
  const required = (out.required as readonly string[] | undefined) ?? [];
  out.required = [...new Set([...required, "kind", "apiVersion"])];
}

/** kubectl's validation of v2 takes what it knows too literally. */
function simplify(out: Json, schema: JsonSchema): void {
  for (const key of [...junctors, "not", "default"]) delete out[key];
  const open = preservesUnknown(schema);
  if (schema.nullable) {
    delete out.type;
    delete out.nullable;
  }
  if (schema.nullable || open) {
    delete out.items;
    delete out.properties;
  }
  if ((out.type === "array" && out.items === undefined) || (open && out.type === "object")) delete out.type;
  const additional = schema.additionalProperties;
  const nullable = (name: string) => schema.properties?.[name]?.nullable === true;
  const required = schema.required?.filter((name) => !out.properties || !nullable(name)) ?? [];
  if (required.length === 0 || (typeof additional === "object" && additional.nullable)) delete out.required;
  else out.required = required;
}
