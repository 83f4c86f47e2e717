/**
 * A value beside what it was before the update, walked together: which old item an item of a list comes from, and whether a part has
 * changed at all. Used for ratcheting and for rules about transitions. Follows apiserver/pkg/cel/common (CorrelatedObject).
 */
import { jsonEqual } from "#machinery";
import { isJsonObject, itemsOf, type JsonSchema, memberSchema } from "./json-schema.ts";

export class Correlated {
  readonly value: unknown;
  readonly old: unknown;
  readonly #schema: JsonSchema;
  #members: Map<string | number, Correlated> | undefined;
  #items: OldItems | undefined;
  #equal: boolean | undefined;

  constructor(value: unknown, old: unknown, schema: JsonSchema) {
    this.value = value;
    this.old = old;
    this.#schema = schema;
  }

  /** Undefined: no old value belongs to it. What no schema describes is never compared. */
  key(name: string): Correlated | undefined {
    const { value, old } = this;
    if (!isJsonObject(value) || !isJsonObject(old) || !Object.hasOwn(value, name) || !Object.hasOwn(old, name))
      return undefined;
    return this.#member(name, value[name], old[name], memberSchema(this.#schema, name));
  }

  index(index: number): Correlated | undefined {
    const { value, old } = this;
    if (!Array.isArray(value) || !Array.isArray(old) || index >= value.length) return undefined;
    if (!isMapList(this.#schema)) return undefined;
    this.#items ??= new OldItems(old, this.#schema);
    const before = this.#items.find(value[index]);
    if (before === undefined || before === null) return undefined;
    return this.#member(index, value[index], before, itemsOf(this.#schema));
  }

  /** Lists that are maps are the same in any order. */
  get unchanged(): boolean {
    this.#equal ??= this.#compare();
    return this.#equal;
  }

  #member(at: string | number, value: unknown, old: unknown, schema: JsonSchema | undefined): Correlated | undefined {
    if (!schema) return undefined;
    this.#members ??= new Map();
    let member = this.#members.get(at);
    if (!member) {
      member = new Correlated(value, old, schema);
      this.#members.set(at, member);
    }
    return member;
  }

  #compare(): boolean {
    const { value, old } = this;
    if (Array.isArray(value) && Array.isArray(old)) {
      if (value.length !== old.length) return false;
      if (!isMapList(this.#schema)) return jsonEqual(value, old);
      return value.every((_, i) => this.index(i)?.unchanged === true);
    }
    if (isJsonObject(value) && isJsonObject(old)) {
      const names = Object.keys(value);
      return names.length === Object.keys(old).length && names.every((name) => this.key(name)?.unchanged === true);
    }
    return jsonEqual(value, old);
  }
}

/** Only such lists say which item was which. */
export const isMapList = (schema: JsonSchema): boolean => schema["x-kubernetes-list-type"] === "map";

/** The items of an old list by their keys; of several with the same keys the first. */
export class OldItems {
  readonly #keys: readonly string[];
  readonly #byKey = new Map<string, unknown>();

  constructor(items: readonly unknown[], schema: JsonSchema) {
    this.#keys = schema["x-kubernetes-list-map-keys"] ?? [];
    for (const item of items) {
      const key = this.#keyOf(item);
      if (key !== undefined && !this.#byKey.has(key)) this.#byKey.set(key, item);
    }
  }

  find(item: unknown): unknown {
    const key = this.#keyOf(item);
    return key === undefined ? undefined : this.#byKey.get(key);
  }

  /** Only items that have all keys, with scalars, can be found. */
  #keyOf(item: unknown): string | undefined {
    if (!isJsonObject(item) || this.#keys.length === 0) return undefined;
    const values: unknown[] = [];
    for (const name of this.#keys) {
      const value = Object.hasOwn(item, name) ? item[name] : null;
      if (value === null || typeof value === "object") return undefined;
      values.push(value);
    }
    return JSON.stringify(values);
  }
}
