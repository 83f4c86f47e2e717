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

interface Index {
  readonly valuesOf: (object: KubernetesObject) => readonly string[];
  readonly found: Map<string, Set<KubernetesObject>>;
}

function addTo({ valuesOf, found }: Index, object: KubernetesObject): void {
  for (const value of valuesOf(object)) {
    const objects = found.get(value) ?? new Set();
    found.set(value, objects.add(object));
  }
}

function removeFrom({ valuesOf, found }: Index, object: KubernetesObject): void {
  for (const value of valuesOf(object)) found.get(value)?.delete(object);
}

function createFakeInformer() {
  const objects = new Map<string, KubernetesObject>();
  const indexes = new Map<string, Index>();
  const handlers = new Set<InformerHandler<KubernetesObject>>();
  const informer: Informer<KubernetesObject> = {
    get: (key) => objects.get(key),
    list: (namespace) =>
      [...objects.values()].filter(({ metadata }) => !namespace || metadata?.namespace === namespace),
    by: (index, value) => [...(indexes.get(index)?.found.get(value) ?? [])],
    addIndex: (name, valuesOf) => {
      const index: Index = { valuesOf: valuesOf as Index["valuesOf"], found: new Map() }; // read-only views of the same objects
      indexes.set(name, index);
      for (const object of objects.values()) addTo(index, object);
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
      for (const index of indexes.values()) {
        if (old) removeFrom(index, old);
        addTo(index, object);
      }
      for (const handler of handlers) {
        if (old) handler.updated?.(object, old);
        else handler.added?.(object);
      }
    },
    remove(object: KubernetesObject) {
      const old = objects.get(keyOf(object));
      objects.delete(keyOf(object));
      if (old) for (const index of indexes.values()) removeFrom(index, old);
      for (const handler of handlers) handler.deleted?.(object);
    },
  };
}
