/** A binary heap whose members can leave from the middle. */
export class Heap<T extends object> {
  readonly #isBefore: (a: T, b: T) => boolean;
  readonly #items: T[] = [];
  readonly #positions = new Map<T, number>();

  constructor(isBefore: (a: T, b: T) => boolean) {
    this.#isBefore = isBefore;
  }

  get size(): number {
    return this.#items.length;
  }

  push(item: T): void {
    this.#place(item, this.#items.length);
    this.#up(item);
  }

  pop(): T | undefined {
    const [first] = this.#items;
    if (first) this.delete(first);
    return first;
  }

  delete(item: T): boolean {
    const position = this.#positions.get(item);
    if (position === undefined) return false;
    this.#positions.delete(item);
    const last = this.#items.pop();
    if (last && last !== item) {
      this.#place(last, position);
      this.#up(last);
      this.#down(last);
    }
    return true;
  }

  #place(item: T, position: number): void {
    this.#items[position] = item;
    this.#positions.set(item, position);
  }

  #up(item: T): void {
    let position = this.#positions.get(item) ?? 0;
    while (position > 0) {
      const above = (position - 1) >> 1;
      const parent = this.#items[above];
      if (!parent || !this.#isBefore(item, parent)) return;
      this.#place(parent, position);
      this.#place(item, above);
      position = above;
    }
  }

  #down(item: T): void {
    for (;;) {
      const position = this.#positions.get(item) ?? 0;
      const left = this.#items[2 * position + 1];
      const right = this.#items[2 * position + 2];
      const child = left && right && this.#isBefore(right, left) ? right : left;
      if (!child || !this.#isBefore(child, item)) return;
      const below = this.#positions.get(child) ?? 0;
      this.#place(child, position);
      this.#place(item, below);
    }
  }
}
