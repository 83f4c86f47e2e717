/** Defaults of a structural schema: absent fields and nulls that may not be null get them. Follows apiserver/schema/defaulting. */
import { cloneJson } from "#machinery";
import { coerceEmbedded } from "./embedded.ts";
import {
  additionalOf,
  defaultOf,
  isJsonObject,
  itemsOf,
  type JsonSchema,
  propertyOf,
  schemaHas,
} from "./json-schema.ts";
import { pruneValue } from "./prune.ts";

// Most parts of most schemas have no defaults; asking once for each saves the walk on every write.
const known = new WeakMap<JsonSchema, boolean>();

function hasDefaults(schema: JsonSchema): boolean {
  let answer = known.get(schema);
  if (answer === undefined) {
    answer = schemaHas(schema, (part) => defaultOf(part) !== undefined);
    known.set(schema, answer);
  }
  return answer;
}

const isForbiddenNull = (value: unknown, schema: JsonSchema | undefined): boolean =>
  value === null && schema !== undefined && schema.nullable !== true;

/** What defaults of an old definition hold that their own schema doesn't know. Changes the schema, which must be the caller's own. */
export function pruneDefaults(schema: JsonSchema): void {
  if (!hasDefaults(schema)) return;
  const value = defaultOf(schema);
  if (value !== undefined) {
    pruneValue(value, schema);
    if (isJsonObject(value)) coerceEmbedded(value, schema);
  }
  for (const part of [itemsOf(schema), additionalOf(schema)]) if (part) pruneDefaults(part);
  for (const property of Object.values(schema.properties ?? {})) pruneDefaults(property);
}

/** Changes `value`. */
export function applyDefaults(value: unknown, schema: JsonSchema | undefined): void {
  if (!schema || !hasDefaults(schema)) return;
  if (Array.isArray(value)) {
    const items = itemsOf(schema);
    value.forEach((item: unknown, index) => {
      if (isForbiddenNull(item, items)) value[index] = copyOfDefault(items);
      applyDefaults(value[index], items);
    });
    return;
  }
  if (!isJsonObject(value)) return;
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (defaultOf(property) === undefined) continue;
    if (!Object.hasOwn(value, name) || isForbiddenNull(value[name], property)) value[name] = copyOfDefault(property);
  }
  const additional = additionalOf(schema);
  for (const key of Object.keys(value)) {
    const property = propertyOf(schema, key);
    if (!property && isForbiddenNull(value[key], additional)) value[key] = copyOfDefault(additional);
    applyDefaults(value[key], property ?? additional);
  }
}

const copyOfDefault = (schema: JsonSchema | undefined): unknown => cloneJson(defaultOf(schema) ?? null);
