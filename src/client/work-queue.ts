/**
 * Keys waiting for work, with the semantics of client-go's workqueue: a key is queued at most once, a key that is being worked on
 * and added again is worked on once more afterwards, and failures come back later and later (5 ms doubling to 1000 s).
 */
import { type Clock, type Logger, type MetricRegistry, preciseNow, realClock, silentLogger } from "#base";
import { isStatusError } from "#machinery";
import { QueueMetrics } from "./queue-metrics.ts";
import { TimerHeap } from "./timer-heap.ts";
import type { WorkQueue } from "./types.ts";

const retryMsMin = 5;
const retryMsMax = 1_000_000;

export interface WorkQueueOptions {
  /** For log entries and metrics: the controller. */
  readonly name?: string;
  /** Absent: nothing is counted. */
  readonly metrics?: MetricRegistry | undefined;
  readonly clock?: Clock;
  readonly log?: Logger;
  /** Waits after the first failure and at most; 5 ms, doubling to 1000 s. */
  readonly retryMs?: readonly [first: number, most: number] | undefined;
}

export function createWorkQueue(options: WorkQueueOptions = {}): WorkQueue {
  const { clock = realClock, log = silentLogger, name = "queue", retryMs = [retryMsMin, retryMsMax] } = options;
  // Insertion order is the order of work; both are sets because a key counts once.
  const waiting = new Set<string>();
  const working = new Map<string, number>();
  /** Added while being worked on. */
  const again = new Set<string>();
  const failures = new Map<string, number>();
  /** Keys whose current work asked for a rate-limited retry itself. */
  const askedForRetry = new Set<string>();
  let wake: () => void = () => undefined;

  const state = {
    get length() {
      return waiting.size;
    },
    working,
  };
  const metrics = options.metrics && new QueueMetrics(options.metrics, { queue: name, state, clock });

  function add(key: string): void {
    if (working.has(key)) again.add(key);
    else {
      if (metrics && !waiting.has(key)) metrics.added(key);
      waiting.add(key);
      wake();
    }
  }
  // A clock that is set back must not hold up retries, so delays are measured by one that isn't.
  const now = preciseNow(clock);
  const delayed = new TimerHeap({ now, after: clock.after.bind(clock) }, add);

  function addAfter(key: string, delayMs: number): void {
    if (delayMs <= 0) add(key);
    else delayed.add(key, now() + delayMs);
  }

  function addRateLimited(key: string): void {
    metrics?.retried();
    const count = failures.get(key) ?? 0;
    failures.set(key, count + 1);
    if (working.has(key)) askedForRetry.add(key);
    addAfter(key, Math.min(retryMs[1], retryMs[0] * 2 ** count));
  }

  async function process(key: string, work: (key: string) => Promise<void>): Promise<void> {
    try {
      await work(key);
      if (!askedForRetry.has(key)) failures.delete(key);
    } catch (error) {
      // A lost optimistic lock is how two writers take turns, not a fault.
      const level = isStatusError(error, "Conflict") ? "debug" : "warn";
      log[level](`${name}: will retry`, { key, error, failures: (failures.get(key) ?? 0) + 1 });
      addRateLimited(key);
    } finally {
      askedForRetry.delete(key);
      metrics?.finished(working.get(key) ?? 0);
      working.delete(key);
      if (again.delete(key)) add(key);
    }
  }

  return {
    add,
    addAfter,
    addRateLimited,
    forget: (key) => void failures.delete(key),
    get length() {
      return waiting.size;
    },
    run(signal, { concurrency, work }) {
      return new Promise((resolve) => {
        let scheduled = false;
        const start = () => {
          scheduled = false;
          while (!signal.aborted && working.size < concurrency) {
            const [key] = waiting;
            if (key === undefined) return;
            waiting.delete(key);
            const startMs = metrics?.precise() ?? 0;
            metrics?.started(key, startMs);
            working.set(key, startMs);
            void process(key, work).then(() => (signal.aborted ? finish() : start()));
          }
        };
        const finish = () => {
          if (working.size > 0) return;
          delayed.clear();
          resolve();
        };
        // A microtask later, so that a burst of adds within one event is one batch and `add` never runs the work itself.
        wake = () => {
          if (scheduled || working.size >= concurrency) return;
          scheduled = true;
          queueMicrotask(start);
        };
        signal.addEventListener("abort", finish, { once: true });
        if (signal.aborted) finish();
        else start();
      });
    },
  };
}
