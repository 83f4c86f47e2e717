/** Keeps telling which objects of a kind changed, also after the caches began anew, until it is ended. */
import type { Logger } from "#base";
import type { Storage } from "../registry/storage.ts";
import type { StoredKind } from "../resource.ts";
import type { ResourceCache } from "./resource-cache.ts";
import { Selection } from "./selection.ts";
import type { StoredObject } from "./stored-object.ts";
import type { Watcher } from "./watcher-index.ts";

export interface Follower {
  /** All objects as of now: at the start and whenever events may have been missed. */
  reset(objects: readonly StoredObject[]): void;
  /** `object` undefined: it is gone. */
  changed(key: string, object: StoredObject | undefined): void;
  /** After a batch of changes. */
  flush(): void;
}

export interface Followed {
  readonly storage: Storage;
  readonly kind: StoredKind;
  readonly log: Logger;
}

/** Resolves after the first `reset`, with what ends it. */
export async function follow({ storage, kind, log }: Followed, follower: Follower): Promise<() => void> {
  let ended = false;
  let remove = (): void => undefined;
  const begin = async (): Promise<void> => {
    const cache: ResourceCache = await storage.cache(kind);
    if (ended) return;
    const watcher: Watcher = {
      selection: new Selection({ kind, namespace: "" }),
      accept: ({ object, previous }) => follower.changed(object?.key ?? previous?.key ?? "", object), // events have one of them
      flush: () => follower.flush(),
      end: () => {
        remove();
        if (ended) return;
        begin().catch((error: unknown) => log.error("objects are no longer followed", { kind: kind.kind, error }));
      },
    };
    remove = cache.watchers.add(watcher);
    follower.reset(cache.all());
    follower.flush();
  };
  await begin();
  return () => {
    ended = true;
    remove();
  };
}
