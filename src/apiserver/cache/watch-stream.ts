/**
 * One watch: first what is there (or what happened since a revision), then every change, in order, none twice, none left out.
 * It is registered with the cache in the same step that takes the starting point; what happens while the start is being sent waits in
 * a bounded backlog. A client that can't keep up is cut off: it resumes from the last revision it saw.
 */
import { setImmediate } from "node:timers/promises";
import type { Clock } from "#base";
import { type Status, type StatusError, statusError } from "#machinery";
import type { BookmarkReceiver, BookmarkTimer } from "./bookmarks.ts";
import type { CacheEvent, SeenEvent } from "./cache-event.ts";
import type { ResourceCache } from "./resource-cache.ts";
import type { Selection } from "./selection.ts";
import type { StoredObject } from "./stored-object.ts";
import type { Watcher } from "./watcher-index.ts";

/** Events are shared, so a full backlog costs references (8 B) and keeps old objects alive; above it the watch is closed. */
export const watchBacklogEventsMax = 8_192;
/** And their bytes: a few large objects that change fast would be kept in all their revisions. */
export const watchBacklogBytesMax = 32 * 1024 * 1024;
/** Events of the start handed over between two turns of the event loop: about 2 ms of work. */
const startEventsMax = 64;
/** Handed over at once: what one watcher that doesn't read can keep, beside its backlog. */
const pieceBytesMax = 64 * 1024;
/** Upstream sends the last bookmark this long before the end. */
const lastBookmarkBeforeMs = 2_000;

/** Where a watch goes: bytes to a socket, or objects to a function in this process. */
export interface WatchConsumer<T> {
  event(seen: SeenEvent, event: CacheEvent | undefined): T;
  bookmark(revision: number, initialEventsEnd: boolean): T;
  error(status: Status): T;
  /** A promise: not ready for more until it resolves. */
  deliver(items: readonly T[]): Promise<void> | undefined;
  end(): void;
}

export type WatchStart =
  /** Over before it began, with or without a word. */
  | { readonly from: "nothing"; readonly error?: StatusError | undefined }
  /** The state, as ADDED events; `marked`: followed by the bookmark that ends it. */
  | { readonly from: "state"; readonly marked: boolean }
  /** What happened since; `replayed` holds what the cache no longer has. */
  | { readonly from: "revision"; readonly revision: number; readonly replayed?: Replayed | undefined };

export interface Replayed {
  readonly events: readonly CacheEvent[];
  /** They are complete up to and with this revision. */
  readonly until: number;
}

export interface WatchStreamOptions<T> {
  readonly cache: ResourceCache;
  readonly selection: Selection;
  readonly start: WatchStart;
  /** Of the cache, now. */
  readonly revision: number;
  readonly timeoutMs: number;
  readonly bookmarks: BookmarkTimer | undefined;
  readonly clock: Clock;
  readonly consumer: WatchConsumer<T>;
}

export class WatchStream<T> implements Watcher, BookmarkReceiver {
  readonly selection: Selection;
  readonly #cache: ResourceCache;
  readonly #consumer: WatchConsumer<T>;
  readonly #after: number;
  readonly #cleanup: (() => void)[] = [];
  #backlog: T[] = [];
  #backlogBytes = 0;
  #busy = true;
  #over = false;
  #ending = false;
  #seen: number;
  #resolve: () => void = () => undefined;
  #begun: () => void = () => undefined;
  /** Resolves when what it begins with has been handed over, or it is over. */
  readonly started: Promise<void> = new Promise((resolve) => {
    this.#begun = resolve;
  });
  /** Resolves when the watch is over, for whatever reason. */
  readonly done: Promise<void> = new Promise((resolve) => {
    this.#resolve = resolve;
  });

  constructor(options: WatchStreamOptions<T>) {
    const { cache, selection, start, revision, timeoutMs, bookmarks, clock, consumer } = options;
    this.selection = selection;
    this.#cache = cache;
    this.#consumer = consumer;
    this.#after = start.from === "revision" ? Math.max(start.revision, revision) : revision;
    this.#seen = this.#after;
    if (start.from === "nothing") {
      if (start.error) this.#refuse(start.error);
      else this.#stop();
      return;
    }
    const first = start.from === "state" ? cache.select(selection) : eventsSince(cache, start);
    if (first === undefined) {
      const asked = start.from === "revision" ? start.revision : 0;
      this.#refuse(statusError.expired(`too old resource version: ${asked} (${cache.historyStart})`));
      return;
    }
    if (cache.over) {
      this.#stop();
      return;
    }
    this.#cleanup.push(cache.watchers.add(this));
    this.#cleanup.push(clock.after(timeoutMs, () => this.end()));
    if (bookmarks) {
      this.#cleanup.push(bookmarks.add(this));
      const last = timeoutMs - lastBookmarkBeforeMs;
      if (last > 0) this.#cleanup.push(clock.after(last, () => this.bookmark(this.#seen)));
    }
    void this.#begin(first, start.from === "state" && start.marked ? revision : undefined);
  }

