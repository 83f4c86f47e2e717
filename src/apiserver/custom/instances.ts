/** Removes the objects of a kind whose definition goes. What finalizers hold stays until they let go. */
import { isStatusError } from "#machinery";
import { Selection } from "../cache/selection.ts";
import type { RegistryCore } from "../registry/core.ts";
import { removeOne } from "../registry/delete.ts";
import { internalCallOf } from "../registry/internal-call.ts";
import type { CustomKind } from "./resources.ts";

/** Deletions under way at a time; each waits for its commit, which they share. */
const parallelMax = 32;

export interface Instances {
  readonly core: RegistryCore;
  readonly kind: CustomKind;
  readonly now: number;
}

export interface Remaining {
  /** Calls back, at least once, when any object of the kind has changed or gone. */
  onChange(callback: () => void): () => void;
}

/** Undefined: none is left. */
export async function removeInstances({ core, kind, now }: Instances): Promise<Remaining | undefined> {
  const { storage } = kind;
  const stored = storage.stored!; // custom kinds are stored
  const fail = (what: string) => (error: unknown) => {
    throw new Error(`${what}: ${(error as Error).message}`, { cause: error }); // nothing else is thrown
  };
  const cache = await core.storage.cache(stored).catch(fail("could not list instances"));
  const waiting = cache.all().filter((object) => object.glance().metadata?.deletionTimestamp === undefined);
  const worker = async () => {
    for (let object = waiting.pop(); object; object = waiting.pop()) {
      const { name, namespace } = object;
      const call = internalCallOf(storage, { verb: "delete", namespace, name, now });
      try {
        await removeOne(core, call, { name, namespace, options: {} });
      } catch (error) {
        // Someone else deleted it first.
        if (!isStatusError(error, "NotFound")) throw error;
      }
    }
  };
  const workers = Array.from({ length: Math.min(parallelMax, waiting.length) }, worker);
  await Promise.all(workers).catch(fail("could not issue all deletes"));
  const left = await core.storage.cache(stored);
  if (left.size === 0) return undefined;
  return {
    onChange(callback) {
      const selection = new Selection({ kind: stored, namespace: "" });
      return left.watchers.add({ selection, accept: () => undefined, flush: callback, end: callback });
    },
  };
}
