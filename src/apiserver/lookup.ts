/** What admission and start-up read: decoded objects from the caches. */
import { assert, type Clock } from "#base";
import type { DeepReadonly, KubernetesObject } from "#machinery";
import type { Lookup } from "./admission/chain.ts";
import type { ResourceCache } from "./cache/resource-cache.ts";
import { Selection } from "./cache/selection.ts";
import { objectKey, type Storage } from "./registry/storage.ts";
import type { ResourceTable, StoredKind } from "./resource.ts";

export interface LookupOptions {
  readonly table: ResourceTable;
  readonly storage: Storage;
  readonly clock: Clock;
}

export function createLookup({ table, storage, clock }: LookupOptions): Lookup {
  async function get<T extends KubernetesObject>(...[kind, namespace, name, waitMs = 0]: Parameters<Lookup["get"]>) {
    const key = objectKey(kind, namespace, name);
    let object = await storage.read(kind, key);
    if (!object && waitMs > 0) {
      const cache = await storage.cache(kind);
      if (!cache.get(key)) await appears(cache, new Selection({ kind, namespace, name }), { clock, waitMs });
      object = cache.get(key);
    }
    return object?.decoded() as DeepReadonly<T> | undefined; // the caller names the kind's type
  }
  return {
    kind(group, resource): StoredKind {
      const kind = table.stored(group, resource);
      assert(kind, `${group}/${resource} is a built-in kind`);
      return kind;
    },
    get,
    async list<T extends KubernetesObject>(kind: StoredKind, namespace: string) {
      const cache = await storage.cache(kind);
      const objects = cache.select(new Selection({ kind, namespace }));
      return objects.map((object) => object.decoded() as DeepReadonly<T>); // as above
    },
  };
}

/** Resolves when anything happens to the selected object, or after `waitMs`. */
function appears(
  cache: ResourceCache,
  selection: Selection,
  { clock, waitMs }: { clock: Clock; waitMs: number },
): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      remove();
      cancel();
      resolve();
    };
    const remove = cache.watchers.add({ selection, accept: () => undefined, flush: done, end: done });
    const cancel = clock.after(waitMs, done);
  });
}
