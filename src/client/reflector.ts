/**
 * List, then watch, for ever: written once for everything that follows the API server.
 *
 * The first list asks for resourceVersion 0 (whatever the server has cached), the watch starts at the list's version and is
 * resumed from the last event or bookmark after any failure; only when the server says that version is gone (410) or
 * lies in its future is everything listed again. So nothing in between can be missed, and a server that restarts is not asked
 * for full lists by everybody at once. Delays follow client-go's reflector: 0.8 s doubling to 30 s, each up to twice as long by
 * chance, and forgotten after two minutes without a failure.
 */
import { backoffMs, type Clock, type Logger } from "#base";
import { isStatusError, type KubernetesList, type KubernetesObject, StatusError, type Transport } from "#machinery";
import { delay } from "./delay.ts";

/** Where the objects go, in order. */
export interface ReflectorSink {
  /** The complete state; what is not in `items` no longer exists. No event comes before it has resolved. */
  replace(items: readonly KubernetesObject[]): Promise<void>;
  upsert(object: KubernetesObject): void;
  remove(object: KubernetesObject): void;
}

export interface ReflectorOptions {
  readonly transport: Transport;
  readonly path: string;
  /** Selectors. */
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly metadataOnly?: boolean;
  readonly clock: Clock;
  readonly log: Logger;
  readonly sink: ReflectorSink;
}

/** Page size of lists that read from storage, so that the server never encodes everything at once. */
const listPageMax = 500;
/** The server ends watches after this long (up to twice), which spreads watches over the servers behind a balancer. */
const watchSecondsMin = 300;
/** A watch that outlives its own timeout by this is stuck: the server or a proxy forgot us. */
const watchOverdueMs = 30_000;
const healthyMs = 120_000;
const shortWatchMs = 1_000;

export async function runReflector(options: ReflectorOptions, signal: AbortSignal): Promise<void> {
  const { clock, log, path } = options;
  // Resource version to go on from; "" before the first list.
  let resourceVersion = "";
  let listed = false;
  let failures = 0;
  let lastFailureAt = 0;

  while (!signal.aborted) {
    try {
      if (!listed) {
        const list = await listAll(options, resourceVersion === "" ? "0" : resourceVersion, signal);
        if (signal.aborted) return;
        await options.sink.replace(withTypes(list));
        resourceVersion = list.metadata.resourceVersion ?? "";
        listed = true;
      }
      if (signal.aborted) return;
      await watchOnce(options, resourceVersion, signal, (version) => (resourceVersion = version));
    } catch (error) {
      if (signal.aborted) return;
      if (listed && (isGone(error) || isTooNew(error))) {
        log.debug("watch: version no longer available, listing again", { path, resourceVersion });
        listed = false;
        continue;
      }
      if (clock.now() - lastFailureAt > healthyMs) failures = 0;
      lastFailureAt = clock.now();
      failures++;
      const delayMs = backoffMs(failures, { initialMs: 800, maxMs: 30_000 }) * (1 + Math.random());
      log[failures > 1 ? "warn" : "debug"](listed ? "watch failed" : "list failed", {
        path,
        error,
        retryMs: delayMs | 0,
      });
      await delay(clock, delayMs, signal);
    }
  }
}

/** Lists at least as fresh as `resourceVersion`; if the server can't, reads the newest state. */
async function listAll(
  options: ReflectorOptions,
  resourceVersion: string,
  signal: AbortSignal,
): Promise<KubernetesList> {
  const { transport, path, query, metadataOnly = false } = options;
  // The transport only knows JSON; a collection's GET answers a list.
  const list = (page: Record<string, string | number>) =>
    transport.request({
      method: "GET",
      path,
      query: { ...query, ...page },
      metadataOnly,
      withoutManagedFields: true,
      signal,
    }) as Promise<KubernetesList>;
  try {
    return await list({ resourceVersion });
  } catch (error) {
    if (!isGone(error) && !isTooNew(error)) throw error;
  }
  try {
    const first = await list({ limit: listPageMax });
    const items = [...first.items];
    let { continue: next, resourceVersion: version } = first.metadata;
    while (next) {
      const page: KubernetesList = await list({ limit: listPageMax, continue: next });
      for (const item of page.items) items.push(item);
      next = page.metadata.continue;
      version = page.metadata.resourceVersion;
    }
    return { ...first, metadata: { resourceVersion: version }, items };
  } catch (error) {
    // The pages expired while they were read: everything in one answer can't.
    if (!isGone(error)) throw error;
    return list({});
  }
}

/** Resolves when the server ended the watch as agreed. */
async function watchOnce(
  options: ReflectorOptions,
  resourceVersion: string,
  signal: AbortSignal,
  onVersion: (resourceVersion: string) => void,
): Promise<void> {
  const { transport, path, query, metadataOnly = false, clock, log, sink } = options;
  const timeoutSeconds = Math.floor(watchSecondsMin * (1 + Math.random()));
  const startedAt = clock.now();
  let events = 0;
  let failure: unknown;
  const stop = new AbortController();
  const onAbort = () => stop.abort();
  signal.addEventListener("abort", onAbort, { once: true });
  const cancelOverdue = clock.after(timeoutSeconds * 1000 + watchOverdueMs, onAbort);
  try {
    await transport.watch(
      {
        method: "GET",
        path,
        query: { ...query, watch: true, resourceVersion, allowWatchBookmarks: true, timeoutSeconds },
        metadataOnly,
        withoutManagedFields: true,
        signal: stop.signal,
      },
      (event) => {
        if (stop.signal.aborted) return;
        if (event.type === "ERROR") {
          // The object of an error event is always a Status.
          failure = new StatusError(event.object as StatusError["status"]);
          stop.abort();
          return;
        }
        events++;
        const object = event.object as KubernetesObject; // every other event carries an object of the watched kind
        if (event.type === "DELETED") sink.remove(object);
        else if (event.type !== "BOOKMARK") sink.upsert(object);
        const version = object.metadata?.resourceVersion;
        if (version) onVersion(version);
        else log.error("watch: event without resourceVersion", { path, type: event.type });
      },
    );
  } catch (error) {
    // Our own abort may surface as a rejection; the reason for it matters more.
    if (failure === undefined) throw error;
  } finally {
    cancelOverdue();
    signal.removeEventListener("abort", onAbort);
  }
  if (failure !== undefined) throw failure;
  if (!signal.aborted && events === 0 && clock.now() - startedAt < shortWatchMs) {
    throw new Error(`the watch ended within ${shortWatchMs} ms and without an event`);
  }
}

/** List items come without kind and apiVersion over HTTP; watch events carry them. Readers get both. */
function withTypes(list: KubernetesList): readonly KubernetesObject[] {
  const { apiVersion } = list;
  // An empty list of a server written in Go may be null.
  const items = list.items ?? [];
  const kind = list.kind?.replace(/List$/, "");
  if (!kind || !apiVersion || items.every((item) => item.kind !== undefined)) return items;
  return items.map((item) => (item.kind === undefined ? { kind, apiVersion, ...item } : item));
}

const isGone = (error: unknown) => isStatusError(error) && (error.reason === "Expired" || error.code === 410);

/** The server has not seen this version: it lags, or its storage was restored from a backup. */
const isTooNew = (error: unknown) =>
  isStatusError(error) &&
  (error.status.details?.causes ?? []).some(
    ({ reason, message }) => reason === "ResourceVersionTooLarge" || message === "Too large resource version",
  );
