/**
 * Who has what: addresses of a pool, or ports of the nodes, each with one Service at most. Kept in memory by the one worker that gives
 * them away, because a cache shows what was given a moment too late. What Services had before a start is in their status.
 */
export class Claims {
  readonly #holders = new Map<string, string>();
  readonly #held = new Map<string, readonly string[]>();

  holder(thing: string): string | undefined {
    return this.#holders.get(thing);
  }

  held(owner: string): readonly string[] {
    return this.#held.get(owner) ?? [];
  }

  isTaken(thing: string, owner: string): boolean {
    const holder = this.#holders.get(thing);
    return holder !== undefined && holder !== owner;
  }

  /** Instead of all that it had. Nothing of it may be another's. Answers whether something became free. */
  hold(owner: string, things: readonly string[]): boolean {
    const before = this.held(owner);
    for (const thing of before) this.#holders.delete(thing);
    for (const thing of things) this.#holders.set(thing, owner);
    if (things.length > 0) this.#held.set(owner, things);
    else this.#held.delete(owner);
    return before.some((thing) => !this.#holders.has(thing));
  }
}
