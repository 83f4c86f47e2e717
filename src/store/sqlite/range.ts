import type { KeyValue, RangeRequest, RangeResult } from "../store.ts";
import { compareKeys, type Entry, entryAsOf, type KeyIndex } from "./key-index.ts";
import type { Reader } from "./reader.ts";
import { nextSlice, sliceMs } from "./slice.ts";

export interface RangeSource {
  readonly index: KeyIndex;
  readonly reader: Reader;
  readonly durableRevision: () => number;
  /** Keys that have a state in the index which is not durable yet. */
  readonly pendingKeys: () => Iterable<string>;
  /** Throws when `revision` can't be read: closed, compacted or in the future. Called after every pause. */
  readonly check: (revision: number) => void;
}

/** A key's state at the asked revision: an entry of the index, or the row of the log that made it. */
type Found = { readonly key: string; readonly entry: Entry } | { readonly key: string; readonly id: number };

interface Keys {
  readonly start: string;
  readonly end: string;
}

/**
 * A range, now or at an old revision. What it contains is decided from one state, in memory; only then values are read, in slices
 * with pauses between them. Writes that happen during the pauses don't show: entries never change and rows are only added.
 */
export async function readRange(source: RangeSource, request: RangeRequest): Promise<RangeResult> {
  const { start, end = `${start}\0`, limit = 0, revision = 0, keysOnly = false, countOnly = false } = request;
  source.check(revision);
  const keys = { start, end };
  const isOld = revision !== 0 && revision < source.durableRevision();
  const found = isOld ? await stateAt(source, keys, revision) : stateNow(source, keys, countOnly ? 0 : limit);
  const count = isOld ? found.length : countNow(source, keys);
  const newest = source.durableRevision();

  const wanted = countOnly ? [] : limit > 0 ? found.slice(0, limit) : found;
  const items: KeyValue[] = [];
  let deadline = performance.now() + sliceMs;
  for (const one of wanted) {
    items.push("id" in one ? source.reader.keyValueAt(one.id, keysOnly) : source.reader.keyValue(one.entry, keysOnly));
    if (performance.now() < deadline) continue;
    await nextSlice();
    source.check(isOld ? revision : newest); // Compaction may have passed us: what is left to read could be gone.
    deadline = performance.now() + sliceMs;
  }
  return { items, revision: newest, more: !countOnly && count > items.length, count };
}

function stateNow({ index, durableRevision }: RangeSource, { start, end }: Keys, limit: number): Found[] {
  const found: Found[] = [];
  for (const newest of index.range(start, end)) {
    const entry = entryAsOf(newest, durableRevision());
    if (entry) found.push({ key: entry.key, entry });
    if (limit > 0 && found.length === limit) break;
  }
  return found;
}

/** The index also holds keys that are being created, and deletions on their way. */
function countNow({ index, durableRevision, pendingKeys }: RangeSource, { start, end }: Keys): number {
  let count = index.count(start, end);
  for (const key of new Set(pendingKeys())) {
    if (compareKeys(key, start) < 0 || compareKeys(key, end) >= 0) continue;
    const newest = index.get(key);
    if (newest && !entryAsOf(newest, durableRevision())) count--;
  }
  return count;
}

/**
 * The present with the log since `revision` undone. Each row of the log names the row it replaced, so the first change of a key after
 * `revision` says what it was then. Costs what happened since, and not the length of each key's history.
 */
async function stateAt(source: RangeSource, { start, end }: Keys, revision: number): Promise<Found[]> {
  const previousIds = new Map<string, number>();
  let next = revision + 1;
  while (next <= source.durableRevision()) {
    const deadline = performance.now() + sliceMs;
    next = source.reader.scan({ from: next, to: source.durableRevision(), start, end, deadline }, (row) => {
      if (!previousIds.has(row.key)) previousIds.set(row.key, row.previous);
    });
    if (next > source.durableRevision()) break;
    await nextSlice();
    source.check(revision);
  }
  const unchanged = stateNow(source, { start, end }, 0).filter(({ key }) => !previousIds.has(key));
  const changed = [...previousIds].filter(([, id]) => id !== 0).map(([key, id]) => ({ key, id }));
  return [...unchanged, ...changed].sort((a, b) => compareKeys(a.key, b.key));
}
