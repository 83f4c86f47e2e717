/**
 * A store whose values are encrypted on their way in and opened on their way out, so that everything above works on plain bytes and only
 * ciphertext reaches the disk. A value that can't be opened is handed on as it lies there; `unreadable` says why, so that one bad value
 * doesn't take the others along.
 */
import {
  type KeyValue,
  type Operation,
  type Store,
  StoreError,
  type StoreEvent,
  type Transaction,
  type TransactionResult,
  type WatchRequest,
} from "#store";
import { prefixOf } from "../cache/key-prefix.ts";
import type { Encryption } from "./encryption.ts";

export function encryptedStore(inner: Store, encryption: Encryption): Store {
  const failures = new WeakMap<Uint8Array, Error>();
  /** What was just written needn't be opened again when it comes by as an event. */
  const plain = new WeakMap<Uint8Array, Uint8Array>();

  const open = (item: KeyValue): KeyValue => {
    const { key, value } = item;
    if (value.length === 0) return item;
    const known = plain.get(value);
    if (known) return { ...item, value: known };
    const stored = bufferOf(value);
    try {
      const { value: opened } = encryption.of(prefixOf(key)).fromStorage(stored, key);
      return opened === stored ? item : { ...item, value: opened };
    } catch (error) {
      failures.set(value, error as Error);
      return item;
    }
  };
  /** Fetches the keys that these need; undefined when all are here. */
  const prepare = (items: readonly (KeyValue | undefined)[]): Promise<unknown> | undefined => {
    let waits: Promise<void>[] | undefined;
    for (const item of items) {
      if (!item || plain.has(item.value)) continue;
      const wait = encryption.of(prefixOf(item.key)).prepare?.(bufferOf(item.value));
      if (wait) {
        waits ??= [];
        waits.push(wait);
      }
    }
    return waits && Promise.all(waits);
  };
  const openEvent = (event: StoreEvent): StoreEvent => {
    const { previous } = event;
    return {
      type: event.type,
      item: open(event.item),
      // Few look at it.
      get previous() {
        return previous && open(previous);
      },
    };
  };
  const seal = (key: string, value: Buffer): Buffer => {
    try {
      return encryption.of(prefixOf(key)).toStorage(value, key);
    } catch (error) {
      throw new StoreError({ code: "not-encrypted", key }, (error as Error).message);
    }
  };
  const close = (operation: Operation): Operation => {
    if (operation.type !== "put") return operation;
    const { key, value } = operation;
    const stored = seal(key, bufferOf(value));
    if (stored.buffer === value.buffer && stored.byteOffset === value.byteOffset) return operation;
    plain.set(stored, value);
    return { ...operation, value: stored };
  };

  return {
    revision: () => inner.revision(),
    async range(request) {
      const result = await inner.range(request);
      if (request.keysOnly || request.countOnly) return result;
      const wait = prepare(result.items);
      if (wait) await wait;
      return { ...result, items: result.items.map(open) };
    },
    async transact({ compare, operations }: Transaction): Promise<TransactionResult> {
      const result = await inner.transact({ compare, operations: operations.map(close) });
      const items = result.succeeded ? result.previous : result.current;
      const wait = prepare(items);
      if (wait) await wait;
      const opened = items.map((item) => item && open(item));
      return result.succeeded ? { ...result, previous: opened } : { ...result, current: opened };
    },
    watch: (request) => watchOpened(inner, request, { prepare, openEvent }),
    async isStale(key) {
      const { items } = await inner.range({ start: key });
      const [item] = items;
      if (!item) return false;
      const wait = prepare([item]);
      if (wait) await wait;
      return encryption.of(prefixOf(key)).fromStorage(bufferOf(item.value), key).stale;
    },
    unreadable: (value) => failures.get(value),
    compact: (revision) => inner.compact(revision),
    grantLease: (ttlSeconds) => inner.grantLease(ttlSeconds),
    keepLeaseAlive: (lease) => inner.keepLeaseAlive(lease),
    revokeLease: (lease) => inner.revokeLease(lease),
    size: () => inner.size(),
    close: () => inner.close(),
  };
}

interface Opening {
  prepare(items: readonly (KeyValue | undefined)[]): Promise<unknown> | undefined;
  openEvent(event: StoreEvent): StoreEvent;
}

/** In order, also when one batch has to wait for a key. */
function watchOpened(inner: Store, request: WatchRequest, { prepare, openEvent }: Opening): () => void {
  let before: Promise<unknown> | undefined;
  let cancelled = false;
  const deliver = (events: readonly StoreEvent[], revision: number) => {
    if (!cancelled) request.onEvents(events.map(openEvent), revision);
  };
  const cancel = inner.watch({
    ...request,
    onEvents(events, revision) {
      const wait = prepare(events.flatMap(({ item, previous }) => [item, previous]));
      if (!wait && !before) return deliver(events, revision);
      const turn: Promise<unknown> = Promise.all([before, wait]).then(() => {
        if (before === turn) before = undefined;
        deliver(events, revision);
      });
      before = turn;
    },
    onEnd(reason) {
      if (before) void before.then(() => cancelled || request.onEnd(reason));
      else request.onEnd(reason);
    },
  });
  return () => {
    cancelled = true;
    cancel();
  };
}

const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
