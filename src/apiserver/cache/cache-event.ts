/** One change of one object, as watchers see it. Encoded at most once for each way of encoding, however many watch. */
import { replaceRevision } from "./encode.ts";
import type { Selection } from "./selection.ts";
import { StoredObject } from "./stored-object.ts";
import type { DecodedPool } from "./decoded-pool.ts";

export type EventType = "ADDED" | "MODIFIED" | "DELETED";

export interface SeenEvent {
  readonly type: EventType;
  readonly object: StoredObject;
}

export class CacheEvent {
  readonly revision: number;
  /** Undefined: the object was deleted. */
  readonly object: StoredObject | undefined;
  readonly previous: StoredObject | undefined;
  readonly #pool: DecodedPool;
  #gone: StoredObject | undefined;
  #encoded: Map<string, Buffer> | undefined;

  constructor(options: CacheEventOptions) {
    this.revision = options.revision;
    this.object = options.object;
    this.previous = options.previous;
    this.#pool = options.pool;
  }

  /** For bounds in bytes: what this event keeps alive. */
  get bytes(): number {
    return this.object?.body.length ?? this.previous?.body.length ?? 0;
  }

  /** What a watcher of this selection sees: objects that come to match are added, those that stop are deleted. */
  seenBy(selection: Selection): SeenEvent | undefined {
    const after = this.object !== undefined && selection.matches(this.object);
    const before = this.previous !== undefined && selection.matches(this.previous);
    if (after) return { type: before ? "MODIFIED" : "ADDED", object: this.object! /* it matches */ };
    return before ? { type: "DELETED", object: this.gone() } : undefined;
  }

  /** The last state, with the revision at which it went. */
  gone(): StoredObject {
    const last = this.previous!; // only asked when something was there
    this.#gone ??= new StoredObject({
      kind: last.kind,
      key: last.key,
      revision: this.revision,
      body: replaceRevision(last.body, last.revision, this.revision),
      pool: this.#pool,
    });
    return this.#gone;
  }

  encodedOnce(key: string, encode: () => Buffer): Buffer {
    this.#encoded ??= new Map();
    let bytes = this.#encoded.get(key);
    if (!bytes) {
      bytes = encode();
      this.#encoded.set(key, bytes);
    }
    return bytes;
  }

  /** After all watchers have theirs: history keeps objects, not their encodings. */
  forgetEncodings(): void {
    this.#encoded = undefined;
  }
}

export interface CacheEventOptions {
  readonly revision: number;
  readonly object: StoredObject | undefined;
  readonly previous: StoredObject | undefined;
  readonly pool: DecodedPool;
}
