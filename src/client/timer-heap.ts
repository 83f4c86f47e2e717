/**
 * Many delayed keys, one timer: a binary heap by time. A key is in it at most once, with the earliest time asked for.
 */
import type { Clock } from "#base";

interface Entry {
  readonly key: string;
  at: number;
  position: number;
}

export class TimerHeap {
  readonly #clock: Clock;
  readonly #onDue: (key: string) => void;
  readonly #heap: Entry[] = [];
  readonly #entries = new Map<string, Entry>();
  #cancelTimer: (() => void) | undefined;
  #timerAt = Infinity;

  constructor(clock: Clock, onDue: (key: string) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** The key that is due first. */
  get first(): string | undefined {
    return this.#heap[0]?.key;
  }

  add(key: string, at: number): void {
    const known = this.#entries.get(key);
    if (known) {
      if (known.at <= at) return;
      known.at = at;
      this.#up(known);
    } else {
      const entry: Entry = { key, at, position: this.#heap.length };
      this.#entries.set(key, entry);
      this.#heap.push(entry);
      this.#up(entry);
    }
    this.#schedule();
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry) this.#remove(entry);
  }

  clear(): void {
    this.#heap.length = 0;
    this.#entries.clear();
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#timerAt = Infinity;
  }

  #schedule(): void {
    const first = this.#heap[0];
    if (!first || first.at >= this.#timerAt) return;
    this.#cancelTimer?.();
    this.#timerAt = first.at;
    this.#cancelTimer = this.#clock.after(Math.max(0, first.at - this.#clock.now()), () => this.#fire());
  }

  #fire(): void {
    this.#cancelTimer = undefined;
    this.#timerAt = Infinity;
    const now = this.#clock.now();
    for (let first = this.#heap[0]; first && first.at <= now; first = this.#heap[0]) {
      this.#remove(first);
      this.#onDue(first.key);
    }
    this.#schedule();
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry.key);
    const last = this.#heap.pop();
    if (!last || last === entry) return;
    this.#place(last, entry.position);
    this.#up(last);
    this.#down(last);
  }

  #place(entry: Entry, position: number): void {
    this.#heap[position] = entry;
    entry.position = position;
  }

  #up(entry: Entry): void {
    while (entry.position > 0) {
      const position = entry.position;
      const parent = this.#heap[(position - 1) >> 1];
      if (!parent || parent.at <= entry.at) return;
      this.#place(entry, parent.position);
      this.#place(parent, position);
    }
  }

  #down(entry: Entry): void {
    for (;;) {
      const position = entry.position;
      const left = this.#heap[2 * position + 1];
      const right = this.#heap[2 * position + 2];
      const child = right && left && right.at < left.at ? right : left;
      if (!child || child.at >= entry.at) return;
      this.#place(entry, child.position);
      this.#place(child, position);
    }
  }
}
