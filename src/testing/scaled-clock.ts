import type { Clock } from "#base";
import { realClock } from "#base";

/** A clock that starts now and runs `speed` times as fast: back-offs, leases and deadlines of minutes pass in seconds. */
export function scaledClock(speed: number): Clock {
  const startedAt = Date.now();
  const begin = performance.now();
  const passedMs = () => (performance.now() - begin) * speed;
  return {
    now: () => Math.floor(startedAt + passedMs()),
    precise: passedMs,
    // Never early: what is due at a time must find that time come.
    after: (delayMs, run) => realClock.after(Math.ceil(delayMs / speed), run),
  };
}
