/** Reads and writes of stored objects: the watch cache for reading, compare-and-swap transactions of the store for writing. */
import { type DeepReadonly, type KubernetesObject, statusError } from "#machinery";
import { type Operation, type Store, StoreError, type Transaction } from "#store";
import { encodeValue } from "../cache/encode.ts";
import type { ResourceCache } from "../cache/resource-cache.ts";
import type { StoredObject } from "../cache/stored-object.ts";
import type { WatchCaches } from "../cache/watch-caches.ts";
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

  constructor(caches: WatchCaches) {
    this.caches = caches;
    this.#store = caches.store;
  }

  /** The newest state; undefined when there is none. */
  async read(kind: StoredKind, key: string): Promise<StoredObject | undefined> {
    const wait = this.caches.fresh();
    if (wait) await wait;
    const cache = this.caches.of(kind);
    return (cache instanceof Promise ? await cache : cache).get(key);
  }

  async cache(kind: StoredKind): Promise<ResourceCache> {
    const wait = this.caches.fresh();
    if (wait) await wait;
    return this.caches.of(kind);
  }

  async write(request: WriteRequest): Promise<WriteResult> {
    const { kind, key, object, expected, side, lease } = request;
    const full = kind.prefix + key;
    let value: Buffer | undefined;
    let operation: Operation = { type: "delete", key: full };
    if (object) {
      value = encodeValue(kind, object);
      this.caches.expect(value, object);
      operation = { type: "put", key: full, value, ...(lease !== undefined && { lease }) };
    }
    const result = await this.#transact({
      compare: [{ key: full, modRevision: expected }, ...(side?.compare ?? [])],
      operations: [operation, ...(side?.operations ?? [])],
    });
    if (result.succeeded) {
      const { revision } = result;
      return { type: "written", revision, object: value && this.#written({ kind, key, value, revision }) };
    }
    const [current] = result.current;
    if ((current?.modRevision ?? 0) === expected) return { type: "side-lost" };
    return { type: "lost", current: current && this.caches.objectOf(kind, current) };
  }

  /** The same bytes that the cache has, if it has them already. */
  #written({
    kind,
    key,
    value,
    revision,
  }: {
    kind: StoredKind;
    key: string;
    value: Buffer;
    revision: number;
  }): StoredObject {
    const cache = this.caches.of(kind);
    const cached = cache instanceof Promise ? undefined : cache.get(key);
    if (cached?.revision === revision) return cached;
    return this.caches.objectOf(kind, { key: kind.prefix + key, value, modRevision: revision });
  }

  /** What a write would answer if it weren't a dry run: nothing is assigned a revision. */
  dry(kind: StoredKind, key: string, object: DeepReadonly<KubernetesObject>): StoredObject {
    const { resourceVersion: version } = object.metadata ?? {};
    const revision = version ? Number(version) : 0;
    return this.caches.objectOf(kind, {
      key: kind.prefix + key,
      value: encodeValue(kind, object),
      modRevision: revision,
    });
  }

  async #transact(transaction: Transaction) {
    try {
      return await this.#store.transact(transaction);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      const { code } = error.detail;
      if (code === "too-large") throw statusError.tooLarge("Request entity too large: limit is 3145728");
      // The disk's doing: as upstream hands on what etcd says, so that whoever writes learns what to mend.
      if (code === "no-space" || code === "io") throw plainError(error.message);
      throw error;
    }
  }
}

export const objectKey = (kind: StoredKind, namespace: string, name: string): string =>
  storageKey(kind, namespace, name).slice(kind.prefix.length);
