/**
 * The schema of a custom resource as it is published: in v3 as its definition has it, in v2 without what kubectl's old validation
 * doesn't understand. Follows apiextensions-apiserver's controller/openapi (builder and v2).
 */
import { isEmbedded, isIntOrString, type JsonSchema, preservesUnknown } from "#api";
import type { Dialect, Json } from "./schemas.ts";

export interface Published {
  readonly dialect: Dialect;
  /** A reference to the schema of ObjectMeta. */
  readonly metadata: Json;
}

const versionText =
  "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const kindText =
  "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const metadataText =
  "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

export function publishedSchema(schema: JsonSchema, published: Published): Json {
  // kubectl takes properties for all there is: an open object says nothing.
  if (published.dialect === "v2" && preservesUnknown(schema)) return { type: "object" };
  const root = part(schema, published);
  const properties = root.properties as Json | undefined; // made by `part`
  return { ...root, properties: sorted({ ...properties, ...objectProperties(published) }) };
}

function objectProperties({ dialect, metadata }: Published): Json {
  return {
    apiVersion: { type: "string", description: versionText },
    kind: { type: "string", description: kindText },
    // In v3 nothing may stand beside a reference.
    metadata:
      dialect === "v3" ? { allOf: [metadata], description: metadataText } : { ...metadata, description: metadataText },
  };
}

const sorted = (members: Json): Json =>
  Object.fromEntries(Object.entries(members).sort(([a], [b]) => (a < b ? -1 : 1)));

/** What only says how to read the schema, or has no place in a published one. */
const dropped = new Set(["$schema", "id", "$ref", "example", "definitions", "dependencies", "patternProperties"]);
const junctors = new Set(["allOf", "anyOf", "oneOf", "not"]);

function part(schema: JsonSchema, published: Published): Json {
  const v2 = published.dialect === "v2";
  const out: Json = {};
  for (const [key, value] of Object.entries(schema)) {
    if (dropped.has(key) || (key === "default" && value === null) || (v2 && junctors.has(key))) continue;
    out[key] = value;
  }
  const { items, properties, additionalProperties: additional } = schema;
  if (items && !Array.isArray(items)) out.items = part(items as JsonSchema, published); // not a list: a schema
  if (properties) {
    out.properties = sorted(
      Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, part(property, published)])),
    );
  }
  if (typeof additional === "object") out.additionalProperties = part(additional, published);
  if (isIntOrString(schema)) {
    delete out.type;
    if (!v2 && !schema.anyOf) out.anyOf = [{ type: "integer" }, { type: "string" }];
  }
  if (v2) simplify(out, schema);
  if (isEmbedded(schema) && !(v2 && preservesUnknown(schema))) embed(out, published);
  return out;
}

function embed(out: Json, published: Published): void {
  out.properties = sorted({ ...(out.properties as Json | undefined), ...objectProperties(published) });
  const required = (out.required as readonly string[] | undefined) ?? [];
  out.required = [...new Set([...required, "kind", "apiVersion"])];
}

/** kubectl's validation of v2 takes what it knows too literally. */
function simplify(out: Json, schema: JsonSchema): void {
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
  const nullable = (name: string) => schema.properties?.[name]?.nullable === true;
  if (schema.required?.some(nullable)) {
    const kept = schema.required.filter((name) => !nullable(name));
    if (kept.length > 0) out.required = kept;
    else delete out.required;
  }
}
