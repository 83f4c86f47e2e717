/** Exponential back-off for one thing that keeps failing. */
export interface BackoffOptions {
  initialMs: number;
  maxMs: number;
  factor?: number;
  /** Share of each delay that is random, 0 to 1, so that many failures don't retry in step. */
  jitter?: number;
}

/** The delay before retry number `failures` (1 for the first), in milliseconds. */
export function backoffMs(failures: number, { initialMs, maxMs, factor = 2, jitter = 0 }: BackoffOptions): number {
  const base = Math.min(maxMs, initialMs * factor ** Math.max(0, failures - 1));
  return base * (1 + jitter * (Math.random() - 0.5));
}
