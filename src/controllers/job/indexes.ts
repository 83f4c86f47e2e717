/** Completion indexes as a Job's status writes them: `1,3-5,7`. Ranges, because a Job may have a hundred thousand. Never changed. */
type Range = readonly [first: number, last: number];

export class Indexes {
  readonly #ranges: readonly Range[];
  readonly size: number;

  private constructor(ranges: readonly Range[]) {
    this.#ranges = merged(ranges);
    this.size = this.#ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  }

  static of(indexes: Iterable<number>): Indexes {
    return new Indexes(Array.from(indexes, (index) => [index, index]));
  }

  /** What isn't below the bound, or no number, is left out. */
  static parse(text: string | undefined, completions: number): Indexes {
    const ranges: Range[] = [];
    for (const part of (text ?? "").split(",")) {
      const match = /^([0-9]+)(?:-([0-9]+))?$/.exec(part);
      if (!match || Number(match[1]) >= completions) continue;
      ranges.push([Number(match[1]), Math.min(Number(match[2] ?? match[1]), completions - 1)]);
    }
    return new Indexes(ranges);
  }

  has(index: number): boolean {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ranges[middle]?.[1] ?? 0) >= index) high = middle;
      else low = middle + 1;
    }
    return (this.#ranges[low]?.[0] ?? Number.POSITIVE_INFINITY) <= index;
  }

  with(others: Indexes): Indexes {
    return new Indexes([...this.#ranges, ...others.#ranges]);
  }

  /** How many are in both. */
  overlap(others: Indexes): number {
    let count = 0;
    for (let at = 0, other = 0; ; ) {
      const [a, b] = [this.#ranges[at], others.#ranges[other]];
      if (!a || !b) return count;
      count += Math.max(0, Math.min(a[1], b[1]) - Math.max(a[0], b[0]) + 1);
      if (a[1] <= b[1]) at++;
      if (b[1] <= a[1]) other++;
    }
  }

  /** The lowest that are missing. */
  missing(completions: number, countMax: number): number[] {
    const found: number[] = [];
    let index = 0;
    for (const [first, last] of [...this.#ranges, [completions, completions] as const]) {
      for (; index < Math.min(first, completions) && found.length < countMax; index++) found.push(index);
      index = Math.max(index, last + 1);
    }
    return found;
  }

  /** Two neighbours are listed, three or more are a range. */
  toString(): string {
    return this.#ranges
      .map(([first, last]) => (first === last ? `${first}` : `${first}${last === first + 1 ? "," : "-"}${last}`))
      .join(",");
  }
}

function merged(ranges: readonly Range[]): Range[] {
  const result: [number, number][] = [];
  for (const [first, last] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const previous = result.at(-1);
    if (previous && first <= previous[1] + 1) previous[1] = Math.max(previous[1], last);
    else result.push([first, last]);
  }
  return result;
}
