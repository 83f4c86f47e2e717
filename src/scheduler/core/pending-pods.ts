/**
 * Pods that wait for a node. `active` ones are tried next, highest priority first, then longest waiting. One that fits nowhere
 * waits until something happens that its rejecting rules say may help, and is then not tried before its back-off (1 s doubling
 * to 10 s) is over; after five minutes it is tried anyway, in case an event was misjudged.
 *
 * When there is nothing else to do, a few that are backing off are tried early, as upstream does: an idle scheduler should
 * not let a pod wait. Not when there are many, lest each event have all of them tried.
 */
import type { Clock } from "#base";
import { TimerHeap } from "#client";
import type { ClusterState } from "./cluster-state.ts";
import type { ClusterEvent, FilterPlugin } from "./framework.ts";
import { Heap } from "./heap.ts";
import type { PodInfo } from "./pod-info.ts";

/** Doubles from the first to the second with each try in a row that fails. */
export const defaultBackoff = { firstMs: 1_000, maxMs: 10_000 };
const waitMsMax = 300_000;
const sweepMs = 30_000;
const earlyMax = 100;

export interface PendingPod {
  pod: PodInfo;
  /** How often it was tried. */
  attempts: number;
  /** When it was queued or last tried. */
  since: number;
  /** Ties of `since`. */
  order: number;
  /** In a row: tries that no node passed, and tries that failed for another reason. */
  rejections: number;
  errors: number;
  rejectedBy: ReadonlySet<string>;
  place: "active" | "backoff" | "errorBackoff" | "waiting" | "gated" | "away";
}

export interface PendingPods {
  /** A new pod, or a new version of one. */
  set(pod: PodInfo): void;
  delete(uid: string): void;
  get(uid: string): PendingPod | undefined;
  /** The next to try; it is away until `reject`, `retry` or `delete`. */
  next(): PendingPod | undefined;
  /** No node took it. `by` empty: there were no nodes. */
  reject(entry: PendingPod, by: ReadonlySet<string>): void;
  /** Something else went wrong; comes back after its back-off. */
  retry(entry: PendingPod): void;
  /** What kept the pod from its node is out of the way. */
  tryAgain(uid: string): void;
  notify(event: ClusterEvent): void;
  readonly size: number;
  all(): Iterable<PendingPod>;
  close(): void;
}

