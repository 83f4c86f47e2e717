import type { StoreError, StoreEvent, WatchRequest } from "../store.ts";
import { compareKeys } from "./key-index.ts";
import type { LogRow, Reader } from "./reader.ts";
import { nextSlice, sliceMs } from "./slice.ts";

export interface WatchSource {
  readonly reader: Reader;
  readonly durableRevision: () => number;
  /** The error to end with when history from `revision` is gone; undefined when it is complete. */
  readonly endReason: (revision: number) => StoreError | undefined;
}

interface Watcher {
  readonly start: string;
  readonly end: string;
  readonly request: WatchRequest;
  /** The first revision it has not seen. */
  next: number;
  cancelled: boolean;
  /** Events of the commit being delivered. */
  batch: StoreEvent[];
}

/**
 * Hands every durable event to the watchers of its key. A watcher that asks for history reads the log in slices; in the moment it has
 * caught up, and without giving way to anything, it joins the live ones. So there is no gap, nothing twice, and no queue for each watcher.
 */
export class WatchHub {
  readonly #source: WatchSource;
  /** Ordered by start; `#ends[i]` is the greatest end of watchers 0 to i, so that a search knows when to stop. */
  #live: Watcher[] = [];
  #ends: string[] = [];
  readonly #all = new Set<Watcher>();

  constructor(source: WatchSource) {
    this.#source = source;
  }

  add(request: WatchRequest): () => void {
    const { start, end = `${start}\0`, fromRevision } = request;
    const next = fromRevision || this.#source.durableRevision() + 1; // 0 is "now" as well, as in etcd.
    const watcher: Watcher = { start, end, request, next, cancelled: false, batch: [] };
    this.#all.add(watcher);
    if (next > this.#source.durableRevision() && !this.#source.endReason(next)) this.#goLive(watcher);
    else void this.#catchUp(watcher);
    return () => this.#remove(watcher);
  }

  /** Events of one commit, in order. */
  deliver(events: readonly StoreEvent[], revision: number): void {
    const touched: Watcher[] = [];
    for (const event of events) {
      for (const watcher of this.#watching(event.item.key)) {
        if (event.item.modRevision < watcher.next) continue;
        if (watcher.batch.length === 0) touched.push(watcher);
        watcher.batch.push(event);
      }
    }
    for (const watcher of touched) {
      const batch = watcher.batch;
      watcher.batch = [];
      watcher.next = revision + 1;
      call(watcher, () => watcher.request.onEvents(batch, revision));
    }
  }

  close(reason: StoreError): void {
    for (const watcher of [...this.#all]) this.#finish(watcher, reason);
  }

  async #catchUp(watcher: Watcher): Promise<void> {
    const { reader, durableRevision, endReason } = this.#source;
    await nextSlice(); // The caller gets its cancel function before the first call.
    while (!watcher.cancelled) {
      const reason = endReason(watcher.next);
      if (reason) return this.#finish(watcher, reason);
      const to = durableRevision();
      if (watcher.next > to) return this.#goLive(watcher);
      try {
        const { events, next } = readEvents(reader, watcher, to);
        watcher.next = next;
        if (events.length > 0) call(watcher, () => watcher.request.onEvents(events, next - 1));
      } catch (error) {
        return this.#finish(watcher, error as StoreError); // The reader throws nothing else.
      }
      if (watcher.next <= durableRevision()) await nextSlice();
    }
  }

  #goLive(watcher: Watcher): void {
    this.#setLive([...this.#live, watcher].sort((a, b) => compareKeys(a.start, b.start)));
  }

  #remove(watcher: Watcher): void {
    watcher.cancelled = true;
    this.#all.delete(watcher);
    if (this.#live.includes(watcher)) this.#setLive(this.#live.filter((other) => other !== watcher));
  }

  #finish(watcher: Watcher, reason: StoreError): void {
    call(watcher, () => watcher.request.onEnd(reason));
    this.#remove(watcher);
  }

  #setLive(live: Watcher[]): void {
    let greatest = "";
    this.#live = live;
    this.#ends = live.map(({ end }) => {
      if (compareKeys(end, greatest) > 0) greatest = end;
      return greatest;
    });
  }

  *#watching(key: string): Generator<Watcher> {
    let at = 0;
    let high = this.#live.length;
    while (at < high) {
      const middle = (at + high) >>> 1;
      if (compareKeys(this.#live[middle]!.start, key) <= 0)
        at = middle + 1; // middle < high <= length
      else high = middle;
    }
    for (at--; at >= 0 && compareKeys(key, this.#ends[at]!) < 0; at--) {
      const watcher = this.#live[at]!; // 0 <= at < length
      if (compareKeys(key, watcher.end) < 0) yield watcher;
    }
  }
}

function readEvents(
  reader: Reader,
  { next: from, start, end }: Watcher,
  to: number,
): { events: StoreEvent[]; next: number } {
  const events: StoreEvent[] = [];
  const deadline = performance.now() + sliceMs;
  const next = reader.scan({ from, to, start, end, deadline }, (row: LogRow) => events.push(reader.event(row)));
  return { events, next };
}

/** A watcher that throws is a bug of its owner: it surfaces as uncaught, and the other watchers still get their events. */
function call(watcher: Watcher, run: () => void): void {
  if (watcher.cancelled) return;
  try {
    run();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
