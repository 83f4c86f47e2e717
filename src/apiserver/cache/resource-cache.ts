/**
 * All objects of one stored kind, in key order, with their recent history and their watchers. Filled once from the store, then kept by
 * the server's one store watch.
 *
 * The order is a plain sorted array. A list keeps the array it started with; the next write copies the array (pointers, not objects), so
 * a list that takes long to send is consistent and costs nothing. Rejected: a persistent tree (slower to read, more code) and copying
 * for each list.
 */
import type { Clock } from "#base";
import type { DecodedPool } from "./decoded-pool.ts";
import { CacheEvent } from "./cache-event.ts";
import { CacheStats } from "./cache-stats.ts";
import { EventHistory } from "./history.ts";
import { indexedFieldOf, type Selection } from "./selection.ts";
import type { StoredKind } from "../resource.ts";
import type { StoredObject } from "./stored-object.ts";
import { type Unreadable, unreadableError, unreadableListError } from "./unreadable.ts";
import { type Watcher, WatcherIndex } from "./watcher-index.ts";

/** Lists in pages keep what they started with this many times for each kind; older ones are read from the store. */
const snapshotsMax = 8;
/** Old ones keep old objects alive; a client that comes back later is answered from the store. */
const snapshotMs = 60_000;

export interface Change {
  readonly key: string;
  readonly revision: number;
  readonly object: StoredObject | undefined;
}

/** How far a cache is that isn't where the others are. */
export interface Behind {
  /** Complete up to this one. */
  readonly revision: number;
  /** Nothing to wait for: undefined. Rejects when it won't come to that any more. */
  until(revision: number): Promise<void> | undefined;
}

export class ResourceCache {
  readonly kind: StoredKind;
  readonly watchers: WatcherIndex;
  readonly stats = new CacheStats();
  /** Of all objects, encoded. */
  bytes = 0;
  /** Set while what comes in waits for its conversion. */
  behind: Behind | undefined;
  /** Milliseconds since the epoch. */
  readonly madeAt: number;
  #over = false;
  /** Only when there are some. */
  #unreadable: Map<string, Unreadable> | undefined;
  readonly #history: EventHistory;
  readonly #byKey = new Map<string, StoredObject>();
  readonly #pool: DecodedPool;
  readonly #indexedField: string | undefined;
  readonly #clock: Clock;
  /** In the order of their making. */
  readonly #snapshots = new Map<number, { objects: readonly StoredObject[]; until: number }>();
  readonly #loadedAt: number;
  #byIndex: Map<string, Map<string, StoredObject>> | undefined;
  #sorted: StoredObject[];
  #shared = false;
  #changedAt: number;

