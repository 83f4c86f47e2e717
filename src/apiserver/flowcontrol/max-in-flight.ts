/** Without priority and fairness: so many requests that read, so many that change, and nobody waits. Upstream's filters/maxinflight. */
import type { Clock } from "#base";
import { type Doorkeeper, isReadOnly, type Passage, TooManyRequests, type Visit } from "./visit.ts";
import { Peak } from "./request-kinds.ts";

/** 0: without limit. */
export interface InFlightLimits {
  readonly reading: number;
  readonly changing: number;
}

export class MaxInFlight implements Doorkeeper {
  readonly #limits: InFlightLimits;
  readonly #clock: Clock;
  readonly #counts = { reading: 0, changing: 0 };
  readonly #peaks = { reading: new Peak(), changing: new Peak() };

  constructor(limits: InFlightLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  enter({ verb, user }: Visit): Passage {
    const kind = isReadOnly(verb) ? "reading" : "changing";
    const limit = this.#limits[kind];
    const counts = this.#counts;
    const isMaster = user.groups.includes("system:masters");
    if (limit > 0 && counts[kind] >= limit && !isMaster) throw new TooManyRequests(undefined, 1);
    counts[kind]++;
    this.#peaks[kind].note(counts[kind], this.#clock.now());
    let over = false;
    const finish = (): void => {
      if (!over) counts[kind]--;
      over = true;
    };
    return { flow: undefined, waitedMs: 0, finish };
  }

  /** The most of the last second. */
  inFlight(kind: keyof InFlightLimits): number {
    return this.#peaks[kind].read(this.#counts[kind], this.#clock.now());
  }
}
