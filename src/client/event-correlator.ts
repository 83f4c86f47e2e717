/**
 * Which of a component's events reach the server, with client-go's rules: the same event again raises the count of the first,
 * ten or more that differ only in their message within ten minutes become one "(combined from similar events)", and a source may
 * write 25 about one object, then one each five minutes. Pure but for its own memory; the caller says what time it is.
 */
import type { Event } from "#api";
import { LruMap } from "./lru-map.ts";

/** Bounds the memory for events that never come again. */
const entriesMax = 4096;
const similarMax = 10;
const similarMs = 600_000;
const burst = 25;
const refillPerMs = 1 / 300_000;

/** An event to write. */
export interface ObservedEvent {
  /** Events with the same key are one event on the server. */
  readonly key: string;
  readonly event: Event;
  readonly count: number;
}

export interface EventCorrelator {
  /** Undefined when the event is filtered out. `name` is used if it is a new one. */
  correlate(event: Event, now: number): ObservedEvent | undefined;
}

export function createEventCorrelator(nameOf: (about: string, now: number) => string): EventCorrelator {
  const aggregates = new LruMap<string, { messages: Set<string>; at: number }>(entriesMax);
  const observed = new LruMap<string, { name: string; count: number; firstTimestamp: string | undefined }>(entriesMax);
  const budgets = new LruMap<string, { tokens: number; at: number }>(entriesMax);

  /** The event itself, or the one that stands for it and its like. */
  function aggregate(event: Event, now: number): { event: Event; key: string } {
    const aggregateKey = joinKey([...sourceKey(event), event.type, event.reason, event.reportingComponent]);
    let record = aggregates.get(aggregateKey);
    if (!record || now - record.at > similarMs) record = { messages: new Set(), at: now };
    record.messages.add(event.message ?? "");
    record.at = now;
    aggregates.set(aggregateKey, record);
    if (record.messages.size < similarMax) {
      return {
        event,
        key: joinKey([...sourceKey(event), event.involvedObject.fieldPath, event.type, event.reason, event.message]),
      };
    }
    // Full: forget one, so that the set stays small and the next different message still counts as one too many.
    const [oldest] = record.messages;
    if (oldest !== undefined) record.messages.delete(oldest);
    const name = nameOf(event.involvedObject.name ?? "", now);
    return {
      event: {
        ...event,
        metadata: { name, namespace: event.metadata.namespace },
        // client-go leaves it out of these.
        reportingComponent: "",
        message: `(combined from similar events): ${event.message}`,
      },
      key: aggregateKey,
    };
  }

  /** Whether the source has used up its budget for this object. */
  function isSpam(event: Event, now: number): boolean {
    // Warnings that flood leave the rest room.
    const key = joinKey([...sourceKey(event), event.type]);
    const budget = budgets.get(key) ?? { tokens: burst, at: now };
    budget.tokens = Math.min(burst, budget.tokens + (now - budget.at) * refillPerMs);
    budget.at = now;
    budgets.set(key, budget);
    if (budget.tokens < 1) return true;
    budget.tokens--;
    return false;
  }

  return {
    correlate(given, now) {
      const { event, key } = aggregate(given, now);
      const known = observed.get(key);
      const name = known?.name ?? event.metadata.name ?? "";
      const count = (known?.count ?? 0) + 1;
      const firstTimestamp = known?.firstTimestamp ?? event.firstTimestamp;
      observed.set(key, { name, count, firstTimestamp });
      if (isSpam(event, now)) return undefined;
      return { key, count, event: { ...event, metadata: { ...event.metadata, name }, firstTimestamp, count } };
    },
  };
}

const joinKey = (parts: readonly (string | undefined)[]) => parts.join("\0");

function sourceKey({ source, involvedObject: about }: Event): (string | undefined)[] {
  return [source?.component, source?.host, about.kind, about.namespace, about.name, about.uid, about.apiVersion];
}
