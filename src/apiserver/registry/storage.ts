/** Reads and writes of stored objects: the watch cache for reading, compare-and-swap transactions of the store for writing. */
import { type Clock, preciseNow, realClock } from "#base";
import { cloneJson, type DeepReadonly, type KubernetesObject, statusError } from "#machinery";
import { type Operation, type Store, StoreError, type Transaction } from "#store";
import { encodeValue } from "../cache/encode.ts";
import type { StoredItem } from "../cache/load.ts";
import type { ResourceCache } from "../cache/resource-cache.ts";
import type { StoredObject } from "../cache/stored-object.ts";
import { unreadableReason } from "../cache/unreadable.ts";
import type { WatchCaches } from "../cache/watch-caches.ts";
import type { StorageMetrics, StoreOperation } from "../metrics/storage-metrics.ts";
import { type StoredKind, storageKey } from "../resource.ts";
import { plainError } from "./errors.ts";

/** Changes that belong to a write and happen with it or not at all: addresses and ports of a Service. */
export interface SideWrites {
  readonly compare: Transaction["compare"];
  readonly operations: readonly Operation[];
}

export interface WriteRequest {
  readonly kind: StoredKind;
  /** `namespace/name` or `name`. */
  readonly key: string;
  /** What will be stored; nobody changes it afterwards. Undefined: delete. */
  readonly object: DeepReadonly<KubernetesObject> | undefined;
  /** The revision that must still be the newest one of this object; 0: there must be none. */
  readonly expected: number;
  readonly side?: SideWrites | undefined;
  /** Of the store: the object goes when it runs out. */
  readonly lease?: number | undefined;
}

export type WriteResult =
  | { readonly type: "written"; readonly revision: number; readonly object: StoredObject | undefined }
  /** Someone else was faster; what is there now. */
  | { readonly type: "lost"; readonly current: StoredObject | undefined }
  /** The object was as expected, a side write was not. */
  | { readonly type: "side-lost" };

export class Storage {
  readonly caches: WatchCaches;
  readonly #store: Store;

  readonly #metrics: StorageMetrics | undefined;
  readonly #precise: () => number;

  constructor(caches: WatchCaches, { metrics, clock }: { metrics?: StorageMetrics; clock?: Clock } = {}) {
    this.caches = caches;
    this.#store = caches.store;
    this.#metrics = metrics;
    this.#precise = preciseNow(clock ?? realClock);
  }

  /** The newest state; undefined when there is none. */
  async read(kind: StoredKind, key: string): Promise<StoredObject | undefined> {
    const wait = this.caches.fresh();
    if (wait) await wait;
    if (kind.form) return this.#readConverted(kind, key);
    const cache = this.caches.of(kind);
    return (cache instanceof Promise ? await cache : cache).get(key);
  }

