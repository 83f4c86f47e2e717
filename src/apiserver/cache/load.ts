/** Reads all objects of a kind, page by page, so that one load doesn't stall everything else. */
import { setImmediate } from "node:timers/promises";
import type { Store } from "#store";
import type { StoredKind } from "../resource.ts";
import type { StoredObject } from "./stored-object.ts";
import { type Unreadable, unreadableReason } from "./unreadable.ts";

/** Objects read from the store at a time. */
const loadObjectsMax = 200;

export interface StoredItem {
  readonly key: string;
  readonly value: Uint8Array;
  readonly modRevision: number;
}

export interface Loaded {
  /** In key order. */
  readonly objects: StoredObject[];
  readonly revision: number;
  /** By the key behind the kind's prefix. */
  readonly unreadable: ReadonlyMap<string, Unreadable>;
}

type Decode = (
  kind: StoredKind,
  items: readonly StoredItem[],
) => readonly StoredObject[] | Promise<readonly StoredObject[]>;

export async function loadObjects(store: Store, kind: StoredKind, decode: Decode): Promise<Loaded> {
  const objects: StoredObject[] = [];
  const unreadable = new Map<string, Unreadable>();
  const end = `${kind.prefix.slice(0, -1)}0`;
  let start = kind.prefix;
  let revision = 0;
  for (;;) {
    const page = await store.range({ start, end, limit: loadObjectsMax, ...(revision > 0 && { revision }) });
    if (revision === 0) revision = page.revision;
    const readable = page.items.filter(({ key, value }) => {
      // Forms are converted together, and fail together.
      const reason = kind.form ? undefined : unreadableReason(store, value);
      if (reason !== undefined) unreadable.set(key.slice(kind.prefix.length), { key, reason });
      return reason === undefined;
    });
    const decoded = decode(kind, readable);
    for (const object of decoded instanceof Promise ? await decoded : decoded) {
      object.extract();
      objects.push(object);
    }
    if (!page.more) return { objects, revision, unreadable };
    start = `${page.items.at(-1)?.key}\0`;
    await setImmediate();
  }
}
