/** Counters that the devices of a pool share: a device can be had while enough is left of those it uses. */
import { compareQuantities, parseQuantity, type Quantity, addQuantities, subtractQuantities } from "#machinery";
import { deviceId, type Pool, type ReadonlyDevice } from "./pools.ts";

type Amounts = Map<string, Map<string, Quantity>>;

/** What allocated devices left, by pool: the same for all nodes. */
export type CounterCache = Map<string, Amounts>;

export class Counters {
  readonly #cache: CounterCache;
  readonly #isAllocated: (id: string) => boolean;
  readonly #taken = new Map<string, Amounts>();

  constructor(cache: CounterCache, isAllocated: (id: string) => boolean) {
    this.#cache = cache;
    this.#isAllocated = isAllocated;
  }

  /** Takes what a device uses; false: there isn't enough, and nothing is taken. */
  take(pool: Pool, device: ReadonlyDevice): boolean {
    const available = this.#available(pool);
    const taken = this.#takenOf(pool);
    change(taken, device, addQuantities);
    for (const [set, counters] of available) {
      for (const [name, left] of counters) {
        const used = taken.get(set)?.get(name);
        if (used ? compareQuantities(left, used) >= 0 : left.unscaled >= 0n) continue;
        this.giveBack(pool, device);
        return false;
      }
    }
    return true;
  }

  giveBack(pool: Pool, device: ReadonlyDevice): void {
    change(this.#takenOf(pool), device, subtractQuantities);
  }

  #takenOf({ id }: Pool): Amounts {
    const taken = this.#taken.get(id) ?? new Map();
    this.#taken.set(id, taken);
    return taken;
  }

  #available(pool: Pool): Amounts {
    const known = this.#cache.get(pool.id);
    if (known) return known;
    const available: Amounts = new Map();
    for (const [set, counters] of pool.counterSets)
      available.set(set, new Map(Object.entries(counters).map(([name, { value }]) => [name, parseQuantity(value)])));
    for (const slice of [...pool.slices, ...pool.elsewhere])
      for (const device of slice.spec.devices ?? [])
        if (device.consumesCounters && this.#isAllocated(deviceId(slice, device.name)))
          change(available, device, subtractQuantities);
    this.#cache.set(pool.id, available);
    return available;
  }
}

const zero = parseQuantity("0");

function change(amounts: Amounts, { consumesCounters = [] }: ReadonlyDevice, by: typeof addQuantities): void {
  for (const { counterSet, counters } of consumesCounters) {
    const set = amounts.get(counterSet) ?? new Map<string, Quantity>();
    amounts.set(counterSet, set);
    for (const [name, { value }] of Object.entries(counters)) set.set(name, by(set.get(name) ?? zero, value));
  }
}
