/** Lists that are sets or maps hold nothing twice. Follows apiserver/schema/listtype. */
import { type FieldError, FieldPath, fieldError } from "#machinery";
import { asGo, isJsonObject, itemsOf, type Json, type JsonSchema, additionalOf, propertyOf } from "./json-schema.ts";

export function checkListTypes(object: Json, schema: JsonSchema): FieldError[] {
  const errors: FieldError[] = [];
  walk(object, schema, FieldPath.none, errors);
  return errors;
}

function walk(value: unknown, schema: JsonSchema, path: FieldPath, errors: FieldError[]): void {
  if (Array.isArray(value)) {
    const type = schema["x-kubernetes-list-type"];
    if (type === "set") {
      for (const index of repeated(value)) errors.push(fieldError.duplicate(path.index(index), asGo(value[index])));
    } else if (type === "map") checkMap(value, schema["x-kubernetes-list-map-keys"] ?? [], path, errors);
    const items = itemsOf(schema);
    if (items)
      value.forEach((item, index) => {
        walk(item, items, path.index(index), errors);
      });
  } else if (isJsonObject(value)) {
    const additional = additionalOf(schema);
    for (const key of Object.keys(value)) {
      const property = propertyOf(schema, key);
      if (property) walk(value[key], property, path.child(key), errors);
      else if (additional) walk(value[key], additional, path.key(key), errors);
    }
  }
}

function checkMap(value: readonly unknown[], keys: readonly string[], path: FieldPath, errors: FieldError[]): void {
  for (const [index, item] of value.entries()) {
    if (item === null || isJsonObject(item)) continue;
    errors.push(fieldError.invalid(path.index(index), asGo(item), "must be an object for an array of list-type map"));
    return;
  }
  const found = value.map((item) => keyOf(item, keys));
  for (const index of repeated(found)) errors.push(fieldError.duplicate(path.index(index), asGo(found[index])));
}

/** The keys of an item that it has. */
export function keyOf(item: unknown, keys: readonly string[]): Json {
  const key: Json = {};
  if (isJsonObject(item)) for (const name of keys) if (Object.hasOwn(item, name)) key[name] = item[name];
  return key;
}

/** Where something stands for the second time. */
function repeated(items: readonly unknown[]): number[] {
  if (items.length <= 1) return [];
  const seen = new Map<string, number>();
  const found: number[] = [];
  items.forEach((item, index) => {
    const text = canonical(item);
    const times = (seen.get(text) ?? 0) + 1;
    seen.set(text, times);
    if (times === 2) found.push(index);
  });
  return found;
}

const canonical = (value: unknown): string => JSON.stringify(asGo(value));
