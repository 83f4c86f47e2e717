/**
 * A live local copy of one resource, shared by all who watch it in this process, and the set that shares them.
 * Handlers run synchronously while an event is applied, so they must only note what to do (a key into a work queue);
 * in exchange nobody ever sees a handler's event before the store shows it, and no event queue can grow.
 */
import type { ResourceTypes } from "#api";
import { type Clock, type Logger, realClock, silentLogger } from "#base";
import type { DeepReadonly, KubernetesObject } from "#machinery";
import { parseResourceName, resourcePath } from "./client.ts";
import { keyOf, ObjectStore } from "./object-store.ts";
import { type ReflectorSink, runReflector } from "./reflector.ts";
import type {
  Client,
  Informer,
  InformerHandler,
  InformerSelector,
  InformerSet,
  ResourceName,
  ResourceReference,
} from "./types.ts";

export interface InformerSetOptions {
  readonly clock?: Clock;
  readonly log?: Logger;
}

interface Running {
  readonly informer: Informer<KubernetesObject>;
  start(signal: AbortSignal): Promise<void>;
}

export function createInformers(client: Client, options: InformerSetOptions = {}): InformerSet {
  const { clock = realClock, log = silentLogger } = options;
  const informers = new Map<string, Running>();
  const running: Promise<void>[] = [];
  let started: AbortSignal | undefined;

  function of<N extends ResourceName>(name: N, selector?: InformerSelector): Informer<ResourceTypes[N]>;
  function of<T extends KubernetesObject>(reference: ResourceReference, selector?: InformerSelector): Informer<T>;
  function of(target: string | ResourceReference, selector: InformerSelector = {}): Informer<KubernetesObject> {
    const { namespace, fieldSelector, labelSelector } = selector;
    const path = resourcePath(typeof target === "string" ? parseResourceName(target) : target, { namespace });
    const id = JSON.stringify([path, fieldSelector, labelSelector]);
    let found = informers.get(id);
    if (!found) {
      const { informer, sink } = createInformer(log.with({ path }));
      const query = { fieldSelector, labelSelector };
      found = {
        informer,
        start: (signal) => runReflector({ transport: client.transport, path, query, clock, log, sink }, signal),
      };
      informers.set(id, found);
      if (started) running.push(found.start(started));
    }
    return found.informer;
  }

  return {
    of,
    async run(signal) {
      if (started) throw new Error("an informer set runs only once");
      started = signal;
      for (const each of informers.values()) running.push(each.start(signal));
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener("abort", () => resolve(), { once: true });
      });
      await Promise.all(running);
    },
  };
}

/** Of a large list is delivered at a stretch, so that whatever else this thread does gets its turn. */
const sliceMs = 5;

type ReadonlyObject = DeepReadonly<KubernetesObject>;

/** An informer and the end that a reflector feeds. */
export function createInformer<T extends KubernetesObject = KubernetesObject>(
  log: Logger,
): { informer: Informer<T>; sink: ReflectorSink } {
  // The store holds what the path answers: objects of the caller's T.
  type Stored = DeepReadonly<T> & ReadonlyObject;
  const store = new ObjectStore<Stored>();
  // Replaced as a whole when it changes, so that a handler may add and remove handlers while it runs.
  let handlers: readonly InformerHandler<T>[] = [];
  let isSynced = false;
  const synced = Promise.withResolvers<void>();

  function deliver(run: (handler: InformerHandler<T>) => void): void {
    for (const handler of handlers) {
      try {
        run(handler);
      } catch (error) {
        // One reader's bug must not cost the others this event, nor end the watch.
        log.error("informer: a handler failed", { error, stack: error instanceof Error ? error.stack : undefined });
      }
    }
  }

  const remove = (key: string, last: Stored) => {
    store.delete(key);
    deliver((handler) => handler.deleted?.(last));
  };
  const upsert = (object: Stored) => {
    const key = keyOf(object);
    const old = store.get(key);
    if (old === undefined) {
      store.set(key, object);
      deliver((handler) => handler.added?.(object));
    } else if (old.metadata?.uid !== object.metadata?.uid) {
      // Deleted and made again while nobody watched: two objects, so two events.
      remove(key, old);
      store.set(key, object);
      deliver((handler) => handler.added?.(object));
    } else if (old.metadata?.resourceVersion !== object.metadata?.resourceVersion) {
      store.set(key, object);
      deliver((handler) => handler.updated?.(object, old));
    }
  };

  return {
    sink: {
      async replace(items) {
        const listed = items as readonly Stored[]; // see Stored
        const keys = new Set(listed.map(keyOf));
        // First what is gone, so that what took its place (an address, a port) is free when it appears.
        const gone = [...store.keys()].filter((key) => !keys.has(key));
        for (const key of gone) {
          const last = store.get(key);
          if (last) remove(key, last);
        }
        let sliceEnd = performance.now() + sliceMs;
        for (const item of listed) {
          upsert(item);
          if (performance.now() < sliceEnd) continue;
          await new Promise((resolve) => setImmediate(resolve));
          sliceEnd = performance.now() + sliceMs;
        }
        isSynced = true;
        synced.resolve();
      },
      upsert: (object) => upsert(object as Stored), // see Stored
      remove(object) {
        const key = keyOf(object);
        if (store.get(key)) remove(key, object as Stored); // see Stored; carries the final state
      },
    },
    informer: {
      get: (key) => store.get(key),
      list: (namespace) => store.list(namespace),
      by: (index, value) => store.by(index, value),
      addIndex(name, valuesOf) {
        // Controllers that share an informer ask for the same index by name.
        if (!store.hasIndex(name)) store.addIndex(name, valuesOf);
      },
      addHandler(handler) {
        handlers = [...handlers, handler];
        for (const object of store.list()) handler.added?.(object);
        return () => {
          handlers = handlers.filter((other) => other !== handler);
        };
      },
      hasSynced: () => isSynced,
      synced: () => synced.promise,
    },
  };
}
