/**
 * What a controller has just done and its cache doesn't show yet. Without it a controller that made ten pods and looks again before
 * their events arrive would make ten more. Creations are counted (their names are not known before), deletions
 * are remembered by uid, because a deletion shows twice: when it begins and when the object is gone.
 * As upstream, expectations that are not met within five minutes are dropped: a controller must never wait for ever.
 */
import { type Clock, preciseNow } from "#base";

const expectationMsMax = 300_000;

interface Expectation {
  creations: number;
  readonly deletions: Set<string>;
  readonly since: number;
}

export class Expectations {
  /** Never goes back: a clock that is set must not hold a controller up. */
  readonly #now: () => number;
  readonly #of = new Map<string, Expectation>();

  constructor(clock: Clock) {
    this.#now = preciseNow(clock);
  }

  expectCreations(key: string, count: number): void {
    this.expect(key, count, []);
  }

  expectDeletions(key: string, uids: readonly string[]): void {
    this.expect(key, 0, uids);
  }

  expect(key: string, creations: number, deletions: readonly string[]): void {
    this.#of.set(key, { creations, deletions: new Set(deletions), since: this.#now() });
  }

  /** Seen in the cache, or not going to happen. */
  created(key: string, count = 1): void {
    const expectation = this.#of.get(key);
    if (expectation) expectation.creations -= count;
  }

  deleted(key: string, uid: string): void {
    this.#of.get(key)?.deletions.delete(uid);
  }

  areMet(key: string): boolean {
    const expectation = this.#of.get(key);
    if (!expectation) return true;
    if (expectation.creations <= 0 && expectation.deletions.size === 0) return true;
    return this.#now() - expectation.since > expectationMsMax;
  }

  /** The owner is gone; one of the same name starts clean. */
  forget(key: string): void {
    this.#of.delete(key);
  }
}
