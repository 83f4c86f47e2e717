/**
 * Changes from before a cache's own window, read from the store's history: after a restart every client resumes where it was instead of
 * listing all again. The whole key space is read, because only then the end of the stretch is certain to show up as an event.
 */
import type { Store, StoreEvent } from "#store";
import type { StoredKind } from "../resource.ts";
import { CacheEvent } from "./cache-event.ts";
import type { WatchCaches } from "./watch-caches.ts";

/** Further back, a new list is cheaper for everyone. */
export const replayRevisionsMax = 20_000;

export interface ReplayRequest {
  readonly kind: StoredKind;
  /** Changes after this one… */
  readonly after: number;
  /** …up to and with this one. */
  readonly until: number;
}

/** Undefined: the store has forgotten, or it is too far back. */
export async function replay(
  caches: WatchCaches,
  { kind, after, until }: ReplayRequest,
): Promise<CacheEvent[] | undefined> {
  if (until - after > replayRevisionsMax) return undefined;
  const events = await readHistory(caches.store, { after, until, prefix: kind.prefix });
  if (!events) return undefined;
  const { pool } = caches;
  const items = events.flatMap(({ type, item, previous }) => [
    ...(type === "put" ? [item] : []),
    ...(previous ? [previous] : []),
  ]);
  const made = await caches.objectsOf(kind, items);
  const objects = new Map(items.map((item, i) => [item, made[i]]));
  return events.map(({ type, item, previous }) => {
    const object = type === "put" ? objects.get(item) : undefined;
    return new CacheEvent({ revision: item.modRevision, object, previous: previous && objects.get(previous), pool });
  });
}

interface Stretch {
  readonly after: number;
  readonly until: number;
  readonly prefix: string;
}

function readHistory(store: Store, { after, until, prefix }: Stretch): Promise<StoreEvent[] | undefined> {
  return new Promise((resolve) => {
    const found: StoreEvent[] = [];
    let cancel: (() => void) | undefined;
    let over = false;
    const finish = (events: StoreEvent[] | undefined) => {
      over = true;
      cancel?.();
      resolve(events);
    };
    cancel = store.watch({
      start: "/",
      end: "0",
      fromRevision: after + 1,
      onEvents(events, revision) {
        if (over) return;
        for (const event of events) {
          if (event.item.modRevision <= until && event.item.key.startsWith(prefix)) found.push(event);
        }
        if (revision >= until) finish(found);
      },
      onEnd: () => finish(undefined),
    });
    if (over) cancel();
  });
}
