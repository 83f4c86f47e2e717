/**
 * The watch caches of all stored kinds, fed by one watch of the store. A cache is made when something first asks for it: most kinds
 * are never used, and an empty server should be small.
 *
 * Every cache is complete up to `revision`, the last one the store's watch delivered; a read that must be the most recent waits until
 * that has reached the store's own.
 */
import type { Clock, Logger } from "#base";
import type { Store, StoreEvent } from "#store";
import type { DeepReadonly, KubernetesObject } from "#machinery";
import type { StoredKind } from "../resource.ts";
import { BookmarkTimer } from "./bookmarks.ts";
import type { CacheEvent } from "./cache-event.ts";
import { DecodedPool } from "./decoded-pool.ts";
import { encodeValue, spliceRevision } from "./encode.ts";
import { FormCaches, type Touched } from "./form-caches.ts";
import { prefixOf } from "./key-prefix.ts";
import { loadObjects, type StoredItem } from "./load.ts";
import { ResourceCache } from "./resource-cache.ts";
import { StoredObject } from "./stored-object.ts";
import { unreadableError, unreadableListError, unreadableReason } from "./unreadable.ts";
import type { Watcher } from "./watcher-index.ts";

/** A kind with values that can't be read is read again at most this often. */
const healMs = 1_000;

export interface WatchCachesOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Loading {
  readonly promise: Promise<ResourceCache>;
  readonly waiting: StoreEvent[];
}

export class WatchCaches {
  readonly store: Store;
  readonly pool = new DecodedPool();
  readonly bookmarks: BookmarkTimer;
  readonly #log: Logger;
  readonly #clock: Clock;
  /** By the kind's prefix, a string that is made once: every request looks here several times. */
  readonly #caches = new Map<string, ResourceCache>();
  readonly #loading = new Map<string, Loading>();
  readonly #forms: FormCaches;
  /** Objects just written, by the bytes that were handed to the store: their decoded view needn't be made again. */
  readonly #written = new WeakMap<Uint8Array, DeepReadonly<KubernetesObject>>();
  #waiters: { revision: number; resolve: () => void }[] = [];
  #revision: number;
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor({ store, clock, log }: WatchCachesOptions) {
    this.store = store;
    this.#clock = clock;
    this.#log = log;
    this.#revision = store.revision();
    this.bookmarks = new BookmarkTimer(clock, () => this.#revision);
    this.#forms = new FormCaches({
      store,
      clock,
      log,
      pool: this.pool,
      objectsOf: (kind, items) => this.objectsOf(kind, items),
      reach: (revision) => (this.#revision < revision ? this.#reach(revision) : undefined),
    });
    this.#watch();
  }

  get revision(): number {
    return this.#revision;
  }

