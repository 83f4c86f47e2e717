/** Audit events as lists that are posted to a webhook. Whatever goes wrong is tried again: an entry that is late is better than none. */
import type { Clock } from "#base";
import type { AuditSink, OnLost } from "./backend.ts";
import { encodeEvent } from "./event.ts";

/** Upstream's back-off for webhooks. */
const attemptsMax = 5;
const backoffFactor = 1.5;
const backoffJitter = 0.2;
/** Pauses while the server closes: it must come to an end. */
const closingPauseMsMax = 200;

/** Rejects when the answer isn't a success. */
export type PostAudit = (body: string) => Promise<void>;

export interface WebhookSinkOptions {
  readonly post: PostAudit;
  readonly initialBackoffMs: number;
  readonly clock: Clock;
  readonly onLost: OnLost;
}

export function webhookSink({ post, initialBackoffMs, clock, onLost }: WebhookSinkOptions): AuditSink {
  const underWay = new Set<Promise<boolean>>();
  const pauses = new Set<() => void>();
  let closing = false;

  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      const wake = () => {
        cancel();
        pauses.delete(wake);
        resolve();
      };
      const cancel = clock.after(closing ? Math.min(ms, closingPauseMsMax) : ms, wake);
      pauses.add(wake);
    });

  const deliver = async (body: string): Promise<string | undefined> => {
    let pauseMs = initialBackoffMs;
    for (let attempt = 1; ; attempt++) {
      try {
        await post(body);
        return undefined;
      } catch (error) {
        if (attempt >= attemptsMax) return (error as Error).message; // of a connection or of an answer
      }
      await pause(pauseMs * (1 + Math.random() * backoffJitter));
      pauseMs *= backoffFactor;
    }
  };

  const hurry = () => {
    closing = true;
    for (const wake of [...pauses]) wake();
  };

  return {
    hurry,
    take(events) {
      const items = events.map((event) => encodeEvent(event, { listed: true }));
      const body = `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[${items.join(",")}]}`;
      const result = deliver(body).then((why) => {
        if (why !== undefined) onLost("webhook", why, events);
        return why === undefined;
      });
      underWay.add(result);
      void result.finally(() => underWay.delete(result));
      return result;
    },
    async close() {
      hurry();
      await Promise.all(underWay);
    },
  };
}
