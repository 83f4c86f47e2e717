/**
 * The caches of kinds whose values are converted when they come in: custom kinds, one cache for each version that somebody reads, as
 * upstream has it. So everything behind a cache (selectors, pages, watches, tables) works on bytes of the version that was asked for.
 *
 * A conversion may be a webhook's, which answers late, wrong or never. Such a cache may be behind the others (`ResourceCache.behind`):
 * it takes events in order, and who wants the newest waits for it alone. When a conversion fails the cache goes and its watches end;
 * the next reader tries again and is told why. Rejected: converting when something is read (selectors and pages would have to wait
 * everywhere), and making all caches wait.
 */
import type { Clock, Logger } from "#base";
import { statusError } from "#machinery";
import type { Store, StoreEvent } from "#store";
import type { StoredKind } from "../resource.ts";
import type { CacheEvent } from "./cache-event.ts";
import type { DecodedPool } from "./decoded-pool.ts";
import { loadObjects, type StoredItem } from "./load.ts";
import { type Behind, ResourceCache } from "./resource-cache.ts";
import type { StoredObject } from "./stored-object.ts";
import type { Watcher } from "./watcher-index.ts";

/** Events of one version waiting to be converted: bounds what a webhook that hangs can pile up before its time-out. */
const waitingEventsMax = 10_000;

export interface FormCachesOptions {
  readonly store: Store;
  readonly pool: DecodedPool;
  readonly clock: Clock;
  readonly log: Logger;
  objectsOf(kind: StoredKind, items: readonly StoredItem[]): readonly StoredObject[] | Promise<readonly StoredObject[]>;
  /** Resolves when the store's watch has delivered this revision. */
  reach(revision: number): Promise<void> | undefined;
}

/** What one turn of the store's watch did to caches. */
export interface Touched {
  readonly watchers: Set<Watcher>;
  readonly events: CacheEvent[];
}

export class FormCaches {
  readonly #options: FormCachesOptions;
  readonly #feeds = new Map<StoredKind, Feed>();
  readonly #byPrefix = new Map<string, Feed[]>();
  /** Requests that began before a definition changed still have them. */
  readonly #retired = new WeakSet<StoredKind>();

  constructor(options: FormCachesOptions) {
    this.#options = options;
  }

  get empty(): boolean {
    return this.#feeds.size === 0;
  }