  /** Up to which one cache is complete. */
  revisionOf({ behind }: ResourceCache): number {
    return Math.min(this.#revision, behind?.revision ?? this.#revision);
  }

  /** Resolves when the caches hold everything that was durable when it was called. */
  fresh(): Promise<void> | undefined {
    const newest = this.store.revision();
    return this.#revision >= newest ? undefined : this.#reach(newest);
  }

  /** Whether the caches came to this revision within `timeoutMs`. */
  async reach(revision: number, timeoutMs: number): Promise<boolean> {
    if (this.#revision >= revision) return true;
    return new Promise((resolve) => {
      const waiter = { revision, resolve: () => settle(true) };
      const cancel = this.#clock.after(timeoutMs, () => settle(false));
      const settle = (reached: boolean) => {
        cancel();
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        resolve(reached);
      };
      this.#waiters.push(waiter);
    });
  }

  /** The cache of a kind; a promise only when it has to be loaded. */
  of(kind: StoredKind): ResourceCache | Promise<ResourceCache> {
    const { prefix } = kind;
    if (kind.form) return this.#forms.of(kind);
    const cache = this.#caches.get(prefix);
    if (cache && !this.#mayHeal(cache)) return cache;
    const loading = this.#loading.get(prefix);
    if (loading) return loading.promise;
    const waiting: StoreEvent[] = [];
    const promise = this.#load(kind, waiting).finally(() => {
      if (this.#loading.get(prefix)?.waiting === waiting) this.#loading.delete(prefix);
    });
    // Some only want to know whether it is loaded. Whoever comes after the failure loads again.
    promise.catch(() => undefined);
    this.#loading.set(prefix, { promise, waiting });
    return promise;
  }

  /** What couldn't be read may be readable now (other keys, a plugin that came back): try again, but not for each request. */
  #mayHeal(cache: ResourceCache): boolean {
    if (!cache.spoiled || this.#clock.now() - cache.madeAt < healMs) return false;
    cache.end();
    this.#caches.delete(cache.kind.prefix);
    return true;
  }

  /** Loaded ones, for metrics. */
  *loaded(): Iterable<ResourceCache> {
    yield* this.#caches.values();
    yield* this.#forms.loaded();
  }

  /** The cache of a kind, if it is loaded. */
  peek(kind: StoredKind): ResourceCache | undefined {
    return kind.form ? this.#forms.peek(kind) : this.#caches.get(kind.prefix);
  }

  /** The cache of a kind that is converted, if it is there and has everything. */
  complete(kind: StoredKind): ResourceCache | undefined {
    return this.#forms.peek(kind);
  }

  /** Forgets a kind that is no longer served as it was: the definition of a custom resource has changed or gone. */
  drop(kind: StoredKind): void {
    this.#forms.drop(kind);
  }

  /** Tells the caches what a value they are about to see decodes to. */
  expect(value: Uint8Array, object: DeepReadonly<KubernetesObject>): void {
    this.#written.set(value, object);
  }

  /** Of a kind that isn't converted. */
  objectOf(kind: StoredKind, item: StoredItem): StoredObject {
    const reason = unreadableReason(this.store, item.value);
    if (reason !== undefined) throw unreadableError({ key: item.key, reason });
    return new StoredObject({
      kind,
      key: item.key.slice(kind.prefix.length),
      revision: item.modRevision,
      body: spliceRevision(kind, item.value, item.modRevision),
      pool: this.pool,
      decoded: this.#decodedAt(item),
    });
  }

  /** A promise only where a conversion has to be waited for; it may throw or reject with a StatusError. */
  objectsOf(
    kind: StoredKind,
    items: readonly StoredItem[],
  ): readonly StoredObject[] | Promise<readonly StoredObject[]> {
    const { form } = kind;
    if (!form) return items.map((item) => this.objectOf(kind, item));
    if (items.length === 0) return [];
    for (const { key, value } of items) {
      const reason = unreadableReason(this.store, value);
      if (reason !== undefined) throw unreadableListError({ key, reason });
    }
    const stored = items.map(
      ({ value }): DeepReadonly<KubernetesObject> =>
        this.#written.get(value) ?? JSON.parse(Buffer.from(value).toString("utf8")),
    );
    const read = form.read(stored);
    const finish = (objects: readonly DeepReadonly<KubernetesObject>[]) =>
      items.map((item, i) => this.#shown(kind, item, { stored: stored[i]!, object: objects[i]! })); // one for each
    return read instanceof Promise ? read.then(finish) : finish(read);
  }

  #shown(
    kind: StoredKind,
    item: StoredItem,
    { stored, object }: { stored: DeepReadonly<KubernetesObject>; object: DeepReadonly<KubernetesObject> },
  ): StoredObject {
    const revision = item.modRevision;
    const metadata = { ...object.metadata, ...(revision > 0 && { resourceVersion: String(revision) }) };
    return new StoredObject({
      kind,
      key: item.key.slice(kind.prefix.length),
      revision,
      body: spliceRevision(kind, object === stored ? item.value : encodeValue(kind.head, object), revision),
      pool: this.pool,
      decoded: { ...object, metadata },
      outdated: kind.form?.isCurrent(stored, object) === false,
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancel?.();
    this.bookmarks.close();
    this.#endAll();
    for (const { resolve } of this.#waiters) resolve();
    this.#waiters = [];
  }

  #decodedAt(item: { value: Uint8Array; modRevision: number }): DeepReadonly<KubernetesObject> | undefined {
    const object = this.#written.get(item.value);
    if (!object) return undefined;
    return { ...object, metadata: { ...object.metadata, resourceVersion: String(item.modRevision) } };
  }

  #reach(revision: number): Promise<void> {
    return new Promise((resolve) => this.#waiters.push({ revision, resolve }));
  }

  #watch(): void {
    this.#cancel = this.store.watch({
      // Other keys count too: the caches must come to every revision the store has.
      start: "/",
      end: "0",
      fromRevision: this.#revision + 1,
      onEvents: (events, revision) => this.#onEvents(events, revision),
      onEnd: (reason) => {
        if (this.#closed || reason.detail.code === "closed") return this.#endAll();
        this.#log.warn("the store's watch ended; the watch caches start again", { reason });
        this.#restart();
      },
    });
  }

  /** What was missed is unknown: begin anew, and let clients list again. */
  #restart(): void {
    this.#endAll();
    this.#caches.clear();
    this.#revision = this.store.revision();
    this.#watch();
    this.#wake();
  }

  #endAll(): void {
    for (const cache of this.#caches.values()) cache.end();
    this.#forms.clear();
  }

  #onEvents(events: readonly StoreEvent[], revision: number): void {
    const touched: Touched = { watchers: new Set(), events: [] };
    const converted = this.#forms.empty ? undefined : new Map<string, StoreEvent[]>();
    for (const event of events) {
      const prefix = prefixOf(event.item.key);
      this.#loading.get(prefix)?.waiting.push(event);
      const cache = this.#caches.get(prefix);
      const change = cache && this.#apply(cache, event, touched.watchers);
      if (change) touched.events.push(change);
      if (converted && !cache) converted.set(prefix, [...(converted.get(prefix) ?? []), event]);
    }
    if (converted) for (const [prefix, its] of converted) this.#forms.take(prefix, its, touched);
    this.#revision = revision;
    for (const watcher of touched.watchers) watcher.flush();
    for (const event of touched.events) event.forgetEncodings();
    this.#wake();
  }

