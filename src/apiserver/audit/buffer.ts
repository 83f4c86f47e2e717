/**
 * Batches: requests don't wait for the log. Events are collected until there are enough or the time is up; more than the buffer holds
 * are dropped and told. On closing, everything that was taken goes out.
 */
import type { Clock } from "#base";
import type { AuditSink, OnLost } from "./backend.ts";
import type { AuditEvent } from "./event.ts";

export interface BatchOptions {
  /** Protects memory when the receiver is slow. */
  readonly bufferEventsMax: number;
  readonly batchEventsMax: number;
  readonly batchWaitMs: number;
  /** Batches a second, and how many at once after a pause; undefined: as they come. */
  readonly throttle: { readonly perSecond: number; readonly burst: number } | undefined;
  /** A batch may go out while others are under way. */
  readonly parallel: boolean;
}

export interface BufferContext {
  readonly clock: Clock;
  readonly onLost: OnLost;
}

export function bufferedSink(inner: AuditSink, options: BatchOptions, { clock, onLost }: BufferContext): AuditSink {
  const { bufferEventsMax, batchEventsMax, batchWaitMs, throttle, parallel } = options;
  let waiting: AuditEvent[] = [];
  const underWay = new Set<Promise<unknown>>();
  const bucket = throttle && createBucket(throttle, clock);
  let cancelWait: (() => void) | undefined;
  let cancelThrottle: (() => void) | undefined;
  let closed: Promise<void> | undefined;

  const send = (batch: readonly AuditEvent[]) => {
    const result = inner.take(batch);
    if (!(result instanceof Promise)) return;
    underWay.add(result);
    void result.finally(() => {
      underWay.delete(result);
      pump(false);
    });
  };

  /** Sends what is due; `all`: also what isn't a full batch yet. */
  const pump = (all: boolean) => {
    while (waiting.length >= batchEventsMax || (all && waiting.length > 0)) {
      if (!parallel && underWay.size > 0) return;
      const pauseMs = closed ? 0 : (bucket?.take() ?? 0);
      if (pauseMs > 0) {
        cancelThrottle ??= clock.after(pauseMs, () => {
          cancelThrottle = undefined;
          pump(all);
        });
        return;
      }
      const batch = waiting.slice(0, batchEventsMax);
      waiting = waiting.slice(batchEventsMax);
      send(batch);
    }
    if (waiting.length > 0 && !closed)
      cancelWait ??= clock.after(batchWaitMs, () => {
        cancelWait = undefined;
        pump(true);
      });
  };

  return {
    take(events) {
      if (closed) {
        onLost("buffered", "audit backend shut down", events);
        return true;
      }
      const room = bufferEventsMax - waiting.length;
      waiting.push(...events.slice(0, room));
      if (events.length > room) onLost("buffered", "audit buffer queue blocked", events.slice(room));
      pump(false);
      return true;
    },
    hurry: () => inner.hurry?.(),
    close() {
      closed ??= (async () => {
        await Promise.resolve(); // `closed` is set from here on: nothing waits for its turn any more
        cancelWait?.();
        cancelThrottle?.();
        inner.hurry?.();
        do {
          pump(true);
          await Promise.all(underWay);
        } while (waiting.length > 0);
        await inner.close();
      })();
      return closed;
    },
  };
}

/** A token bucket. Answers how long to wait; 0: go ahead. */
function createBucket({ perSecond, burst }: { perSecond: number; burst: number }, clock: Clock) {
  let tokens = burst;
  let at = clock.now();
  return {
    take(): number {
      const now = clock.now();
      tokens = Math.min(burst, tokens + ((now - at) * perSecond) / 1000);
      at = now;
      if (tokens < 1) return Math.ceil(((1 - tokens) * 1000) / perSecond);
      tokens--;
      return 0;
    },
  };
}
