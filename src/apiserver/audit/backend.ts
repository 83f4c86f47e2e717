/**
 * Where audit events go. A sink takes events one by one and says at once or later whether they are safe; sinks are put around each other:
 * truncation, then a buffer or waiting, then a file or a webhook. Upstream's union of plugins, in the same order.
 */
import type { AuditEvent } from "./event.ts";

export interface AuditSink {
  /** False: at least one was lost, and has been told to the log. The events belong to the sink. */
  take(events: readonly AuditEvent[]): boolean | Promise<boolean>;
  /** The server is about to close: pauses become short. */
  hurry?(): void;
  /** Everything that was taken is delivered, or was tried as hard as can be. */
  close(): Promise<void>;
}

/** How a sink tells that it couldn't: the plugin's name, why, and what. */
export type OnLost = (plugin: string, why: string, events: readonly AuditEvent[]) => void;

export function unionSink(sinks: readonly AuditSink[]): AuditSink {
  const [only, ...others] = sinks;
  if (only && others.length === 0) return only;
  return {
    take: (events) => both(sinks.map((sink) => sink.take(events))),
    hurry() {
      for (const sink of sinks) sink.hurry?.();
    },
    async close() {
      await Promise.all(sinks.map((sink) => sink.close()));
    },
  };
}

/** All succeeded; a promise only when one of them is. */
export function both(results: readonly (boolean | Promise<boolean>)[]): boolean | Promise<boolean> {
  if (results.some((result) => result instanceof Promise))
    return Promise.all(results).then((all) => all.every((good) => good));
  return results.every((good) => good === true);
}

/** The request waits, but isn't refused when the log fails: upstream's mode `blocking`. */
export function ignoringErrors(sink: AuditSink): AuditSink {
  return {
    take(events) {
      const result = sink.take(events);
      return result instanceof Promise ? result.then(() => true) : true;
    },
    hurry: () => sink.hurry?.(),
    close: () => sink.close(),
  };
}
