/** GET of one object, and watches. */
import { StatusError, statusError } from "#machinery";
import type { Clock } from "#base";
import type { Answer } from "../answer.ts";
import { replay } from "../cache/replay.ts";
import type { ResourceCache } from "../cache/resource-cache.ts";
import type { WatchCaches } from "../cache/watch-caches.ts";
import { type Replayed, type WatchStart, WatchStream } from "../cache/watch-stream.ts";
import type { Call } from "./call.ts";
import type { RegistryCore } from "./core.ts";
import { storedOf } from "./create.ts";
import { cacheAt, notReady } from "./list.ts";
import { badRevision, type ListOptions, parseRevision, readListOptions } from "./options.ts";
import { readSelection } from "./selectors.ts";
import { objectKey } from "./storage.ts";

/** As upstream's --min-request-timeout: a watch lives this long, up to twice, so that clients don't come back all at once. */
const watchSecondsMin = 1_800;

export async function get(core: RegistryCore, call: Call): Promise<Answer> {
  const { resource, target, query } = call;
  const kind = storedOf(call);
  const key = objectKey(kind, target.namespace, target.name);
  const version = query.get("resourceVersion");
  const revision = version === "" ? undefined : parseRevision(version);
  if (version !== "" && revision === undefined) throw badRevision(version, "resourceVersion");
  // Of kinds that are converted only this one.
  const alone = revision === undefined || (revision === 0 && kind.form !== undefined);
  const object = alone ? await core.storage.read(kind, key) : (await cacheAt(core, kind, revision)).get(key);
  if (!object) throw statusError.notFound(resource, target.name);
  return { type: "object", status: 200, resource, object };
}

export async function watch(core: RegistryCore, call: Call, clock: Clock): Promise<Answer> {
  const { resource } = call;
  const kind = storedOf(call);
  const options = readListOptions(call.query, { watch: true });
  const { selection } = readSelection(kind, call, options);
  const revision = options.resourceVersion === "" ? undefined : parseRevision(options.resourceVersion);
  if (options.resourceVersion !== "" && revision === undefined)
    throw badRevision(options.resourceVersion, "resourceVersion");
  const fromState = startsFromState(options, revision);
  const loaded = async () => {
    const found = await (fromState ? cacheAt(core, kind, revision) : core.storage.caches.of(kind));
    found.checkReadable();
    return found;
  };
  let tooNew: StatusError | undefined;
  const cache = await loaded().catch((error: unknown) => {
    if (!isTooNew(error)) throw notReady(error, kind);
    tooNew = error;
    return core.storage.caches.of(kind);
  });
  const { caches } = core.storage;
  const since = revision || caches.revisionOf(cache);
  let start: WatchStart;
  if (tooNew || options.timeoutSeconds < 0) start = { from: "nothing", error: tooNew };
  else
    start = fromState
      ? { from: "state", marked: options.sendInitialEvents === true && options.bookmarks }
      : { from: "revision", revision: since, replayed: await olderEvents(caches, cache, since) };
  const timeoutSeconds = options.timeoutSeconds === 0 ? watchSecondsMin * (1 + Math.random()) : options.timeoutSeconds;
  return {
    type: "watch",
    resource,
    open: (consumer) =>
      new WatchStream({
        cache,
        selection,
        start,
        revision: caches.revisionOf(cache),
        timeoutMs: timeoutSeconds * 1000,
        bookmarks: options.bookmarks ? caches.bookmarks : undefined,
        clock,
        consumer,
      }),
  };
}

/** What the cache has forgotten, or never knew because the server has just started. */
async function olderEvents(caches: WatchCaches, cache: ResourceCache, after: number): Promise<Replayed | undefined> {
  let known: Replayed | undefined;
  // While the store is read, the cache's window moves on.
  for (;;) {
    const from = known?.until ?? after;
    if (cache.eventsAfter(from) || from >= caches.revisionOf(cache)) return known;
    const until = cache.historyStart;
    const events = await replay(caches, { kind: cache.kind, after: from, until });
    if (!events) return undefined;
    known = { events: [...(known?.events ?? []), ...events], until };
  }
}

function startsFromState({ sendInitialEvents }: ListOptions, revision: number | undefined): boolean {
  return sendInitialEvents ?? !revision;
}

/** No answer of its own: upstream's watch is under way when it notices. */
const isTooNew = (error: unknown): error is StatusError => error instanceof StatusError && error.status.code === 504;
