/** At most so many at once; the others wait, first come, first served. */
export class Slots {
  #free: number;
  #waiting: (() => void)[] = [];
  #next = 0;

  constructor(count: number) {
    this.#free = count;
  }

  /** Runs the work when there is a slot; answers as it does. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      this.#pass();
    }
  }

  /** The slot goes to whoever waits longest. */
  #pass(): void {
    const waiter = this.#waiting[this.#next];
    if (!waiter) {
      this.#free++;
      return;
    }
    waiter();
    if (++this.#next < this.#waiting.length) return;
    this.#waiting = [];
    this.#next = 0;
  }
}
