/** Events live for an hour, or as long as an administrator says: leases of the store end them. One lease serves all events of a minute, so leases stay few. */
import type { Clock } from "#base";
import type { Store } from "#store";

/** Upstream's default. */
export const eventSecondsDefault = 3_600;
/** Events of this long share a lease and so live up to that much longer. */
const shareMs = 60_000;

export class EventLeases {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #eventSeconds: number;
  #current: { readonly lease: Promise<number>; readonly until: number } | undefined;

  constructor({ store, clock, eventSeconds }: { store: Store; clock: Clock; eventSeconds: number }) {
    this.#store = store;
    this.#clock = clock;
    this.#eventSeconds = eventSeconds;
  }

  lease(): Promise<number> {
    const now = this.#clock.now();
    if (!this.#current || now >= this.#current.until) {
      const lease = this.#store.grantLease(this.#eventSeconds + shareMs / 1000);
      this.#current = { lease, until: now + shareMs };
      // The next event tries again.
      lease.catch(() => {
        this.#current = undefined;
      });
    }
    return this.#current.lease;
  }
}
