import { type TestContext, test } from "node:test";
import { type KeyValue, type Store, StoreError, type StoreEvent, type WatchRequest } from "../store.ts";

/** An empty store and what a test may do to it from outside. */
export interface StoreUnderTest {
  readonly store: Store;
  /** Lets time pass for leases. */
  readonly passTime: (ms: number) => void | Promise<void>;
  /** Closes the store and opens it again on the same data; missing when nothing outlives a close. */
  readonly reopen?: () => Promise<Store>;
  readonly close: () => Promise<void>;
}

export type OpenStore = () => Promise<StoreUnderTest>;

/** Registers a test that gets a store of its own. */
export function storeTest(
  name: string,
  open: OpenStore,
  run: (store: Store, fixture: StoreUnderTest) => Promise<void>,
): void {
  test(name, { timeout: 30_000 }, async (context: TestContext) => {
    const fixture = await open();
    context.after(() => fixture.close());
    await run(fixture.store, fixture);
  });
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (item: KeyValue | undefined): string | undefined => item && new TextDecoder().decode(item.value);

interface PutOptions {
  value?: string;
  /** The mod revision it must have; missing: whatever it has. */
  at?: number;
  lease?: number;
}

/** Writes a key; answers its new revision. Fails the test when the compare fails. */
export async function put(store: Store, key: string, { value = key, at, lease = 0 }: PutOptions = {}): Promise<number> {
  const compare = at === undefined ? [] : [{ key, modRevision: at }];
  const result = await store.transact({ compare, operations: [{ type: "put", key, value: bytes(value), lease }] });
  if (!result.succeeded) throw new Error(`${key} is not at revision ${at} but at ${result.current[0]?.modRevision}`);
  return result.revision;
}

export async function remove(store: Store, ...keys: string[]): Promise<number> {
  const result = await store.transact({ compare: [], operations: keys.map((key) => ({ type: "delete", key })) });
  return result.revision;
}

export async function get(store: Store, key: string, revision = 0): Promise<KeyValue | undefined> {
  return (await store.range({ start: key, revision })).items[0];
}

/** Events in short: "put /a=1", "delete /a". */
export function brief({ type, item }: StoreEvent): string {
  return type === "put" ? `put ${item.key}=${text(item)}` : `delete ${item.key}`;
}

/** A watch that remembers what it was told. */
export interface Recording {
  readonly events: StoreEvent[];
  /** The last event's revision for each call. */
  readonly calls: { revision: number; revisions: number[] }[];
  readonly cancel: () => void;
  /** Resolves when it has at least this many events. */
  readonly have: (count: number) => Promise<StoreEvent[]>;
  readonly ended: Promise<StoreError>;
}

export function record(store: Store, request: Omit<WatchRequest, "onEvents" | "onEnd">): Recording {
  const events: StoreEvent[] = [];
  const calls: Recording["calls"] = [];
  let waiters: { count: number; resolve: (events: StoreEvent[]) => void }[] = [];
  const ended = Promise.withResolvers<StoreError>();
  const cancel = store.watch({
    ...request,
    onEvents(batch, revision) {
      events.push(...batch);
      calls.push({ revision, revisions: batch.map(({ item }) => item.modRevision) });
      for (const waiter of waiters) if (events.length >= waiter.count) waiter.resolve(events);
      waiters = waiters.filter((waiter) => events.length < waiter.count);
    },
    onEnd: ended.resolve,
  });
  const have = (count: number) =>
    events.length >= count
      ? Promise.resolve(events)
      : new Promise<StoreEvent[]>((resolve) => waiters.push({ count, resolve }));
  return { events, calls, cancel, have, ended: ended.promise };
}

/** For `assert.rejects`: a StoreError with this code. */
export function failure(code: StoreError["detail"]["code"]) {
  return (error: unknown): boolean => error instanceof StoreError && error.detail.code === code;
}
