/** The last changes of one resource, so that a watch that broke resumes where it was. Bounded by count and by bytes. */
import type { CacheEvent } from "./cache-event.ts";

/** Protects memory; at 3.4 kB a pod about 4 MB of old revisions. */
export const historyBytesMax = 4 * 1024 * 1024;
/** Protects the time a resume takes to scan. */
export const historyEventsMax = 8_192;
/** Large objects still get a window. */
export const historyEventsMin = 100;

export class EventHistory {
  #events: CacheEvent[] = [];
  #first = 0;
  #bytes = 0;
  #completeAfter: number;

  constructor(revision: number) {
    this.#completeAfter = revision;
  }

  /** Every event after this revision is here. */
  get completeAfter(): number {
    return this.#completeAfter;
  }

  add(event: CacheEvent): void {
    this.#events.push(event);
    this.#bytes += event.bytes;
    while (this.#tooMuch()) {
      const dropped = this.#events[this.#first++]!; // there are more than the minimum
      this.#bytes -= dropped.bytes;
      this.#completeAfter = dropped.revision;
    }
    // The array is cut now and then, not at every event.
    if (this.#first > 1_024 && this.#first > this.#events.length / 2) {
      this.#events = this.#events.slice(this.#first);
      this.#first = 0;
    }
  }

  /** In order. Only right for a revision not below `completeAfter`. */
  after(revision: number): readonly CacheEvent[] {
    let low = this.#first;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#events[middle]!.revision > revision)
        high = middle; // middle is inside
      else low = middle + 1;
    }
    return this.#events.slice(low);
  }

  #tooMuch(): boolean {
    const count = this.#events.length - this.#first;
    return count > historyEventsMax || (this.#bytes > historyBytesMax && count > historyEventsMin);
  }
}
