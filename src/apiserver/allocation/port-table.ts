/**
 * Which node ports are taken: keys of the store, one for each port, written with the Service that has it. A copy in memory follows the store, so
 * that giving one out lists nothing; that two don't get the same is the store's business, which refuses the second.
 */
import { randomInt } from "node:crypto";
import type { Store, StoreEvent } from "#store";
import { type PortRange, portInRange } from "./port-range.ts";

export const portPrefix = "/registry/nodeports/";
const portsEnd = `${portPrefix.slice(0, -1)}0`;

export const portKey = (port: number): string => `${portPrefix}${port}`;
const portOf = (key: string): number => Number(key.slice(portPrefix.length));

export class PortTable {
  readonly range: PortRange;
  readonly #store: Store;
  #used: Promise<Set<number>> | undefined;
  #cancel: (() => void) | undefined;

  constructor(store: Store, range: PortRange) {
    this.#store = store;
    this.range = range;
  }

  /** Those in use, as far as this server has heard. Read when first asked for, then kept. */
  used(): Promise<ReadonlySet<number>> {
    this.#used ??= this.#load().catch((error: unknown) => {
      this.#forget();
      throw error;
    });
    return this.#used;
  }

  close(): void {
    this.#forget();
  }

  async #load(): Promise<Set<number>> {
    const used = new Set<number>();
    let waiting: StoreEvent[] | undefined = [];
    const apply = ({ type, item }: StoreEvent) => {
      if (type === "put") used.add(portOf(item.key));
      else used.delete(portOf(item.key));
    };
    // The watch first: what changes while the range is read is applied behind it.
    this.#cancel = this.#store.watch({
      start: portPrefix,
      end: portsEnd,
      onEvents(events) {
        if (waiting) waiting.push(...events);
        else for (const event of events) apply(event);
      },
      // Compaction or the end of the store: the next one reads anew.
      onEnd: () => this.#forget(),
    });
    const { items, revision } = await this.#store.range({ start: portPrefix, end: portsEnd, keysOnly: true });
    for (const { key } of items) used.add(portOf(key));
    for (const event of waiting) if (event.item.modRevision > revision) apply(event);
    waiting = undefined;
    return used;
  }

  #forget(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#used = undefined;
  }
}

/** The ports that one request takes, on top of those in use. */
export class PortClaim {
  readonly #range: PortRange;
  readonly #used: ReadonlySet<number>;
  readonly #dryRun: boolean;
  readonly #taken = new Set<number>();

  constructor({ range, used, dryRun }: { range: PortRange; used: ReadonlySet<number>; dryRun: boolean }) {
    this.#range = range;
    this.#used = used;
    this.#dryRun = dryRun;
  }

  /** Undefined: it is the caller's now. A dry run doesn't ask for the range, as upstream's doesn't. */
  take(port: number): string | undefined {
    if (!this.#dryRun && !portInRange(this.#range, port))
      return `provided port is not in the valid range. The range of valid ports is ${this.#range.text}`;
    if (!this.#isFree(port)) return "provided port is already allocated";
    this.#taken.add(port);
    return undefined;
  }

  /** Undefined: there are no more. */
  next(): number | undefined {
    if (this.#dryRun) return this.#dummy();
    const { first, count, band } = this.#range;
    return this.#search(first + band, count - band) ?? this.#search(first, band);
  }

  /** What upstream shows for a port that isn't really given out. */
  #dummy(): number {
    const last = this.#taken.size === 0 ? 32_768 : Math.max(...this.#taken);
    this.#taken.add(last + 1);
    return last + 1;
  }

  #search(from: number, count: number): number | undefined {
    if (count === 0) return undefined;
    const start = randomInt(count);
    for (let i = 0; i < count; i++) {
      const port = from + ((start + i) % count);
      if (!this.#isFree(port)) continue;
      this.#taken.add(port);
      return port;
    }
    return undefined;
  }

  #isFree(port: number): boolean {
    return !this.#taken.has(port) && !this.#used.has(port);
  }
}
