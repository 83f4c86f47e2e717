/** What admission and start-up read: decoded objects from the caches. */
import type { DeepReadonly, KubernetesObject } from "#machinery";
import { assert } from "#base";
import type { Lookup } from "./admission/chain.ts";
import { Selection } from "./cache/selection.ts";
import { objectKey, type Storage } from "./registry/storage.ts";
import type { ResourceTable } from "./resource.ts";

export function createLookup(table: ResourceTable, storage: Storage): Lookup {
  return {
    kind(group, resource) {
      const kind = table.stored(group, resource);
      assert(kind, `${group}/${resource} is a built-in kind`);
      return kind;
    },
    async get<T extends KubernetesObject>(kind: Parameters<Lookup["get"]>[0], namespace: string, name: string) {
      const object = await storage.read(kind, objectKey(kind, namespace, name));
      return object?.decoded() as DeepReadonly<T> | undefined; // the caller names the kind's type
    },
    async list<T extends KubernetesObject>(kind: Parameters<Lookup["list"]>[0], namespace: string) {
      const cache = await storage.cache(kind);
      const objects = cache.select(new Selection({ kind, namespace }));
      return objects.map((object) => object.decoded() as DeepReadonly<T>); // as above
    },
  };
}
