import { type Clock, type Logger, realClock, silentLogger } from "#base";
import { type Store, StoreError } from "./store.ts";

export interface CompactionOptions {
  /** How often to compact. */
  readonly intervalMs?: number;
  /** What was current this long ago stays readable. */
  readonly keepMs?: number;
  readonly clock?: Clock;
  readonly log?: Logger;
  readonly signal: AbortSignal;
}

/** As the API server's compactor for etcd: every five minutes, down to what was current five minutes ago. */
const defaultIntervalMs = 5 * 60_000;

/**
 * Compacts the store regularly until the signal aborts. Remembers which revision was current at which turn; history older than what it saw since
 * its start stays for one interval longer. A failure is logged and the next turn tries again: compaction never switches itself off.
 */
export function runCompaction(store: Store, options: CompactionOptions): Promise<void> {
  const {
    intervalMs = defaultIntervalMs,
    keepMs = defaultIntervalMs,
    clock = realClock,
    log = silentLogger,
    signal,
  } = options;
  // Turns are counted, not times compared: timers may fire a hair early and clocks be set, which would skip a whole turn.
  const keepTurns = Math.max(1, Math.ceil(keepMs / intervalMs));
  const seen: number[] = [store.revision()];

  async function turn(): Promise<void> {
    const target = seen.length >= keepTurns ? seen.shift()! : 0; // Just looked at it.
    seen.push(store.revision());
    if (target === 0) return;
    try {
      await store.compact(target);
      log.debug("store: compacted", { revision: target });
    } catch (error) {
      const isDone = error instanceof StoreError && error.detail.code === "compacted"; // Nothing was written, or another server was first.
      if (!isDone) log.warn("store: compaction failed, trying again later", { revision: target, error });
    }
  }

  return new Promise((resolve) => {
    let cancel: () => void = () => undefined;
    const schedule = () => {
      cancel = clock.after(intervalMs, () => {
        void turn().then(() => {
          if (!signal.aborted) schedule();
        });
      });
    };
    const stop = () => {
      cancel();
      resolve();
    };
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    schedule();
  });
}