  #apply(cache: ResourceCache, { type, item }: StoreEvent, touched: Set<Watcher>): CacheEvent | undefined {
    const key = item.key.slice(cache.kind.prefix.length);
    const reason = type === "put" ? unreadableReason(this.store, item.value) : undefined;
    if (reason !== undefined) {
      this.#log.error("a value can't be read", { key: item.key, reason });
      cache.spoil({ key, revision: item.modRevision }, { key: item.key, reason });
      return undefined;
    }
    const object = type === "put" ? this.objectOf(cache.kind, item) : undefined;
    return cache.apply({ key, revision: item.modRevision, object }, touched);
  }

  #wake(): void {
    if (this.#waiters.length === 0) return;
    const due = this.#waiters.filter(({ revision }) => revision <= this.#revision);
    this.#waiters = this.#waiters.filter(({ revision }) => revision > this.#revision);
    for (const { resolve } of due) resolve();
  }

  async #load(kind: StoredKind, waiting: StoreEvent[]): Promise<ResourceCache> {
    const { objects, revision, unreadable } = await loadObjects(this.store, kind, (...asked) =>
      this.objectsOf(...asked),
    );
    for (const { key, reason } of unreadable.values()) this.#log.error("a value can't be read", { key, reason });
    // The store may be ahead of its watch: what the cache holds must not be newer than the revision it answers with.
    if (this.#revision < revision) await this.#reach(revision);
    const cache = new ResourceCache({ kind, objects, revision, unreadable, pool: this.pool, clock: this.#clock });
    const nobody = new Set<Watcher>();
    for (const event of waiting) this.#apply(cache, event, nobody);
    // In the same step as the last event, or the next one is lost.
    // Not if the caches began anew meanwhile.
    if (this.#loading.get(kind.prefix)?.waiting === waiting) {
      this.#caches.set(kind.prefix, cache);
      this.#loading.delete(kind.prefix);
    }
    return cache;
  }
}
