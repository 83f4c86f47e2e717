/**
 * Sends events to the server in the background. One entry for each event that waits: a repeat replaces it, so that a burst of the
 * same event is one request. Trouble with the server is retried as client-go does (12 times, 10 s apart); what it refuses is dropped.
 */
import type { Event } from "#api";
import type { Clock, Logger } from "#base";
import { isStatusError } from "#machinery";
import { delay } from "./delay.ts";
import type { Client } from "./types.ts";

const triesMax = 12;
const retryMs = 10_000;
const closeMsMax = 2_000;

export interface WriteRequest {
  readonly event: Event;
  /** What changes when the event exists already; missing for a first occurrence. */
  readonly patch?: unknown;
}

export interface EventWriter {
  /** Replaces what waits under this key. */
  write(key: string, request: WriteRequest): void;
  flush(): Promise<void>;
  /** Sends what waits, but not for ever. */
  close(): Promise<void>;
}

export interface EventWriterOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  /** Events waiting to be sent; more are dropped, because events must never cost a component its memory. */
  readonly waitingMax?: number;
  /** Requests under way; one would make a burst of events lag, many would compete with the component's own requests. */
  readonly sendersMax?: number;
}

export function createEventWriter(options: EventWriterOptions): EventWriter {
  const { client, clock, log, waitingMax = 1_000, sendersMax = 4 } = options;
  const waiting = new Map<string, WriteRequest>();
  const sending = new Set<string>();
  const closing = new AbortController();
  let dropped = 0;
  let idle = Promise.withResolvers<void>();
  idle.resolve();

  function pump(): void {
    for (const [key, request] of waiting) {
      if (sending.size >= sendersMax) return;
      // The order of one event's writes matters, that of different events doesn't.
      if (sending.has(key)) continue;
      waiting.delete(key);
      sending.add(key);
      void send(request).finally(() => {
        sending.delete(key);
        if (waiting.size > 0) pump();
        else if (sending.size === 0) idle.resolve();
      });
    }
  }

  async function send({ event, patch }: WriteRequest): Promise<void> {
    const { name = "", namespace } = event.metadata;
    const events = client.resource("v1/events", namespace);
    for (let tries = 1; ; tries++) {
      try {
        if (patch !== undefined) {
          try {
            await events.patch(name, patch, { type: "strategic" });
            return;
          } catch (error) {
            if (!isStatusError(error, "NotFound")) throw error;
          }
        }
        await events.create(event);
        return;
      } catch (error) {
        const { reason, message } = event;
        if (isStatusError(error)) {
          // A namespace that goes away takes no more events; that is nobody's fault.
          const expected = error.reason === "AlreadyExists" || error.code === 403 || error.code === 404;
          log[expected ? "debug" : "warn"]("event refused", { event: `${namespace}/${name}`, reason, message, error });
          return;
        }
        if (tries >= triesMax || closing.signal.aborted) {
          log.warn("event lost: the server can't be reached", {
            event: `${namespace}/${name}`,
            reason,
            message,
            error,
          });
          return;
        }
        // The first wait is random, so that clients of a failed server don't come back in step.
        await delay(clock, tries === 1 ? retryMs * Math.random() : retryMs, closing.signal);
      }
    }
  }

  const flush = () => (waiting.size === 0 && sending.size === 0 ? Promise.resolve() : idle.promise);

  return {
    write(key, request) {
      if (closing.signal.aborted) return;
      if (!waiting.has(key) && waiting.size >= waitingMax) {
        dropped++;
        if (dropped % waitingMax === 1) log.warn("events dropped: too many wait", { dropped });
        return;
      }
      if (waiting.size === 0 && sending.size === 0) idle = Promise.withResolvers<void>();
      const before = waiting.get(key);
      // A first occurrence that was not sent yet stays a creation.
      waiting.set(key, before && before.patch === undefined ? { event: request.event } : request);
      pump();
    },
    flush,
    async close() {
      const deadline = new AbortController();
      await Promise.race([flush(), delay(clock, closeMsMax, deadline.signal)]);
      deadline.abort();
      closing.abort();
    },
  };
}
