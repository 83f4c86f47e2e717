/** Which devices claims have, and how much of those that several may use. */
import type { AllocationResult } from "#api";
import { type DeepReadonly, parseQuantity } from "#machinery";
import { addAmounts, type Amounts, subtractAmounts } from "./capacity.ts";

export type Allocation = DeepReadonly<AllocationResult>;

export class AllocatedDevices {
  /** How many claims have a device for themselves: one, but for moments between two claims. */
  readonly #dedicated = new Map<string, number>();
  readonly #shares = new Map<string, number>();
  readonly #taken = new Map<string, Amounts>();

  isDedicated(id: string): boolean {
    return this.#dedicated.has(id);
  }

  /** To one claim or to several. */
  isAllocated(id: string): boolean {
    return this.#dedicated.has(id) || this.#shares.has(id);
  }

  /** Of a device that several use. */
  taken(id: string): Amounts | undefined {
    return this.#taken.get(id);
  }

  /** Admins look at devices without having them. */
  change({ devices }: Allocation, by: 1 | -1): void {
    for (const { driver, pool, device, adminAccess, shareID, consumedCapacity } of devices?.results ?? []) {
      if (adminAccess) continue;
      const id = `${driver}/${pool}/${device}`;
      if (shareID === undefined) count(this.#dedicated, id, by);
      else {
        count(this.#shares, id, by);
        if (!consumedCapacity) continue;
        const amounts = new Map(Object.entries(consumedCapacity).map(([name, text]) => [name, parseQuantity(text)]));
        const before = this.#taken.get(id);
        const after = by === 1 ? addAmounts(before ?? new Map(), amounts) : before && subtractAmounts(before, amounts);
        if (after) this.#taken.set(id, after);
        else this.#taken.delete(id);
      }
    }
  }
}

function count(counts: Map<string, number>, id: string, by: 1 | -1): void {
  const now = (counts.get(id) ?? 0) + by;
  if (now > 0) counts.set(id, now);
  else counts.delete(id);
}