  /** One object, whether or not others of its kind can be converted. */
  async #readConverted(kind: StoredKind, key: string): Promise<StoredObject | undefined> {
    const cache = this.caches.complete(kind);
    if (cache) return cache.get(key);
    const { items } = await this.#store.range({ start: kind.prefix + key });
    const [object] = await this.caches.objectsOf(kind, items);
    return object;
  }

  /** Takes away what can't be read, whatever it is. False: it can be read, or isn't there. */
  async removeUnreadable(kind: StoredKind, key: string): Promise<boolean> {
    const full = kind.prefix + key;
    for (;;) {
      const { items } = await this.#store.range({ start: full });
      const [item] = items;
      if (!item || unreadableReason(this.#store, item.value) === undefined) return false;
      const compare = [{ key: full, modRevision: item.modRevision }];
      const operations = [{ type: "delete", key: full }] as const;
      if ((await this.#measured("delete", kind, { compare, operations })).succeeded) return true;
    }
  }

  async cache(kind: StoredKind): Promise<ResourceCache> {
    const wait = this.caches.fresh();
    if (wait) await wait;
    const cache = await this.caches.of(kind);
    const behind = cache.behind?.until(this.caches.revision);
    if (behind) await behind;
    return cache;
  }

  async write(request: WriteRequest): Promise<WriteResult> {
    const { kind, key, object, expected, side, lease } = request;
    const full = kind.prefix + key;
    let value: Buffer | undefined;
    let operation: Operation = { type: "delete", key: full };
    if (object) {
      const stored = kind.form ? await kind.form.write(cloneJson(object) as KubernetesObject) : object;
      value = encodeValue(kind.form?.head ?? kind.head, stored);
      this.caches.expect(value, stored);
      operation = { type: "put", key: full, value, ...(lease !== undefined && { lease }) };
    }
    const what = !object ? "delete" : expected === 0 ? "create" : "update";
    const result = await this.#measured(what, kind, {
      compare: [{ key: full, modRevision: expected }, ...(side?.compare ?? [])],
      operations: [operation, ...(side?.operations ?? [])],
    });
    if (result.succeeded) {
      const { revision } = result;
      return { type: "written", revision, object: value && (await this.#written({ kind, key, value, revision })) };
    }
    const [current] = result.current;
    if ((current?.modRevision ?? 0) === expected) return { type: "side-lost" };
    return { type: "lost", current: current && (await this.#objectOf(kind, current)) };
  }

  /** The same bytes that the cache has, if it has them already. */
  async #written({
    kind,
    key,
    value,
    revision,
  }: {
    kind: StoredKind;
    key: string;
    value: Buffer;
    revision: number;
  }): Promise<StoredObject> {
    const cache = kind.form ? this.caches.complete(kind) : this.caches.of(kind);
    const cached = cache instanceof Promise ? undefined : cache?.get(key);
    if (cached?.revision === revision) return cached;
    return this.#objectOf(kind, { key: kind.prefix + key, value, modRevision: revision });
  }

  async #objectOf(kind: StoredKind, item: StoredItem): Promise<StoredObject> {
    if (!kind.form) return this.caches.objectOf(kind, item);
    const [object] = await this.caches.objectsOf(kind, [item]);
    return object!; // one for each
  }

  /** It has to be written although nothing changed: it lies there under another key than it would today. */
  async isStale(kind: StoredKind, key: string): Promise<boolean> {
    return (await this.#store.isStale?.(kind.prefix + key)) ?? false;
  }

  /** What a write would answer if it weren't a dry run: nothing is assigned a revision, nothing is converted. */
  dry(kind: StoredKind, key: string, object: DeepReadonly<KubernetesObject>): StoredObject {
    const { resourceVersion: version } = object.metadata ?? {};
    const revision = version ? Number(version) : 0;
    return this.caches.objectOf(kind, {
      key: kind.prefix + key,
      value: encodeValue(kind.head, object),
      modRevision: revision,
    });
  }

  async #measured(what: StoreOperation, kind: StoredKind, transaction: Transaction) {
    if (!this.#metrics) return this.#transact(transaction);
    const start = this.#precise();
    try {
      return await this.#transact(transaction);
    } catch (error) {
      this.#metrics.failed(what, kind);
      throw error;
    } finally {
      this.#metrics.observe(what, kind, this.#precise() - start);
    }
  }

  async #transact(transaction: Transaction) {
    try {
      return await this.#store.transact(transaction);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      const { code } = error.detail;
      if (code === "not-encrypted") throw statusError.internal(error.message);
      if (code === "too-large") throw statusError.tooLarge("Request entity too large: limit is 3145728");
      // The disk's doing: as upstream hands on what etcd says, so that whoever writes learns what to mend.
      if (code === "no-space" || code === "io") throw plainError(error.message);
      throw error;
    }
  }
}

export const objectKey = (kind: StoredKind, namespace: string, name: string): string =>
  storageKey(kind, namespace, name).slice(kind.prefix.length);
