/** Runs one loop: marks from the start, works only when every cache it reads is complete, stops when the signal aborts. */
import type { Clock, Logger, MetricRegistry } from "#base";
import { createWorkQueue } from "#client";
import type { Loop } from "./controller.ts";

const workersDefault = 5;

export interface RunLoopOptions {
  readonly name: string;
  /** Instead of what the loop says. */
  readonly workers?: number | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: MetricRegistry | undefined;
}

export async function runLoop(loop: Loop, options: RunLoopOptions, signal: AbortSignal): Promise<void> {
  const queue = createWorkQueue({ ...options, retryMs: loop.retryMs });
  const watches = loop.watches(queue);
  const stops = watches.map((each) => each.start());
  try {
    await Promise.race([
      Promise.all([...watches, ...(loop.reads ?? [])].map((each) => each.synced())),
      aborted(signal),
    ]);
    if (signal.aborted) return;
    const work = queue.run(signal, {
      concurrency: options.workers ?? loop.workers ?? workersDefault,
      work: (key) => loop.reconcile(key, queue),
    });
    await Promise.all([work, loop.begin?.(queue, signal)]);
  } finally {
    for (const stop of stops) stop();
  }
}

export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
