/**
 * A tiny API server for tests of what stands above a Transport: objects by path, revisions, watches, optimistic locks.
 * It knows no kinds, no defaults and no validation; whole-cluster tests use the real one.
 */
import type { ApiRequest, KubernetesObject, Transport, WatchEvent } from "#machinery";
import { statusError } from "#machinery";

interface Watcher {
  readonly collection: string;
  readonly onEvent: (event: WatchEvent) => void;
  readonly end: (error?: Error) => void;
}

interface LogEntry {
  readonly revision: number;
  readonly collection: string;
  readonly event: WatchEvent;
}

/** Answers instead of the server when it returns something other than undefined. */
export type Intercept = (request: ApiRequest) => unknown;

export class FakeTransport implements Transport {
  readonly objects = new Map<string, KubernetesObject>();
  readonly requests: ApiRequest[] = [];
  intercept: Intercept | undefined;
  #revision = 100;
  #compacted = 0;
  #log: LogEntry[] = [];
  #watchers = new Set<Watcher>();
  #uids = 0;
  #names = 0;

  async request(request: ApiRequest): Promise<unknown> {
    this.requests.push(request);
    const answer = await this.intercept?.(request);
    if (answer !== undefined) return answer;
    const body = request.body as KubernetesObject; // tests send objects
    switch (request.method) {
      case "GET":
        return this.objects.get(request.path) ?? this.#list(request);
      case "POST":
        return this.create(request.path, body);
      case "PUT":
        return this.put(request.path, body);
      case "DELETE":
        return this.remove(request.path);
      case "PATCH":
        return this.patch(request.path, body as Record<string, unknown>); // a merge patch
    }
  }

  async watch(request: ApiRequest, onEvent: (event: WatchEvent) => void): Promise<void> {
    this.requests.push(request);
    await this.intercept?.(request);
    const from = Number(request.query?.resourceVersion ?? 0);
    if (from < this.#compacted) throw statusError.expired(`too old resource version: ${from} (${this.#compacted})`);
    await new Promise<void>((resolve, reject) => {
      const watcher: Watcher = {
        collection: request.path,
        onEvent,
        end: (error) => {
          this.#watchers.delete(watcher);
          if (error) reject(error);
          else resolve();
        },
      };
      this.#watchers.add(watcher);
      request.signal?.addEventListener("abort", () => watcher.end(), { once: true });
      if (request.signal?.aborted) return watcher.end();
      for (const { revision, collection, event } of this.#log) {
        if (revision > from && covers(watcher.collection, collection)) onEvent(event);
      }
    });
  }

  close(): void {
    this.endWatches();
  }

  get watching(): number {
    return this.#watchers.size;
  }

  endWatches(error?: Error): void {
    for (const watcher of [...this.#watchers]) watcher.end(error);
  }

  bookmark(): void {
    for (const { onEvent } of this.#watchers) {
      onEvent({ type: "BOOKMARK", object: { metadata: { resourceVersion: String(this.#revision) } } });
    }
  }

  sendError(status: unknown): void {
    for (const { onEvent } of [...this.#watchers]) onEvent({ type: "ERROR", object: status });
  }

  /** Forgets history: watches from before now get 410. */
  compact(): void {
    this.#compacted = ++this.#revision;
    this.#log = [];
  }

  create(collection: string, object: KubernetesObject): KubernetesObject {
    const { generateName } = object.metadata ?? {};
    const name = object.metadata?.name ?? (generateName && `${generateName}${++this.#names}`);
    if (!name) throw statusError.badRequest("name is required");
    const path = `${collection}/${name}`;
    if (this.objects.has(path)) throw statusError.alreadyExists({ group: "", resource: lastOf(collection) }, name);
    const namespace = /\/namespaces\/([^/]+)\/[^/]+$/.exec(collection)?.[1];
    const metadata = { ...object.metadata, name, uid: object.metadata?.uid ?? `uid-${++this.#uids}` };
    return this.#write("ADDED", path, { ...object, metadata: namespace ? { ...metadata, namespace } : metadata });
  }

  put(path: string, object: KubernetesObject): KubernetesObject {
    const target = path.replace(/\/(status|scale)$/, "");
    const old = this.objects.get(target);
    const name = lastOf(target);
    const resource = { group: "", resource: lastOf(target.slice(0, -name.length - 1)) };
    if (!old) throw statusError.notFound(resource, name);
    const version = object.metadata?.resourceVersion;
    if (version && version !== old.metadata?.resourceVersion) throw statusError.modified(resource, name);
    const { uid, namespace } = old.metadata ?? {};
    const metadata = { ...object.metadata, uid, ...(namespace ? { namespace } : {}) };
    return this.#write("MODIFIED", target, { ...object, metadata });
  }

  patch(path: string, change: Record<string, unknown>): KubernetesObject {
    const target = path.replace(/\/status$/, "");
    const old = this.objects.get(target);
    if (!old) throw statusError.notFound({ group: "", resource: "" }, lastOf(target));
    return this.#write("MODIFIED", target, merge(old, change) as KubernetesObject); // a merged object is an object
  }

  remove(path: string): KubernetesObject {
    const old = this.objects.get(path);
    if (!old) throw statusError.notFound({ group: "", resource: "" }, lastOf(path));
    return this.#write("DELETED", path, old);
  }

  #write(type: "ADDED" | "MODIFIED" | "DELETED", path: string, value: KubernetesObject): KubernetesObject {
    const revision = ++this.#revision;
    const object = { ...value, metadata: { ...value.metadata, resourceVersion: String(revision) } };
    if (type === "DELETED") this.objects.delete(path);
    else this.objects.set(path, object);
    const collection = path.slice(0, path.lastIndexOf("/"));
    const event: WatchEvent = { type, object };
    this.#log.push({ revision, collection, event });
    for (const watcher of [...this.#watchers]) if (covers(watcher.collection, collection)) watcher.onEvent(event);
    return object;
  }

  #list(request: ApiRequest): unknown {
    const items = [...this.objects].filter(([path]) => covers(request.path, path.slice(0, path.lastIndexOf("/"))));
    if (items.length === 0 && request.path.split("/").length > 6 && !request.query) {
      throw statusError.notFound({ group: "", resource: "" }, lastOf(request.path));
    }
    return {
      metadata: { resourceVersion: String(this.#revision) },
      items: items.map(([, object]) => object),
    };
  }
}

const lastOf = (path: string) => path.slice(path.lastIndexOf("/") + 1);

/** `/api/v1/pods` covers the pods of every namespace. */
const covers = (watched: string, collection: string) =>
  watched === collection || collection.replace(/\/namespaces\/[^/]+(?=\/[^/]+$)/, "") === watched;

function merge(old: unknown, change: unknown): unknown {
  if (typeof change !== "object" || change === null || Array.isArray(change)) return change;
  const result: Record<string, unknown> = typeof old === "object" && old !== null ? { ...old } : {};
  for (const [key, value] of Object.entries(change)) {
    if (value === null) delete result[key];
    else result[key] = merge(result[key], value);
  }
  return result;
}
