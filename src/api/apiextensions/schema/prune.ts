/**
 * Fields that a structural schema doesn't know go, nulls where null is no value too. Follows apiserver/schema/pruning and
 * defaulting/prunenulls; `kind`, `apiVersion` and `metadata` of the object itself and of embedded ones are left to others.
 */
import {
  defaultOf,
  isEmbedded,
  isJsonObject,
  itemsOf,
  type Json,
  type JsonSchema,
  memberSchema,
  metaFields,
  preservesUnknown,
} from "./json-schema.ts";

/** Changes `object`. Answers the paths of what went, sorted as upstream sorts them. */
export function pruneObject(object: Json, schema: JsonSchema): string[] {
  const pruned: string[] = [];
  prune(object, { ...schema, "x-kubernetes-embedded-resource": true }, "", pruned);
  return pruned.sort();
}

/** The same for a part that is no object of its own. */
export function pruneValue(value: unknown, schema: JsonSchema): void {
  prune(value, schema, "", []);
}

const join = (path: string, key: string): string => (path === "" ? key : `${path}.${key}`);

function prune(value: unknown, schema: JsonSchema | undefined, path: string, pruned: string[]): void {
  if (Array.isArray(value)) {
    const items = schema && itemsOf(schema);
    if (schema && preservesUnknown(schema) && !items) return;
    value.forEach((item, index) => {
      prune(item, items, `${path}[${index}]`, pruned);
    });
  } else if (isJsonObject(value)) pruneMembers(value, schema, path, pruned);
}

function pruneMembers(object: Json, schema: JsonSchema | undefined, path: string, pruned: string[]): void {
  const embedded = schema !== undefined && isEmbedded(schema);
  const keeps = schema !== undefined && preservesUnknown(schema);
  for (const key of Object.keys(object)) {
    if (embedded && metaFields.has(key)) continue;
    const member = schema && memberSchema(schema, key);
    if (member) prune(object[key], member, join(path, key), pruned);
    else if (schema?.additionalProperties !== undefined) prune(object[key], undefined, join(path, key), pruned);
    else if (!keeps) {
      pruned.push(join(path, key));
      delete object[key];
    }
  }
}

/** Nulls that are neither allowed nor stand for a default. Changes `value`. */
export function dropNulls(value: unknown, schema: JsonSchema | undefined): void {
  if (Array.isArray(value)) {
    const items = schema && itemsOf(schema);
    for (const item of value) dropNulls(item, items);
  } else if (isJsonObject(value)) {
    for (const key of Object.keys(value)) {
      const member = schema && memberSchema(schema, key);
      if (value[key] !== null) dropNulls(value[key], member);
      else if (member && member.nullable !== true && defaultOf(member) === undefined) delete value[key];
    }
  }
}
