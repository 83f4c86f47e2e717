/**
 * CrashLoopBackOff: how long a container that ended has to wait before it starts again. The first restart is at once, then
 * 10 s, 20 s, … up to 5 min, counted from the end of the last run; ten quiet minutes forget it all. As upstream's kubelet.
 */
export interface CrashBackoff {
  readonly delayMs: number;
  /** When the last restart was allowed. */
  readonly at: number;
}

const initialMs = 10_000;
const maxMs = 300_000;

export type BackoffDecision =
  | { readonly wait: true; readonly until: number; readonly delayMs: number }
  | { readonly wait: false; readonly next: CrashBackoff };

/** May a container that finished at `finishedAt` start again now? If so, `next` is what to remember. */
export function decideRestart(
  entry: CrashBackoff | undefined,
  { finishedAt, now }: { finishedAt: number; now: number },
): BackoffDecision {
  if (entry && now - entry.at <= 2 * maxMs && now - finishedAt < entry.delayMs)
    return { wait: true, until: finishedAt + entry.delayMs, delayMs: entry.delayMs };
  const quiet = !entry || finishedAt - entry.at > 2 * maxMs;
  return { wait: false, next: { delayMs: quiet ? initialMs : Math.min(maxMs, entry.delayMs * 2), at: now } };
}
