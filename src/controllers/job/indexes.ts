/** Completion indexes as a Job's status writes them: `1,3-5,7`. */
export class Indexes {
  readonly #indexes: ReadonlySet<number>;

  constructor(indexes: Iterable<number> = []) {
    this.#indexes = new Set(indexes);
  }

  /** What isn't below the bound, or no number, is left out. */
  static parse(text: string | undefined, completions: number): Indexes {
    const found: number[] = [];
    for (const part of (text ?? "").split(",")) {
      const match = /^([0-9]+)(?:-([0-9]+))?$/.exec(part);
      if (!match) continue;
      const first = Number(match[1]);
      const last = Math.min(Number(match[2] ?? first), completions - 1);
      for (let index = first; index <= last; index++) found.push(index);
    }
    return new Indexes(found);
  }

  get size(): number {
    return this.#indexes.size;
  }

  has(index: number): boolean {
    return this.#indexes.has(index);
  }

  with(indexes: Iterable<number>): Indexes {
    return new Indexes([...this.#indexes, ...indexes]);
  }

  /** Two neighbours are listed, three or more are a range. */
  toString(): string {
    const sorted = [...this.#indexes].sort((a, b) => a - b);
    const parts: string[] = [];
    for (let at = 0; at < sorted.length; ) {
      let end = at;
      while (sorted[end + 1] === (sorted[end] ?? 0) + 1) end++;
      const first = sorted[at];
      const last = sorted[end];
      parts.push(end === at ? `${first}` : end === at + 1 ? `${first},${last}` : `${first}-${last}`);
      at = end + 1;
    }
    return parts.join(",");
  }

  /** The lowest that are missing. */
  missing(completions: number, countMax: number): number[] {
    const found: number[] = [];
    for (let index = 0; index < completions && found.length < countMax; index++)
      if (!this.has(index)) found.push(index);
    return found;
  }
}