  /** Rejects with what converting failed with. */
  of(kind: StoredKind): ResourceCache | Promise<ResourceCache> {
    const found = this.#feeds.get(kind);
    if (found) return found.cache ?? found.loaded;
    if (this.#retired.has(kind)) throw statusError.tooManyRequests("storage is (re)initializing", 1);
    const feed = new Feed(kind, { ...this.#options, onEnd: () => this.#forget(feed) });
    this.#feeds.set(kind, feed);
    const others = this.#byPrefix.get(kind.prefix);
    if (others) others.push(feed);
    else this.#byPrefix.set(kind.prefix, [feed]);
    return feed.loaded;
  }

  /** Only what is there and complete. */
  peek(kind: StoredKind): ResourceCache | undefined {
    const cache = this.#feeds.get(kind)?.cache;
    return cache?.behind ? undefined : cache;
  }

  take(prefix: string, events: readonly StoreEvent[], touched: Touched): void {
    for (const feed of [...(this.#byPrefix.get(prefix) ?? [])]) feed.take(events, touched);
  }

  *loaded(): Iterable<ResourceCache> {
    for (const { cache } of this.#feeds.values()) if (cache) yield cache;
  }

  /** It is made anew, or gone for good. */
  drop(kind: StoredKind): void {
    this.#retired.add(kind);
    this.#feeds.get(kind)?.end();
  }

  clear(): void {
    for (const feed of [...this.#feeds.values()]) feed.end();
  }

  #forget(feed: Feed): void {
    const { kind } = feed;
    if (this.#feeds.get(kind) !== feed) return;
    this.#feeds.delete(kind);
    const left = (this.#byPrefix.get(kind.prefix) ?? []).filter((each) => each !== feed);
    if (left.length > 0) this.#byPrefix.set(kind.prefix, left);
    else this.#byPrefix.delete(kind.prefix);
  }
}

interface FeedOptions extends FormCachesOptions {
  onEnd(): void;
}

interface Waiter {
  readonly revision: number;
  resolve(): void;
  reject(error: unknown): void;
}

/** Keeps one cache in step with the store. */
class Feed implements Behind {
  readonly kind: StoredKind;
  readonly loaded: Promise<ResourceCache>;
  cache: ResourceCache | undefined;
  readonly #options: FeedOptions;
  /** What the cache doesn't have yet: batches of the store's watch, in order. */
  readonly #waiting: (readonly StoreEvent[])[] = [];
  #waitingCount = 0;
  #waiters: Waiter[] = [];
  #converting = false;
  #over = false;

  constructor(kind: StoredKind, options: FeedOptions) {
    this.kind = kind;
    this.#options = options;
    this.loaded = this.#load();
    // Whoever asked hears of it.
    this.loaded.catch(() => undefined);
  }

  /** Complete up to this one. */
  get revision(): number {
    const [first] = this.#waiting;
    return (first?.[0]?.item.modRevision ?? Number.POSITIVE_INFINITY) - 1;
  }

  until(revision: number): Promise<void> | undefined {
    if (this.revision >= revision) return undefined;
    return new Promise((resolve, reject) => this.#waiters.push({ revision, resolve, reject }));
  }

  take(events: readonly StoreEvent[], touched: Touched): void {
    this.#waiting.push(events);
    this.#waitingCount += events.length;
    if (this.#waitingCount > waitingEventsMax) this.#fail(new Error("too many changes wait for their conversion"));
    else if (this.cache) this.#pump(this.cache, touched);
  }

  end(error: unknown = new Error("the definition of the kind has changed")): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.onEnd();
    this.cache?.end();
    for (const { reject } of this.#waiters.splice(0)) reject(error);
  }

  async #load(): Promise<ResourceCache> {
    const { store, pool, clock, objectsOf, reach } = this.#options;
    const { kind } = this;
    try {
      const { objects, revision } = await loadObjects(store, kind, objectsOf);
      const wait = reach(revision);
      if (wait) await wait;
      if (this.#over) throw new Error("the definition of the kind has changed");
      const cache = new ResourceCache({ kind, objects, revision, pool, clock });
      this.cache = cache;
      this.#pump(cache, undefined);
      return cache;
    } catch (error) {
      this.end(error);
      throw error;
    }
  }

  /** Applies what can be had at once; what has to be waited for goes on by itself. */
  #pump(cache: ResourceCache, touched: Touched | undefined): void {
    if (this.#converting) return;
    for (let events = this.#waiting[0]; events; events = this.#waiting[0]) {
      let objects: readonly StoredObject[] | Promise<readonly StoredObject[]>;
      try {
        const items = events.filter(({ type }) => type === "put").map(({ item }) => item);
        objects = this.#options.objectsOf(this.kind, items);
      } catch (error) {
        this.#fail(error);
        return;
      }
      if (objects instanceof Promise) {
        this.#converting = true;
        cache.behind = this;
        objects.then(
          (converted) => this.#continue(cache, converted),
          (error: unknown) => this.#fail(error),
        );
        return;
      }
      this.#apply(cache, objects, touched);
    }
    cache.behind = undefined;
  }

  #continue(cache: ResourceCache, objects: readonly StoredObject[]): void {
    if (this.#over) return;
    this.#converting = false;
    this.#apply(cache, objects, undefined);
    this.#pump(cache, undefined);
    const due = this.#waiters.filter(({ revision }) => revision <= this.revision);
    this.#waiters = this.#waiters.filter(({ revision }) => revision > this.revision);
    for (const { resolve } of due) resolve();
  }

  #apply(cache: ResourceCache, objects: readonly StoredObject[], touched: Touched | undefined): void {
    const events = this.#waiting.shift() ?? [];
    this.#waitingCount -= events.length;
    const { prefix } = this.kind;
    const own: Touched = touched ?? { watchers: new Set(), events: [] };
    let next = 0;
    for (const { type, item } of events) {
      const object = type === "put" ? objects[next++] : undefined;
      const change = { key: item.key.slice(prefix.length), revision: item.modRevision, object };
      const event = cache.apply(change, own.watchers);
      if (event) own.events.push(event);
    }
    if (touched) return;
    for (const watcher of own.watchers) watcher.flush();
    for (const event of own.events) event.forgetEncodings();
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    const { group, resource, version } = this.kind;
    this.#options.log.warn("the cache of a kind ends, it can't be converted", { group, resource, version, error });
    this.end(error);
  }
}
