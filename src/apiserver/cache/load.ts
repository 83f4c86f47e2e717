/** Reads all objects of a kind, page by page, so that one load doesn't stall everything else. */
import { setImmediate } from "node:timers/promises";
import type { Store } from "#store";
import type { StoredKind } from "../resource.ts";
import type { StoredObject } from "./stored-object.ts";

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
}

type Decode = (
  kind: StoredKind,
  items: readonly StoredItem[],
) => readonly StoredObject[] | Promise<readonly StoredObject[]>;

export async function loadObjects(store: Store, kind: StoredKind, decode: Decode): Promise<Loaded> {
  const objects: StoredObject[] = [];
  const end = `${kind.prefix.slice(0, -1)}0`;
  let start = kind.prefix;
  let revision = 0;
  for (;;) {
    const page = await store.range({ start, end, limit: loadObjectsMax, ...(revision > 0 && { revision }) });
    if (revision === 0) revision = page.revision;
    const decoded = decode(kind, page.items);
    for (const object of decoded instanceof Promise ? await decoded : decoded) {
      object.extract();
      objects.push(object);
    }
    if (!page.more) return { objects, revision };
    start = `${page.items.at(-1)?.key}\0`;
    await setImmediate();
  }
}
