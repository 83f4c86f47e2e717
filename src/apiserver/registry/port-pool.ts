/** The node ports of the cluster: which are in use, and the next free one. */
import { randomInt } from "node:crypto";

const range = { min: 30_000, max: 32_767 } as const;

export class PortPool {
  readonly #used: Set<number>;

  constructor(used: readonly number[], own: ReadonlySet<number>) {
    this.#used = new Set(used.filter((port) => !own.has(port)));
  }

  /** Undefined: it is the caller's now. */
  take(port: number): string | undefined {
    if (port < range.min || port > range.max) {
      return `provided port is not in the valid range. The range of valid ports is ${range.min}-${range.max}`;
    }
    if (this.#used.has(port)) return "provided port is already allocated";
    this.#used.add(port);
    return undefined;
  }

  next(): number | undefined {
    const count = range.max - range.min + 1;
    // People choose low ones: the lowest 86 are left to them, as upstream does with this range.
    const band = 86;
    return this.#search(range.min + band, count - band) ?? this.#search(range.min, band);
  }

  #search(from: number, count: number): number | undefined {
    const start = randomInt(count);
    for (let i = 0; i < count; i++) {
      const port = from + ((start + i) % count);
      if (!this.#used.has(port)) {
        this.#used.add(port);
        return port;
      }
    }
    return undefined;
  }
}
