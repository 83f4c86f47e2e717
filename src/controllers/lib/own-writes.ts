/** What a controller wrote itself, until its cache shows it: the next decision must not be taken on what was before. */
import type { Informer } from "#client";
import type { DeepReadonly, KubernetesObject } from "#machinery";
import { keyOf } from "#client";

export class OwnWrites<T extends KubernetesObject> {
  readonly #informer: Informer<T>;
  readonly #written = new Map<string, DeepReadonly<T>>();

  constructor(informer: Informer<T>) {
    this.#informer = informer;
    informer.addHandler({ deleted: (object) => void this.#written.delete(keyOf(object)) });
  }

  note(object: DeepReadonly<T>): DeepReadonly<T> {
    this.#written.set(keyOf(object as DeepReadonly<KubernetesObject>), object); // every T is one
    return object;
  }

  /** The newer of what was written and what the cache shows. */
  get(key: string): DeepReadonly<T> | undefined {
    const seen = this.#informer.get(key);
    const own = this.#written.get(key);
    if (!own) return seen;
    if (seen && revisionOf(own) > revisionOf(seen)) return own;
    this.#written.delete(key);
    return seen;
  }
}

/** Revisions of one resource can be compared. */
const revisionOf = (object: DeepReadonly<KubernetesObject>): bigint => BigInt(object.metadata?.resourceVersion ?? 0);
