/**
 * Two ways to record events, both stored as core/v1 Events. `createEventRecorder` is the classic one (kubelet, controllers): source,
 * count, first and last time. `createSeriesRecorder` is that of events.k8s.io (scheduler): eventTime, action and a series that is
 * written when an event happens a second time, refreshed each half hour and finished after six minutes of quiet.
 */
import type { Event, ObjectReference } from "#api";
import { type Clock, type Logger, realClock, silentLogger } from "#base";
import type { DeepReadonly, KubernetesObject } from "#machinery";
import { createEventCorrelator } from "./event-correlator.ts";
import { createEventWriter } from "./event-writer.ts";
import { LruMap } from "./lru-map.ts";
import { microTime, secondTime } from "./time.ts";
import type { Client, EventRecorder } from "./types.ts";

export interface EventRecorderOptions {
  readonly client: Client;
  /** `kubelet`, `deployment-controller`, … */
  readonly component: string;
  /** The node, of components that run on one. */
  readonly host?: string;
  readonly clock?: Clock;
  readonly log?: Logger;
  /** See EventWriterOptions. */
  readonly waitingMax?: number;
  readonly sendersMax?: number;
}

export interface ClosableEventRecorder extends EventRecorder {
  /** Resolves when everything recorded so far was sent. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** `<object>.<nanoseconds, hex>`; the clock has milliseconds, chance adds the rest so that two recorders don't collide. */
function eventName(about: string, now: number): string {
  const nanoseconds = BigInt(Math.trunc(now)) * 1_000_000n + BigInt(Math.floor(Math.random() * 1_000_000));
  return `${about}.${nanoseconds.toString(16)}`;
}

export function objectReference(about: DeepReadonly<KubernetesObject>, fieldPath?: string): ObjectReference {
  const { namespace, name, uid, resourceVersion } = about.metadata ?? {};
  return {
    kind: about.kind,
    ...(namespace ? { namespace } : {}),
    name,
    uid,
    apiVersion: about.apiVersion,
    ...(resourceVersion ? { resourceVersion } : {}),
    ...(fieldPath ? { fieldPath } : {}),
  };
}

export function createEventRecorder(options: EventRecorderOptions): ClosableEventRecorder {
  const { client, component, clock = realClock, log = silentLogger, ...bounds } = options;
  const writer = createEventWriter({ ...bounds, client, clock, log });
  const correlator = createEventCorrelator(eventName);
  return {
    event(about, { type, reason, message, annotations, fieldPath, host = options.host }) {
      const now = clock.now();
      const time = secondTime(now);
      const involvedObject = objectReference(about, fieldPath);
      const observed = correlator.correlate(
        {
          kind: "Event",
          apiVersion: "v1",
          metadata: {
            name: eventName(involvedObject.name ?? "", now),
            namespace: involvedObject.namespace || "default",
            ...(annotations ? { annotations } : {}),
          },
          involvedObject,
          reason,
          message,
          source: { component, ...(host ? { host } : {}) },
          firstTimestamp: time,
          lastTimestamp: time,
          count: 1,
          type,
          reportingComponent: component,
          reportingInstance: host ?? "",
        },
        now,
      );
      if (!observed) return;
      const { key, event, count } = observed;
      const patch = { count, lastTimestamp: time, message: event.message };
      writer.write(key, count > 1 ? { event, patch } : { event });
    },
    flush: writer.flush,
    close: writer.close,
  };
}

/** Series remembered; one that is forgotten starts anew. */
const seriesMax = 4096;
/** One event for each pod of a burst of thousands. */
const burst = { waitingMax: 20_000, sendersMax: 16 };
const finishMs = 360_000;
const refreshMs = 1_800_000;

export function createSeriesRecorder(options: EventRecorderOptions): ClosableEventRecorder {
  const { client, component, host = "", clock = realClock, log = silentLogger } = options;
  const writer = createEventWriter({ client, clock, log, ...burst });
  const known = new LruMap<
    string,
    { event: Event; count: number; writtenCount: number; at: number; writtenAt: number }
  >(seriesMax);
  let cancelTimer: (() => void) | undefined;

  function writeSeries(key: string, count: number, at: number): void {
    const entry = known.get(key);
    if (!entry) return;
    const series = { count, lastObservedTime: microTime(at) };
    entry.writtenCount = count;
    entry.writtenAt = clock.now();
    writer.write(key, { event: { ...entry.event, series }, patch: { series } });
  }

  /** Ends series that fell silent, refreshes those that go on. */
  function sweep(): void {
    const now = clock.now();
    for (const [key, { count, writtenCount, at, writtenAt }] of [...known.entries()]) {
      const isFinished = now - at >= finishMs;
      if (count > writtenCount && (isFinished || now - writtenAt >= refreshMs)) writeSeries(key, count, at);
      if (isFinished) known.delete(key);
    }
    cancelTimer = known.size > 0 ? clock.after(finishMs, sweep) : undefined;
  }

  return {
    event(about, { type, reason, message, action, related, annotations, fieldPath }) {
      const now = clock.now();
      const reference = objectReference(about, fieldPath);
      const { kind, namespace, name, uid } = reference;
      const key = [type, action, reason, kind, namespace, name, uid, related?.metadata?.uid].join("\0");
      const before = known.get(key);
      if (before) {
        before.count++;
        before.at = now;
        // The second one makes it a series; how many more follow is written when the series ends.
        if (before.count === 2) writeSeries(key, before.count, now);
        return;
      }
      const event: Event = {
        kind: "Event",
        apiVersion: "v1",
        metadata: {
          name: eventName(reference.name ?? "", now),
          namespace: reference.namespace || "default",
          ...(annotations ? { annotations } : {}),
        },
        involvedObject: reference,
        ...(related ? { related: objectReference(related) } : {}),
        reason,
        message,
        type,
        eventTime: microTime(now),
        action: action ?? reason,
        reportingComponent: component,
        reportingInstance: host === "" ? component : `${component}-${host}`,
      };
      known.set(key, { event, count: 1, writtenCount: 1, at: now, writtenAt: now });
      cancelTimer ??= clock.after(finishMs, sweep);
      writer.write(key, { event });
    },
    flush: writer.flush,
    async close() {
      cancelTimer?.();
      for (const [key, { count, writtenCount, at }] of [...known.entries()]) {
        if (count > writtenCount) writeSeries(key, count, at);
      }
      await writer.close();
    },
  };
}