  constructor(options: ResourceCacheOptions) {
    this.kind = options.kind;
    this.#sorted = options.objects;
    this.#pool = options.pool;
    this.#clock = options.clock;
    this.madeAt = options.clock.now();
    if (options.unreadable?.size) this.#unreadable = new Map(options.unreadable);
    this.#loadedAt = options.revision;
    this.#changedAt = options.revision;
    this.#history = new EventHistory(options.revision);
    this.#indexedField = indexedFieldOf(options.kind);
    this.watchers = new WatcherIndex(this.#indexedField);
    for (const object of options.objects) {
      this.#byKey.set(object.key, object);
      this.bytes += object.body.length;
    }
  }

  /** Gets no events any more: a watch on it would wait forever. */
  get over(): boolean {
    return this.#over;
  }

  end(): void {
    this.#over = true;
    for (const watcher of [...this.watchers.all()]) watcher.end();
  }

  /** Revision of the last change: for those who derive something from all objects. */
  get changedAt(): number {
    return this.#changedAt;
  }

  get size(): number {
    return this.#sorted.length;
  }

  /** Something here can't be read. */
  get spoiled(): boolean {
    return this.#unreadable !== undefined;
  }

  /** Throws a StatusError when something here can't be read: for whoever must not miss anything. */
  checkReadable(): void {
    if (!this.#unreadable) return;
    const all = [...this.#unreadable.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
    const [first] = all;
    if (first) throw unreadableListError(first, all);
  }

  /** Throws a StatusError when it is there but can't be read. */
  get(key: string): StoredObject | undefined {
    const unreadable = this.#unreadable?.get(key);
    if (unreadable) throw unreadableError(unreadable);
    return this.#byKey.get(key);
  }

  /** All objects as of now, in order; stays as it is. */
  all(): readonly StoredObject[] {
    this.checkReadable();
    this.#shared = true;
    return this.#sorted;
  }

  /** Those a selection picks, in order. Copied, unless it is all of them. */
  select(selection: Selection): readonly StoredObject[] {
    if (selection.exactKey !== undefined) {
      const only = this.get(selection.exactKey);
      return only && selection.matches(only) ? [only] : [];
    }
    this.checkReadable();
    if (selection.indexValue !== undefined) return this.#selectByIndex(selection, selection.indexValue);
    if (selection.everything && selection.keyPrefix === "") return this.all();
    return selectFrom(this.#sorted, selection);
  }

  /** Keeps the present state for later pages of a list at this revision. */
  keepSnapshot(revision: number): void {
    if (this.#snapshots.has(revision)) return;
    if (this.#snapshots.size >= snapshotsMax) this.#dropSnapshot();
    this.#snapshots.set(revision, { objects: this.all(), until: this.#clock.now() + snapshotMs });
  }

  snapshot(revision: number): readonly StoredObject[] | undefined {
    this.#expireSnapshots(); // nothing may have changed here since
    return this.#snapshots.get(revision)?.objects;
  }

  /** Undefined: that far back is not here. */
  eventsAfter(revision: number): readonly CacheEvent[] | undefined {
    return revision < this.#history.completeAfter ? undefined : this.#history.after(revision);
  }

  get historyStart(): number {
    return this.#history.completeAfter;
  }

  apply({ key, revision, object }: Change, touched: Set<Watcher>): CacheEvent | undefined {
    if (revision <= this.#loadedAt) return undefined;
    const previous = this.#byKey.get(key);
    if (this.#unreadable?.delete(key) && this.#unreadable.size === 0) this.#unreadable = undefined;
    if (!object && !previous) return undefined;
    this.#changedAt = revision;
    this.#expireSnapshots();
    if (object) this.#put(object, previous);
    else if (previous) this.#remove(previous);
    const event = new CacheEvent({ revision, object, previous, pool: this.#pool });
    this.#history.add(event);
    this.stats.received++;
    if (!this.watchers.empty) this.stats.dispatched++;
    this.watchers.dispatch(event, touched);
    return event;
  }

  /** What was put there can't be read. Watches end: they can't be told what they should see. */
  spoil({ key, revision }: Pick<Change, "key" | "revision">, unreadable: Unreadable): void {
    if (revision <= this.#loadedAt) return;
    this.#changedAt = revision;
    const previous = this.#byKey.get(key);
    if (previous) this.#remove(previous);
    this.#unreadable ??= new Map();
    this.#unreadable.set(key, unreadable);
    this.end();
  }

  #expireSnapshots(): void {
    if (this.#snapshots.size === 0) return;
    const now = this.#clock.now();
    for (const [revision, { until }] of this.#snapshots) if (until < now) this.#snapshots.delete(revision);
  }

  #dropSnapshot(): void {
    for (const revision of this.#snapshots.keys()) {
      this.#snapshots.delete(revision);
      return;
    }
  }

  #put(object: StoredObject, previous: StoredObject | undefined): void {
    this.#own();
    this.bytes += object.body.length - (previous?.body.length ?? 0);
    this.#byKey.set(object.key, object);
    const at = lowerBound(this.#sorted, object.key);
    if (previous) this.#sorted[at] = object;
    else if (at === this.#sorted.length) this.#sorted.push(object);
    else this.#sorted.splice(at, 0, object);
    if (this.#byIndex) {
      if (previous) this.#unindex(previous);
      this.#index(object);
    }
  }

  #remove(previous: StoredObject): void {
    this.#own();
    this.bytes -= previous.body.length;
    this.#byKey.delete(previous.key);
    this.#sorted.splice(lowerBound(this.#sorted, previous.key), 1);
    if (this.#byIndex) this.#unindex(previous);
  }

  #own(): void {
    if (!this.#shared) return;
    this.#sorted = this.#sorted.slice();
    this.#shared = false;
  }

  #selectByIndex(selection: Selection, value: string): readonly StoredObject[] {
    if (!this.#byIndex) {
      this.#byIndex = new Map();
      for (const object of this.#sorted) this.#index(object);
    }
    const found = [...(this.#byIndex.get(value)?.values() ?? [])].filter((object) => selection.matches(object));
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  #index(object: StoredObject): void {
    const value = this.#indexedField === undefined ? undefined : object.field(this.#indexedField);
    if (value === undefined || !this.#byIndex) return;
    let group = this.#byIndex.get(value);
    if (!group) {
      group = new Map();
      this.#byIndex.set(value, group);
    }
    group.set(object.key, object);
  }

  #unindex(object: StoredObject): void {
    const value = this.#indexedField === undefined ? undefined : object.field(this.#indexedField);
    if (value === undefined || !this.#byIndex) return;
    const group = this.#byIndex.get(value);
    group?.delete(object.key);
    if (group?.size === 0) this.#byIndex.delete(value);
  }
}

export interface ResourceCacheOptions {
  readonly kind: StoredKind;
  /** In key order; the cache's own from now on. */
  readonly objects: StoredObject[];
  /** At which they were read. */
  readonly revision: number;
  readonly unreadable?: ReadonlyMap<string, Unreadable>;
  readonly pool: DecodedPool;
  readonly clock: Clock;
}

/** Objects of a sorted array that a selection picks; a bare namespace is a slice. */
export function selectFrom(sorted: readonly StoredObject[], selection: Selection): readonly StoredObject[] {
  const { keyPrefix, everything } = selection;
  const from = keyPrefix === "" ? 0 : lowerBound(sorted, keyPrefix);
  // '0' follows '/': the first key behind the namespace.
  const to = keyPrefix === "" ? sorted.length : lowerBound(sorted, `${keyPrefix.slice(0, -1)}0`);
  if (everything) return sorted.slice(from, to);
  const found: StoredObject[] = [];
  for (let i = from; i < to; i++) {
    const object = sorted[i]!; // i is inside
    if (selection.matches(object)) found.push(object);
  }
  return found;
}

/** The position of the first object whose key is not below `key`. */
export function lowerBound(sorted: readonly StoredObject[], key: string): number {
  let low = 0;
  let high = sorted.length;
  // New objects often sort last.
  if (high > 0 && sorted[high - 1]!.key < key) return high; // there is one
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]!.key < key)
      low = middle + 1; // middle is inside
    else high = middle;
  }
  return low;
}
