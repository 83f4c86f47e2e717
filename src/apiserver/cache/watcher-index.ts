/**
 * Finds the watchers an event may concern without asking each: a thousand kubelets each watch the pods of one node, and many clients
 * watch one object or one namespace. A watcher sits in the narrowest bucket its selection allows.
 */
import type { CacheEvent } from "./cache-event.ts";
import type { Selection } from "./selection.ts";
import type { StoredObject } from "./stored-object.ts";

export interface Watcher {
  readonly selection: Selection;
  /** Called for every event the selection may concern, in order. Must not throw. */
  accept(event: CacheEvent): void;
  /** After a batch of events. */
  flush(): void;
  /** The server can't keep its promise (no event missed) any more: the client has to come back. */
  end(): void;
}

export class WatcherIndex {
  readonly #buckets = new Map<string, Set<Watcher>>();
  readonly #indexedField: string | undefined;
  #indexed = 0;

  constructor(indexedField: string | undefined) {
    this.#indexedField = indexedField;
  }

  get empty(): boolean {
    return this.#buckets.size === 0;
  }

  add(watcher: Watcher): () => void {
    const key = bucketOf(watcher.selection);
    let bucket = this.#buckets.get(key);
    if (!bucket) {
      bucket = new Set();
      this.#buckets.set(key, bucket);
    }
    bucket.add(watcher);
    const indexed = key.startsWith("value:");
    if (indexed) this.#indexed++;
    return () => {
      if (!bucket.delete(watcher)) return;
      if (indexed) this.#indexed--;
      if (bucket.size === 0 && this.#buckets.get(key) === bucket) this.#buckets.delete(key);
    };
  }

  *all(): Iterable<Watcher> {
    for (const bucket of this.#buckets.values()) yield* bucket;
  }

  /** Hands the event to everyone it may concern and notes whom to flush. */
  dispatch(event: CacheEvent, touched: Set<Watcher>): void {
    if (this.#buckets.size === 0) return;
    const { key } = event.object ?? event.previous ?? { key: "" };
    this.#offer("all", event, touched);
    const slash = key.indexOf("/");
    if (slash >= 0) this.#offer(`namespace:${key.slice(0, slash + 1)}`, event, touched);
    this.#offer(`key:${key}`, event, touched);
    if (this.#indexed === 0) return;
    const [before, after] = [this.#valueOf(event.previous), this.#valueOf(event.object)];
    if (before !== undefined) this.#offer(`value:${before}`, event, touched);
    if (after !== undefined && after !== before) this.#offer(`value:${after}`, event, touched);
  }

  #valueOf(object: StoredObject | undefined): string | undefined {
    return this.#indexedField === undefined ? undefined : object?.field(this.#indexedField);
  }

  #offer(key: string, event: CacheEvent, touched: Set<Watcher>): void {
    const bucket = this.#buckets.get(key);
    if (!bucket) return;
    for (const watcher of bucket) {
      watcher.accept(event);
      touched.add(watcher);
    }
  }
}

function bucketOf({ exactKey, indexValue, keyPrefix }: Selection): string {
  if (exactKey !== undefined) return `key:${exactKey}`;
  if (indexValue !== undefined) return `value:${indexValue}`;
  return keyPrefix === "" ? "all" : `namespace:${keyPrefix}`;
}