  accept(event: CacheEvent): void {
    if (this.#over || event.revision <= this.#after) return;
    this.#seen = event.revision;
    const seen = event.seenBy(this.selection);
    if (!seen) return;
    if (this.#backlog.length >= watchBacklogEventsMax || this.#backlogBytes >= watchBacklogBytesMax) {
      this.#cache.stats.terminated++;
      this.#stop();
      return;
    }
    const item = this.#consumer.event(seen, event);
    this.#backlog.push(item);
    this.#backlogBytes += bytesOf(item);
  }

  flush(): void {
    if (!this.#busy && this.#backlog.length > 0) this.#send();
  }

  bookmark(revision: number): void {
    if (this.#over) return;
    // Not beyond what still waits for its conversion.
    this.#seen = Math.max(this.#seen, Math.min(revision, this.#cache.behind?.revision ?? revision));
    const item = this.#consumer.bookmark(this.#seen, false);
    this.#backlog.push(item);
    this.#backlogBytes += bytesOf(item);
    this.flush();
  }

  /** Ends the answer properly, after what is waiting. */
  end(): void {
    if (this.#over) return;
    this.#ending = true;
    if (!this.#busy) {
      if (this.#backlog.length > 0) this.#send();
      else this.#stop();
    }
  }

  /** The client has gone. */
  cancel(): void {
    this.#stop();
  }

  async #begin(first: readonly (StoredObject | CacheEvent)[], mark: number | undefined): Promise<void> {
    let items: T[] = [];
    let bytes = 0;
    for (const [index, each] of first.entries()) {
      if (this.#over) return;
      const seen = "key" in each ? { type: "ADDED" as const, object: each } : each.seenBy(this.selection);
      if (seen) {
        const item = this.#consumer.event(seen, undefined);
        items.push(item);
        bytes += bytesOf(item);
      }
      const turn = (index + 1) % startEventsMax === 0;
      if (bytes >= pieceBytesMax || turn) {
        if (items.length > 0) await this.#consumer.deliver(items);
        [items, bytes] = [[], 0];
      }
      if (turn) await setImmediate();
    }
    if (this.#over) return;
    if (items.length > 0) await this.#consumer.deliver(items);
    if (this.#over) return;
    if (mark !== undefined) await this.#consumer.deliver([this.#consumer.bookmark(mark, true)]);
    this.#begun();
    this.#next();
  }

  #send(): void {
    while (this.#backlog.length > 0) {
      const wait = this.#consumer.deliver(this.#takePiece());
      if (!wait) continue;
      this.#busy = true;
      void wait.then(() => this.#next());
      return;
    }
    if (this.#ending) this.#stop();
  }

  #takePiece(): readonly T[] {
    let items = this.#backlog;
    if (this.#backlogBytes <= pieceBytesMax) {
      [this.#backlog, this.#backlogBytes] = [[], 0];
      return items;
    }
    let count = 0;
    let bytes = 0;
    while (count < items.length && (count === 0 || bytes < pieceBytesMax)) bytes += bytesOf(items[count++]);
    items = this.#backlog.splice(0, count);
    this.#backlogBytes -= bytes;
    return items;
  }

  #next(): void {
    this.#busy = false;
    if (this.#over) return;
    if (this.#backlog.length > 0) this.#send();
    else if (this.#ending) this.#stop();
  }

  #refuse(error: StatusError): void {
    this.#consumer.deliver([this.#consumer.error(error.status)]);
    this.#stop();
  }

  #stop(): void {
    if (this.#over) return;
    this.#over = true;
    [this.#backlog, this.#backlogBytes] = [[], 0];
    for (const each of this.#cleanup.splice(0)) each();
    this.#consumer.end();
    this.#begun();
    this.#resolve();
  }
}

/** Objects handed over in this process are the cache's own and cost nothing. */
const bytesOf = (item: unknown): number => (item instanceof Uint8Array ? item.length : 0);

function eventsSince(
  cache: ResourceCache,
  { revision, replayed }: Extract<WatchStart, { from: "revision" }>,
): readonly CacheEvent[] | undefined {
  if (!replayed) return cache.eventsAfter(revision);
  const newer = cache.eventsAfter(replayed.until);
  return newer && [...replayed.events, ...newer];
}
