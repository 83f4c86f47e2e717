/** An event between the shapes of the two groups. What a shape always shows is shown, though it be empty. */
import type { KubernetesObject } from "#machinery";
import { setOrDelete } from "../../strategy.ts";
import type { Event, EventsV1Event } from "../../types.d.ts";

/** A time that isn't set is sent as null, which the types don't say. */
const unset = null as unknown as string;

export function toStorage(object: KubernetesObject): Event {
  const event = object as EventsV1Event;
  const stored: Event = {
    kind: "Event",
    apiVersion: "v1",
    metadata: event.metadata,
    involvedObject: event.regarding ?? {},
    source: event.deprecatedSource ?? {},
    firstTimestamp: event.deprecatedFirstTimestamp ?? unset,
    lastTimestamp: event.deprecatedLastTimestamp ?? unset,
    eventTime: event.eventTime ?? unset,
    reportingComponent: event.reportingController ?? "",
    reportingInstance: event.reportingInstance ?? "",
  };
  const { reason, note: message, type, action, related, series, deprecatedCount: count } = event;
  setOrDelete(stored, { reason, message, type, action, related, series, count: count || undefined });
  return stored;
}

export function fromStorage(stored: Event): KubernetesObject {
  const event: EventsV1Event = {
    kind: "Event",
    apiVersion: "events.k8s.io/v1",
    metadata: stored.metadata,
    eventTime: stored.eventTime ?? unset,
    regarding: stored.involvedObject,
    deprecatedSource: stored.source ?? {},
    deprecatedFirstTimestamp: stored.firstTimestamp ?? unset,
    deprecatedLastTimestamp: stored.lastTimestamp ?? unset,
  };
  const { count = 0, lastObservedTime = unset } = stored.series ?? {};
  setOrDelete(event, {
    series: stored.series && { count, lastObservedTime },
    reportingController: stored.reportingComponent || undefined,
    reportingInstance: stored.reportingInstance || undefined,
    action: stored.action || undefined,
    reason: stored.reason || undefined,
    related: stored.related,
    note: stored.message || undefined,
    type: stored.type || undefined,
    deprecatedCount: stored.count || undefined,
  });
  return event;
}
