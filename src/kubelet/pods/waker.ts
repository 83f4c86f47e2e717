/** Runs one piece of work at a time, again whenever it was asked for meanwhile, and at the earliest time it was asked for. */
import type { Clock } from "#base";

export interface Waker {
  wake(): void;
  /** At this time at the latest; an earlier one stays. */
  wakeAt(time: number): void;
  /** No more runs; resolves when the current one has ended. */
  stop(): Promise<void>;
}

/** `work` must not reject. */
export function createWaker(clock: Clock, work: () => Promise<void>): Waker {
  let wanted = false;
  let stopped = false;
  let running: Promise<void> | undefined;
  let timer: { at: number; cancel: () => void } | undefined;

  async function loop(): Promise<void> {
    while (wanted && !stopped) {
      wanted = false;
      await work();
    }
  }

  function wake(): void {
    wanted = true;
    if (stopped) return;
    // Started later, so that who wakes it may still change things in this turn.
    running ??= Promise.resolve()
      .then(loop)
      .finally(() => {
        running = undefined;
        if (wanted && !stopped) wake();
      });
  }

  return {
    wake,
    wakeAt(time) {
      if (stopped || (timer && timer.at <= time)) return;
      timer?.cancel();
      const cancel = clock.after(Math.max(0, time - clock.now()), () => {
        timer = undefined;
        wake();
      });
      timer = { at: time, cancel };
    },
    async stop() {
      stopped = true;
      timer?.cancel();
      await running;
    },
  };
}
