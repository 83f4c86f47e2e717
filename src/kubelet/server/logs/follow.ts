/** When to look at a log again: its folder changed, its container changed, or a second passed in which an event may have been lost. */
import { watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { Clock } from "#base";

/** As upstream's: file systems and containers tell by themselves, this is the net below. */
const lookAgainMs = 1_000;

export interface LogWatch {
  /** Resolves when something may have changed since the last call, or the signal aborted. */
  changed(): Promise<void>;
  close(): void;
}

export interface LogWatchOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Calls back when the container may have ended; the answer stops it. */
  readonly onContainer?: ((listener: () => void) => () => void) | undefined;
}

export function watchLog({ path, clock, signal, onContainer }: LogWatchOptions): LogWatch {
  let pending = false;
  let wake = (): void => undefined;
  const changed = (): void => {
    pending = true;
    wake();
  };
  const name = basename(path);
  const watcher = watch(dirname(path), { persistent: false }, (_event, file) => {
    if (file === null || file === name) changed();
  });
  // The folder is gone with its pod, or there are no watches left: the timer goes on.
  watcher.on("error", changed);
  const stop = onContainer?.(changed);
  signal.addEventListener("abort", changed, { once: true });
  return {
    async changed() {
      if (!pending) {
        const cancel = clock.after(lookAgainMs, changed);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        cancel();
      }
      pending = false;
    },
    close() {
      watcher.close();
      stop?.();
      signal.removeEventListener("abort", changed);
      wake();
    },
  };
}
