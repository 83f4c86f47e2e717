/** Answers of other servers, positive and negative, for as long as they say and no longer than a maximum. The oldest make room. */
import type { Response } from "./response.ts";

export interface CacheLimits {
  /** Protects from names that changed their mind; 0 keeps nothing. */
  readonly secondsMax: number;
  /** Both protect memory from those who ask for many names. */
  readonly entriesMax: number;
  readonly bytesMax: number;
}

export const defaultLimits: CacheLimits = { secondsMax: 30, entriesMax: 10_000, bytesMax: 4 << 20 };

export class AnswerCache {
  readonly #limits: CacheLimits;
  readonly #entries = new Map<string, { response: Response; untilMs: number }>();
  #bytes = 0;
  hits = 0;
  misses = 0;

  constructor(limits: CacheLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string, nowMs: number): Response | undefined {
    const found = this.#entries.get(key);
    if (found && found.untilMs > nowMs) {
      this.hits++;
      return found.response;
    }
    this.misses++;
    if (found) this.#drop(key, found.response);
    return undefined;
  }

  set(key: string, response: Response, nowMs: number): void {
    const { secondsMax, entriesMax, bytesMax } = this.#limits;
    const seconds = Math.min(response.keepSeconds, secondsMax);
    const size = response.bytes.length;
    if (seconds <= 0 || size > bytesMax) return;
    const old = this.#entries.get(key);
    if (old) this.#drop(key, old.response);
    this.#entries.set(key, { response, untilMs: nowMs + seconds * 1000 });
    this.#bytes += size;
    for (const [oldest, { response: dropped }] of this.#entries) {
      if (this.#entries.size <= entriesMax && this.#bytes <= bytesMax) break;
      this.#drop(oldest, dropped);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  #drop(key: string, { bytes }: Response): void {
    this.#entries.delete(key);
    this.#bytes -= bytes.length;
  }
}
