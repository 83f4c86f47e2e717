/**
 * CrashLoopBackOff: how long a container that ended has to wait before it starts again. The first restart is at once, then
 * 10 s, 20 s, … up to what the node allows (5 min), counted from the end of the last run; ten quiet minutes forget it all. As upstream's
 * kubelet.
 */
export interface CrashBackoff {
  readonly delayMs: number;
  /** When the last restart was allowed. */
  readonly at: number;
}

const initialMs = 10_000;
const quietMs = 600_000;
export const crashBackoffMsMax = 300_000;

export type BackoffDecision =
  | { readonly wait: true; readonly until: number; readonly delayMs: number }
  | { readonly wait: false; readonly next: CrashBackoff };

/** May a container that finished at `finishedAt` start again now? If so, `next` is what to remember. `msMax`: the node's longest wait. */
export function decideRestart(
  entry: CrashBackoff | undefined,
  { finishedAt, now, msMax = crashBackoffMsMax }: { finishedAt: number; now: number; msMax?: number },
): BackoffDecision {
  const quiet = !entry || finishedAt - entry.at > quietMs;
  if (!quiet && now - finishedAt < entry.delayMs)
    // A clock that was put back makes nobody wait longer.
    return { wait: true, until: Math.min(finishedAt, now) + entry.delayMs, delayMs: entry.delayMs };
  return {
    wait: false,
    next: { delayMs: Math.min(msMax, quiet ? initialMs : entry.delayMs * 2), at: now },
  };
}
