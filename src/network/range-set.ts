/** Ranges with owners, none of which overlap. Cheap for any number of ranges of a few sizes. */
import { overlap, printRange, type Range, startOf } from "./range.ts";

export class RangeSet<Owner> {
  /** By family and size, then by beginning. */
  readonly #bySize = new Map<string, { readonly bits: number; readonly owners: Map<string, [Range, Owner]> }>();

  add(range: Range, owner: Owner): void {
    const size = `${range.family}/${range.bits}`;
    const found = this.#bySize.get(size) ?? { bits: range.bits, owners: new Map() };
    found.owners.set(printRange(range), [range, owner]);
    this.#bySize.set(size, found);
  }

  /** Whose range shares an address with this one. */
  overlapping(range: Range): Owner | undefined {
    for (const { bits, owners } of this.#bySize.values()) {
      if (bits <= range.bits) {
        const found = owners.get(printRange({ ...range, bits, first: startOf(range, bits) }));
        if (found) return found[1];
      } else for (const [inner, owner] of owners.values()) if (overlap(range, inner)) return owner;
    }
    return undefined;
  }
}
