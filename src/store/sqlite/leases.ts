import type { Clock } from "#base";

interface Lease {
  readonly ttlSeconds: number;
  expiresAt: number;
  /** Keys whose newest write, durable or not, is attached to it. */
  readonly keys: Set<string>;
}

/** When deleting an expired lease's keys fails (no space, for one), it is tried again after this. */
const retryMs = 1000;

/**
 * Leases and the keys attached to them, in memory. As in etcd, grants are persisted and keepalives are not: after a restart every lease
 * has its full time to live again, because nobody could keep it alive meanwhile.
 */
export class Leases {
  readonly #clock: Clock;
  readonly #expire: (lease: number) => void;
  readonly #leases = new Map<number, Lease>();
  #cancelTimer: (() => void) | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, expire: (lease: number) => void) {
    this.#clock = clock;
    this.#expire = expire;
  }

  has(id: number): boolean {
    return this.#leases.has(id);
  }

  add(id: number, ttlSeconds: number): void {
    const expiresAt = this.#clock.now() + ttlSeconds * 1000;
    this.#leases.set(id, { ttlSeconds, expiresAt, keys: new Set() });
    this.#arm(expiresAt);
  }

  /** Answers false for a lease that does not exist. */
  keepAlive(id: number): boolean {
    const lease = this.#leases.get(id);
    if (!lease) return false;
    // The timer stays where it is: when it runs early, it only looks for the next one to expire.
    lease.expiresAt = this.#clock.now() + lease.ttlSeconds * 1000;
    return true;
  }

  /** A key's newest write moved from one lease to another; 0: none. */
  move(key: string, { from, to }: { from: number; to: number }): void {
    if (from === to) return;
    this.#leases.get(from)?.keys.delete(key);
    this.#leases.get(to)?.keys.add(key);
  }

  /** Ends the lease; answers what `restore` takes and the keys to delete, in order. */
  remove(id: number): { lease: Lease; keys: string[] } | undefined {
    const lease = this.#leases.get(id);
    this.#leases.delete(id);
    return lease && { lease, keys: [...lease.keys].sort() };
  }

  /** Takes back a removal that could not be written. */
  restore(id: number, lease: Lease): void {
    lease.expiresAt = Math.max(lease.expiresAt, this.#clock.now() + retryMs);
    this.#leases.set(id, lease);
    this.#arm(lease.expiresAt);
  }

  close(): void {
    this.#cancelTimer?.();
    this.#leases.clear();
  }

  /** One timer, for the lease that expires first. */
  #arm(at: number): void {
    if (at >= this.#timerAt) return;
    this.#cancelTimer?.();
    this.#timerAt = at;
    this.#cancelTimer = this.#clock.after(Math.max(0, at - this.#clock.now()), () => this.#runDue());
  }

  #runDue(): void {
    this.#cancelTimer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    const now = this.#clock.now();
    let next = Number.POSITIVE_INFINITY;
    for (const [id, lease] of [...this.#leases]) {
      if (lease.expiresAt <= now) this.#expire(id);
      else next = Math.min(next, lease.expiresAt);
    }
    if (next !== Number.POSITIVE_INFINITY) this.#arm(next);
  }
}
