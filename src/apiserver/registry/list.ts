/**
 * GET of a collection. What resourceVersion asks for decides where the objects come from: the cache as it is, the cache once it has caught
 * up, a snapshot the cache kept for later pages, or the store at that revision.
 */
import { StatusError, statusError } from "#machinery";
import { StoreError } from "#store";
import type { Answer, ListMetadata } from "../answer.ts";
import { lowerBound, type ResourceCache } from "../cache/resource-cache.ts";
import type { Selection } from "../cache/selection.ts";
import type { StoredObject } from "../cache/stored-object.ts";
import type { StoredKind } from "../resource.ts";
import type { Call } from "./call.ts";
import { type ContinueToken, decodeContinue, encodeContinue, encodeToken } from "./continue-token.ts";
import type { RegistryCore } from "./core.ts";
import { storedOf } from "./create.ts";
import { badRevision, type ListOptions, parseRevision, readListOptions } from "./options.ts";
import { readSelection } from "./selectors.ts";

/** As upstream: how long a request waits for a revision that the server hasn't seen yet. */
export const revisionWaitMs = 3_000;
/** Objects read from the store at a time. */
const storePageMax = 500;

export async function list(core: RegistryCore, call: Call): Promise<Answer> {
  const options = readListOptions(call.query, { watch: false });
  const { objects, metadata } = await selectForRequest(core, call, options);
  return { type: "list", resource: call.resource, objects, metadata };
}

export interface SelectedList {
  readonly objects: readonly StoredObject[];
  readonly metadata: ListMetadata;
}

export async function selectForRequest(core: RegistryCore, call: Call, options: ListOptions): Promise<SelectedList> {
  const kind = storedOf(call);
  const { selection, unfiltered } = readSelection(kind, call, options);
  const token = options.continue === "" ? undefined : decodeContinue(options.continue);
  const asked = askedRevision(options, token);
  if (token || asked.exact)
    return exactList(core, { kind, selection, unfiltered, options, token, revision: asked.revision });
  const cache = await cacheAt(core, kind, asked.revision).catch((error: unknown) => {
    // Upstream reads pages from the store, and everything else from a cache that never gets ready.
    const paged = options.limit > 0 || call.verb === "deletecollection";
    throw paged && unfiltered ? error : notReady(error, kind);
  });
  // From here on nothing waits: objects and revision belong together.
  const revision = core.storage.caches.revisionOf(cache);
  if (options.limit === 0) {
    if (cache.spoiled) checkComplete(cache);
    const objects = cache.select(selection);
    cache.stats.list(selection.exactKey === undefined ? cache.size : 1, objects.length);
    return { objects, metadata: { resourceVersion: String(revision) } };
  }
  const page = pageOf(cache.all(), { selection, start: selection.keyPrefix, limit: options.limit });
  cache.stats.list(page.objects.length, page.objects.length);
  if (page.more) cache.keepSnapshot(revision);
  return finishPage(page, { selection, unfiltered, revision });
}

interface Asked {
  /** Undefined: the newest; 0: any. */
  readonly revision: number | undefined;
  readonly exact: boolean;
}

function askedRevision({ resourceVersion, match, limit }: ListOptions, token: ContinueToken | undefined): Asked {
  if (token) {
    if (resourceVersion !== "" && resourceVersion !== "0") {
      throw statusError.badRequest("specifying resource version is not allowed when using continue");
    }
    return { revision: token.revision, exact: true };
  }
  if (resourceVersion === "") return { revision: undefined, exact: false };
  const revision = parseRevision(resourceVersion);
  if (revision === undefined) {
    const { message } = badRevision(resourceVersion, "resourceVersion");
    throw statusError.badRequest(`invalid resource version: ${message}`);
  }
  // Before resourceVersionMatch existed, a page asked for exactly this revision.
  return { revision, exact: match === "Exact" || (match === "" && limit > 0 && revision > 0) };
}

function checkComplete(cache: ResourceCache): void {
  try {
    cache.checkReadable();
  } catch (error) {
    throw notReady(error, cache.kind);
  }
}

/** What a cache failed with whose objects can't be converted. */
export function notReady(error: unknown, { apiVersion, kind }: StoredKind): unknown {
  if (!(error instanceof StatusError) || error.status.code !== 500) return error;
  const why = `failed to list ${apiVersion}, Kind=${kind}: ${error.message}`;
  return statusError.tooManyRequests(`storage is (re)initializing: ${why}`, 1);
}

/** The cache, not older than asked. */
export async function cacheAt(core: RegistryCore, kind: StoredKind, revision: number | undefined) {
  const { caches } = core.storage;
  if (revision === undefined) return core.storage.cache(kind);
  const cache = await caches.of(kind);
  if (!(await caches.reach(revision, revisionWaitMs))) throw tooLargeRevision(revision, caches.revision);
  const behind = cache.behind?.until(revision);
  if (behind) await behind;
  return cache;
}

