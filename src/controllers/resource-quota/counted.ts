/**
 * Objects of which only the number matters. Their metadata is followed and nothing but their namespace kept: a quota of secrets
 * shouldn't bring all secrets into memory. What is served no more is let go, or it would be asked for in vain for ever.
 */
import type { Clock, Logger } from "#base";
import { type Client, type ResourceReference, resourcePath, runReflector } from "#client";
import type { DeepReadonly, GroupResource, KubernetesObject } from "#machinery";
import { namespaceOf, type SeenObject, uidOf } from "../lib/objects.ts";

interface Followed {
  readonly stop: AbortController;
  readonly synced: Promise<void>;
  readonly ended: Promise<void>;
  readonly byNamespace: Map<string, Map<string, SeenObject>>;
}

export interface CountedObjects {
  /** Resolves when they have been listed once. */
  of(resource: ResourceReference, namespace: string): Promise<readonly DeepReadonly<KubernetesObject>[]>;
  forget(resource: GroupResource): void;
  close(): Promise<void>;
}

interface CountedOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  /** One is gone from this namespace. */
  onGone(resource: GroupResource, namespace: string): void;
}

const idOf = ({ group, resource }: GroupResource) => `${group}/${resource}`;

export function createCounted({ client, clock, log, onGone }: CountedOptions): CountedObjects {
  const followed = new Map<string, Followed>();
  let isClosed = false;
  /** Nothing is known of what was never listed: no count is not zero. */
  const checkOpen = () => {
    if (isClosed) throw new Error("objects are counted no more");
  };

  function follow(resource: ResourceReference): Followed {
    const byNamespace: Followed["byNamespace"] = new Map();
    const stop = new AbortController();
    const synced = Promise.withResolvers<void>();
    const add = (object: SeenObject) => {
      const namespace = namespaceOf(object);
      const objects = byNamespace.get(namespace) ?? new Map<string, SeenObject>();
      byNamespace.set(namespace, objects.set(uidOf(object), { metadata: { namespace } }));
    };
    const ended = runReflector(
      {
        transport: client.transport,
        path: resourcePath(resource),
        metadataOnly: true,
        clock,
        log,
        sink: {
          async replace(items) {
            const before = [...byNamespace].map(([namespace, objects]) => [namespace, objects.size] as const);
            byNamespace.clear();
            for (const item of items) add(item);
            for (const [namespace, count] of before)
              if ((byNamespace.get(namespace)?.size ?? 0) < count) onGone(resource, namespace);
            synced.resolve();
          },
          upsert: add,
          remove(object) {
            const objects = byNamespace.get(namespaceOf(object));
            objects?.delete(uidOf(object));
            if (objects?.size === 0) byNamespace.delete(namespaceOf(object));
            onGone(resource, namespaceOf(object));
          },
        },
      },
      stop.signal,
    );
    return { stop, ended, byNamespace, synced: Promise.race([synced.promise, ended]) };
  }

  return {
    async of(resource, namespace) {
      checkOpen();
      const known = followed.get(idOf(resource)) ?? follow(resource);
      followed.set(idOf(resource), known);
      await known.synced;
      checkOpen();
      return [...(known.byNamespace.get(namespace)?.values() ?? [])];
    },
    forget(resource) {
      followed.get(idOf(resource))?.stop.abort();
      followed.delete(idOf(resource));
    },
    async close() {
      isClosed = true;
      for (const { stop } of followed.values()) stop.abort();
      await Promise.all([...followed.values()].map(({ ended }) => ended));
      followed.clear();
    },
  };
}
