/**
 * The local copy behind an informer: objects by key with indexes kept as they change.
 * Holds only references, so objects that come from the in-memory transport stay shared with the server's cache.
 */
import type { DeepReadonly, KubernetesObject } from "#machinery";

type IndexFunction<T> = (object: T) => readonly string[];

interface Index<T> {
  readonly valuesOf: IndexFunction<T>;
  readonly entries: Map<string, Map<string, T>>;
}

const namespaceIndex = "\0namespace";

/** `namespace/name`, or `name` for cluster-scoped kinds. */
export function keyOf(object: DeepReadonly<KubernetesObject>): string {
  const { namespace, name = "" } = object.metadata ?? {};
  return namespace ? `${namespace}/${name}` : name;
}

/** A key's parts; the namespace is "" for cluster-scoped kinds. */
export function splitKey(key: string): { namespace: string; name: string } {
  const slash = key.indexOf("/");
  return { namespace: slash < 0 ? "" : key.slice(0, slash), name: key.slice(slash + 1) };
}

export class ObjectStore<T extends DeepReadonly<KubernetesObject>> {
  readonly #objects = new Map<string, T>();
  readonly #indexes = new Map<string, Index<T>>();
  /** The answer of `list()` until the next change: controllers list far more often than objects change. */
  #listed: readonly T[] | undefined;

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  keys(): Iterable<string> {
    return this.#objects.keys();
  }

  list(namespace?: string): readonly T[] {
    if (namespace) {
      // Made on the first use: most informers are never listed by namespace.
      if (!this.#indexes.has(namespaceIndex)) {
        this.addIndex(namespaceIndex, (object) => [object.metadata?.namespace ?? ""]);
      }
      return this.by(namespaceIndex, namespace);
    }
    this.#listed ??= [...this.#objects.values()];
    return this.#listed;
  }

  by(name: string, value: string): readonly T[] {
    const index = this.#indexes.get(name);
    if (!index) throw new TypeError(`no index ${JSON.stringify(name)}: add it before the informer starts`);
    const found = index.entries.get(value);
    return found ? [...found.values()] : [];
  }

  addIndex(name: string, valuesOf: IndexFunction<T>): void {
    if (this.#indexes.has(name)) throw new TypeError(`index ${JSON.stringify(name)} exists already`);
    const index: Index<T> = { valuesOf, entries: new Map() };
    this.#indexes.set(name, index);
    for (const [key, object] of this.#objects) putInIndex(index, key, object);
  }

  hasIndex(name: string): boolean {
    return this.#indexes.has(name);
  }

  set(key: string, object: T): void {
    const old = this.#objects.get(key);
    this.#objects.set(key, object);
    this.#listed = undefined;
    for (const index of this.#indexes.values()) {
      if (old) dropFromIndex(index, key, old);
      putInIndex(index, key, object);
    }
  }

  delete(key: string): void {
    const old = this.#objects.get(key);
    if (!old) return;
    this.#objects.delete(key);
    this.#listed = undefined;
    for (const index of this.#indexes.values()) dropFromIndex(index, key, old);
  }
}

function putInIndex<T>({ valuesOf, entries }: Index<T>, key: string, object: T): void {
  for (const value of valuesOf(object)) {
    let found = entries.get(value);
    if (!found) {
      found = new Map();
      entries.set(value, found);
    }
    found.set(key, object);
  }
}

function dropFromIndex<T>({ valuesOf, entries }: Index<T>, key: string, object: T): void {
  for (const value of valuesOf(object)) {
    const found = entries.get(value);
    found?.delete(key);
    if (found?.size === 0) entries.delete(value);
  }
}