export function tooLargeRevision(asked: number, current: number): StatusError {
  return new StatusError({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: `Timeout: Too large resource version: ${asked}, current: ${current}`,
    reason: "Timeout",
    details: {
      causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
      retryAfterSeconds: 1,
    },
    code: 504,
  });
}

interface ExactList {
  readonly kind: StoredKind;
  readonly selection: Selection;
  readonly unfiltered: boolean;
  readonly options: ListOptions;
  readonly token: ContinueToken | undefined;
  readonly revision: number | undefined;
}

async function exactList(core: RegistryCore, request: ExactList): Promise<SelectedList> {
  const { kind, selection, unfiltered, options, token } = request;
  const { caches } = core.storage;
  const start = selection.keyPrefix + (token?.start.replace(/^\//, "") ?? "");
  const cache = await core.storage.cache(kind);
  const newest = caches.revisionOf(cache);
  const revision = request.revision === -1 || request.revision === undefined ? newest : request.revision;
  if (revision > newest) throw tooLargeRevision(revision, newest);
  const sorted = revision === newest ? cache.all() : cache.snapshot(revision);
  const page = sorted
    ? pageOf(sorted, { selection, start, limit: options.limit })
    : await storePage(core, { kind, selection, start, limit: options.limit, revision, token });
  if (page.more && sorted === cache.all()) cache.keepSnapshot(revision);
  return finishPage(page, { selection, unfiltered, revision });
}

interface StoreRead extends PageRequest {
  readonly kind: StoredKind;
  readonly revision: number;
  readonly token: ContinueToken | undefined;
}

async function storePage(core: RegistryCore, request: StoreRead): Promise<Page> {
  const { kind, start, revision, selection, limit, token } = request;
  const { caches } = core.storage;
  const scope = kind.prefix + selection.keyPrefix;
  const end = `${scope.slice(0, -1)}0`;
  const objects: StoredObject[] = [];
  try {
    for (let from = kind.prefix + start; ; ) {
      const read = await caches.store.range({ start: from, end, limit: storePageMax, revision });
      const decoded = kind.form ? await caches.objectsOf(kind, read.items) : undefined;
      for (const [position, item] of read.items.entries()) {
        if (limit > 0 && objects.length >= limit) return { objects, more: true, rest: read.count - position };
        const object = decoded?.[position] ?? caches.objectOf(kind, item);
        if (selection.matches(object)) objects.push(object);
      }
      if (!read.more) return { objects, more: false, rest: 0 };
      from = `${read.items.at(-1)?.key}\0`;
    }
  } catch (error) {
    if (error instanceof StoreError && error.detail.code === "compacted") throw tooOld(token);
    throw error;
  }
}

function tooOld(token: ContinueToken | undefined): StatusError {
  if (!token) return statusError.expired("The resourceVersion for the provided list is too old.");
  const { status } = statusError.expired(
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
  );
  return new StatusError({ ...status, metadata: { continue: encodeToken(token.start, -1) } });
}

interface Page {
  readonly objects: readonly StoredObject[];
  readonly more: boolean;
  /** Objects behind this page, matching or not. */
  readonly rest: number;
}

interface PageRequest {
  readonly selection: Selection;
  /** First key, relative to the kind. */
  readonly start: string;
  /** 0: all. */
  readonly limit: number;
}

function pageOf(sorted: readonly StoredObject[], { selection, start, limit }: PageRequest): Page {
  const { keyPrefix } = selection;
  const to = keyPrefix === "" ? sorted.length : lowerBound(sorted, `${keyPrefix.slice(0, -1)}0`);
  const objects: StoredObject[] = [];
  for (let at = lowerBound(sorted, start); at < to; at++) {
    if (limit > 0 && objects.length >= limit) return { objects, more: true, rest: to - at };
    const object = sorted[at]!; // inside
    if (selection.matches(object)) objects.push(object);
  }
  return { objects, more: false, rest: 0 };
}

function finishPage(
  page: Page,
  { selection, unfiltered, revision }: { selection: Selection; unfiltered: boolean; revision: number },
): SelectedList {
  const resourceVersion = String(revision);
  const last = page.objects.at(-1);
  if (!page.more || !last) return { objects: page.objects, metadata: { resourceVersion } };
  const token = encodeContinue(last.key.slice(selection.keyPrefix.length), revision);
  const remaining = unfiltered ? { remainingItemCount: page.rest } : {};
  return { objects: page.objects, metadata: { resourceVersion, continue: token, ...remaining } };
}
