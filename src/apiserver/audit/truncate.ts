/** Keeps events within bounds: too large ones lose their bodies, then are dropped; batches are split. */
import { type AuditSink, both, type OnLost } from "./backend.ts";
import { type AuditEvent, encodeEvent, levels } from "./event.ts";

export interface TruncateOptions {
  readonly eventBytesMax: number;
  readonly batchBytesMax: number;
}

export function truncatingSink(
  inner: AuditSink,
  { eventBytesMax, batchBytesMax }: TruncateOptions,
  onLost: OnLost,
): AuditSink {
  const sizeOf = (event: AuditEvent) => Buffer.byteLength(encodeEvent(event)) + 1;
  return {
    take(events) {
      const results: (boolean | Promise<boolean>)[] = [];
      const lost: AuditEvent[] = [];
      let batch: AuditEvent[] = [];
      let bytes = 0;
      const flush = () => {
        if (batch.length > 0) results.push(inner.take(batch));
        batch = [];
        bytes = 0;
      };
      for (const event of events) {
        let fitting = event;
        let size = sizeOf(event);
        if (size > eventBytesMax && levels.indexOf(event.level) >= levels.indexOf("Request")) {
          fitting = withoutBodies(event);
          size = sizeOf(fitting);
        }
        if (size > eventBytesMax) {
          lost.push(event);
          continue;
        }
        if (bytes + size > batchBytesMax) flush();
        batch.push(fitting);
        bytes += size;
      }
      flush();
      if (lost.length > 0) onLost("truncate", "event is too large even after truncating", lost);
      return both(results);
    },
    hurry: () => inner.hurry?.(),
    close: () => inner.close(),
  };
}

const withoutBodies = (event: AuditEvent): AuditEvent => ({
  ...event,
  requestObject: undefined,
  responseObject: undefined,
  annotations: { ...event.annotations, "audit.k8s.io/truncated": "true" },
});
