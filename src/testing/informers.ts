/** Informers whose content a test sets: no server, no network, the same interface. */
import type { Informer, InformerHandler, InformerSet } from "#client";
import type { KubernetesObject } from "#machinery";

export interface FakeInformers extends InformerSet {
  /** Adds or replaces an object of this resource and tells the handlers. */
  set(resource: string, object: KubernetesObject): void;
  remove(resource: string, object: KubernetesObject): void;
}

export function createFakeInformers(): FakeInformers {
  const informers = new Map<string, ReturnType<typeof createFakeInformer>>();
  const of = (resource: string) => {
    const found = informers.get(resource) ?? createFakeInformer();
    informers.set(resource, found);
    return found;
  };
  return {
    // The caller names the resource, and with it the type.
    of: ((resource: unknown) => of(String(resource))) as unknown as InformerSet["of"],
    run: (signal) => new Promise((done) => signal.addEventListener("abort", () => done(), { once: true })),
    set: (resource, object) => of(resource).set(object),
    remove: (resource, object) => of(resource).remove(object),
  };
}

const keyOf = ({ metadata }: KubernetesObject) =>
  metadata?.namespace ? `${metadata.namespace}/${metadata.name}` : `${metadata?.name}`;

function createFakeInformer() {
  const objects = new Map<string, KubernetesObject>();
  const indexes = new Map<string, (object: KubernetesObject) => readonly string[]>();
  const handlers = new Set<InformerHandler<KubernetesObject>>();
  const informer: Informer<KubernetesObject> = {
    get: (key) => objects.get(key),
    list: (namespace) =>
      [...objects.values()].filter(({ metadata }) => !namespace || metadata?.namespace === namespace),
    by: (index, value) => [...objects.values()].filter((object) => indexes.get(index)?.(object).includes(value)),
    addIndex: (name, valuesOf) => {
      indexes.set(name, valuesOf as (object: KubernetesObject) => readonly string[]); // read-only views of the same objects
    },
    addHandler(handler) {
      handlers.add(handler);
      for (const object of objects.values()) handler.added?.(object);
      return () => handlers.delete(handler);
    },
    hasSynced: () => true,
    synced: async () => undefined,
  };
  return {
    ...informer,
    set(object: KubernetesObject) {
      const old = objects.get(keyOf(object));
      objects.set(keyOf(object), object);
      for (const handler of handlers) {
        if (old) handler.updated?.(object, old);
        else handler.added?.(object);
      }
    },
    remove(object: KubernetesObject) {
      objects.delete(keyOf(object));
      for (const handler of handlers) handler.deleted?.(object);
    },
  };
}
