/**
 * When the change happened that the next write of endpoints shows: the earliest readiness change not yet shown. Written as an
 * annotation, from which proxies measure how long a change takes to reach them.
 */
import type { Service } from "#api";
import { formatTime, timeMs } from "#machinery";
import { nameOf, type Seen } from "./objects.ts";
import { podCondition, type SeenPod } from "./pods.ts";

interface Known {
  readonly serviceMs: number;
  readonly podsMs: ReadonlyMap<string, number>;
}

export class TriggerTimes {
  readonly #known = new Map<string, Known>();

  /** The text for the annotation; undefined when nothing new was seen. */
  next(key: string, service: Seen<Service>, pods: readonly SeenPod[]): string | undefined {
    const before = this.#known.get(key);
    const serviceMs = timeMs(service.metadata.creationTimestamp);
    const podsMs = new Map<string, number>();
    let earliest = Number.POSITIVE_INFINITY;
    for (const pod of pods) {
      const changedMs = timeMs(podCondition(pod, "Ready")?.lastTransitionTime);
      if (Number.isNaN(changedMs)) continue;
      podsMs.set(nameOf(pod), changedMs);
      if (changedMs > (before?.podsMs.get(nameOf(pod)) ?? 0)) earliest = Math.min(earliest, changedMs);
    }
    if (before && serviceMs > before.serviceMs) earliest = Math.min(earliest, serviceMs);
    this.#known.set(key, { serviceMs, podsMs });
    const at = before ? earliest : serviceMs;
    return Number.isFinite(at) ? formatTime(at) : undefined;
  }

  forget(key: string): void {
    this.#known.delete(key);
  }
}