/** `onReady` is called when `next` has something to answer. */
export function createPendingPods(options: {
  filters: readonly FilterPlugin[];
  state: ClusterState;
  clock: Clock;
  onReady: () => void;
  backoff?: typeof defaultBackoff;
}): PendingPods {
  const { filters, state, clock, onReady, backoff: limits = defaultBackoff } = options;
  const backoffOf = (failures: number) =>
    failures === 0 ? 0 : Math.min(limits.maxMs, limits.firstMs * 2 ** (failures - 1));
  const entries = new Map<string, PendingPod>();
  const active = new Heap<PendingPod>(
    (a, b) =>
      a.pod.priority > b.pod.priority ||
      (a.pod.priority === b.pod.priority && (a.since < b.since || (a.since === b.since && a.order < b.order))),
  );
  const activate = (uid: string) => {
    const entry = entries.get(uid);
    if (entry) move(entry, "active");
  };
  const backoff = new TimerHeap(clock, activate);
  const errorBackoff = new TimerHeap(clock, activate);
  /** Waiting pods by each rule that rejected them; those that found no nodes under "". */
  const waiting = new Map<string, Set<PendingPod>>();
  let waitingCount = 0;
  let orders = 0;
  let cancelSweep: (() => void) | undefined;

  /** Pods that a rule holds back. */
  const held = new Set<string>();
  const holders = filters.filter(({ holds }) => holds);

  function isGated(pod: PodInfo): boolean {
    const isHeld = holders.some(({ holds }) => holds?.(pod, state) !== undefined);
    if (isHeld) held.add(pod.uid);
    else held.delete(pod.uid);
    return isHeld || (pod.pod.spec?.schedulingGates ?? []).length > 0;
  }

  const waitingKeys = ({ rejectedBy }: PendingPod): Iterable<string> => (rejectedBy.size > 0 ? rejectedBy : [""]);

  function leave(entry: PendingPod): void {
    const { uid } = entry.pod;
    if (entry.place === "active") active.delete(entry);
    else if (entry.place === "backoff") backoff.delete(uid);
    else if (entry.place === "errorBackoff") errorBackoff.delete(uid);
    else if (entry.place === "waiting") {
      waitingCount--;
      for (const key of waitingKeys(entry)) waiting.get(key)?.delete(entry);
    }
    entry.place = "away";
  }

  function move(entry: PendingPod, place: PendingPod["place"]): void {
    leave(entry);
    entry.place = place;
    if (place === "active") active.push(entry);
    else if (place === "backoff") backoff.add(entry.pod.uid, entry.since + backoffOf(entry.rejections));
    else if (place === "errorBackoff") errorBackoff.add(entry.pod.uid, entry.since + backoffOf(entry.errors));
    else if (place === "waiting") {
      waitingCount++;
      for (const key of waitingKeys(entry)) {
        const set = waiting.get(key) ?? new Set();
        waiting.set(key, set.add(entry));
      }
      cancelSweep ??= clock.after(sweepMs, sweep);
    }
    if (place === "active" || place === "backoff") onReady();
  }

  /** Tries again what may fit now, not before its back-off is over. */
  function requeue(entry: PendingPod): void {
    move(entry, entry.since + backoffOf(entry.rejections) > clock.now() ? "backoff" : "active");
  }

  function sweep(): void {
    const now = clock.now();
    for (const set of waiting.values()) {
      for (const entry of [...set]) if (now - entry.since > waitMsMax) requeue(entry);
    }
    cancelSweep = waitingCount > 0 ? clock.after(sweepMs, sweep) : undefined;
  }

  return {
    set(pod) {
      const gated = isGated(pod);
      const entry = entries.get(pod.uid);
      if (!entry) {
        const fresh: PendingPod = {
          pod,
          attempts: 0,
          since: clock.now(),
          order: orders++,
          rejections: 0,
          errors: 0,
          rejectedBy: new Set(),
          place: "away",
        };
        entries.set(pod.uid, fresh);
        move(fresh, gated ? "gated" : "active");
        return;
      }
      const before = entry.pod;
      if (entry.place === "active") {
        // Its priority may be another now.
        leave(entry);
        entry.pod = pod;
        move(entry, gated ? "gated" : "active");
        return;
      }
      entry.pod = pod;
      if (entry.place === "gated" && !gated) move(entry, "active");
      else if (entry.place === "waiting" && mayMatter(before, pod)) requeue(entry);
    },
    delete(uid) {
      const entry = entries.get(uid);
      if (!entry) return;
      leave(entry);
      held.delete(uid);
      entries.delete(uid);
    },
    get: (uid) => entries.get(uid),
    next() {
      const early = active.size === 0 && backoff.size <= earlyMax && backoff.first;
      const entry = early ? entries.get(early) : active.pop();
      if (!entry) return undefined;
      leave(entry);
      entry.attempts++;
      return entry;
    },
    reject(entry, by) {
      if (entries.get(entry.pod.uid) !== entry) return;
      entry.since = clock.now();
      entry.rejections++;
      entry.errors = 0;
      entry.rejectedBy = by;
      move(entry, "waiting");
    },
    retry(entry) {
      if (entries.get(entry.pod.uid) !== entry) return;
      entry.since = clock.now();
      entry.errors++;
      move(entry, "errorBackoff");
    },
    tryAgain(uid) {
      const entry = entries.get(uid);
      if (entry?.place === "waiting" || entry?.place === "away") requeue(entry);
    },
    notify(event) {
      if (held.size > 0 && holders.some(({ events }) => events.includes(event.kind))) {
        for (const uid of [...held]) {
          const entry = entries.get(uid);
          if (entry?.place === "gated" && !isGated(entry.pod)) move(entry, "active");
        }
      }
      if (waitingCount === 0) return;
      if (event.kind === "node-added") for (const entry of [...(waiting.get("") ?? [])]) requeue(entry);
      for (const { name, events, helps } of filters) {
        const set = waiting.get(name);
        if (!set || set.size === 0 || !events.includes(event.kind)) continue;
        for (const entry of [...set]) if (helps(event, entry.pod, state)) requeue(entry);
      }
    },
    get size() {
      return entries.size;
    },
    all: () => entries.values(),
    close() {
      cancelSweep?.();
      backoff.clear();
      errorBackoff.clear();
    },
  };
}

/** Whether more than the status changed: rules look at nothing else of a waiting pod. */
function mayMatter(before: PodInfo, after: PodInfo): boolean {
  const relevant = ({ pod }: PodInfo) =>
    JSON.stringify([pod.spec, pod.metadata.labels, pod.status?.resourceClaimStatuses]);
  return relevant(before) !== relevant(after);
}
