/**
 * Time as a dependency. Long-lived parts take a Clock so that tests drive it; `cmd` passes the real one.
 * All times are milliseconds since the Unix epoch.
 */
export interface Clock {
  now(): number;
  /** Milliseconds with fractions since any moment, for durations; missing: `now` will do. */
  precise?(): number;
  /** Calls `run` once after `delayMs`; the answer cancels it. Timers don't keep the process alive. */
  after(delayMs: number, run: () => void): () => void;
}

export const realClock: Clock = {
  now: Date.now,
  precise: () => performance.now(),
  after(delayMs, run) {
    // setTimeout overflows to 1 ms above 2^31 - 1.
    const timer = setTimeout(run, Math.min(delayMs, timerMsMax));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

const timerMsMax = 2 ** 31 - 1;

/** Goes on evenly when somebody sets the time: for "not before" and "at the latest", never for what others read. */
export function steadyClock(clock: Clock): Clock {
  const precise = clock.precise?.bind(clock);
  if (!precise) return clock;
  const offset = clock.now() - precise();
  return { now: () => offset + precise(), precise, after: (delayMs, run) => clock.after(delayMs, run) };
}

/** The clock for durations. */
export const preciseNow = (clock: Clock): (() => number) => clock.precise?.bind(clock) ?? clock.now.bind(clock);

/** A clock that stands still until `advance` is called; due timers run in order of time. */
export class FakeClock implements Clock {
  #now: number;
  #timers: { at: number; run: () => void }[] = [];

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#now = startMs;
  }

  now = (): number => this.#now;

  after(delayMs: number, run: () => void): () => void {
    const timer = { at: this.#now + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#now = due.at;
      due.run();
    }
    this.#now = end;
  }
}
