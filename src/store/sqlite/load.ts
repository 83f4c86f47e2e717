import type { DatabaseSync } from "node:sqlite";
import { damaged } from "./errors.ts";
import { Entry, type KeyIndex } from "./key-index.ts";
import { logRow } from "./reader.ts";
import { revisionOf, rowId, slotOf } from "./schema.ts";
import { nextSlice, sliceMs } from "./slice.ts";

/** etcd's revision before the first write: clients take 0 for "any". */
const firstRevision = 1;

export interface Loaded {
  readonly revision: number;
  readonly compacted: number;
  /** Rows up to here were looked at by compaction. */
  readonly sweptRevision: number;
  readonly leases: readonly { id: number; ttlSeconds: number }[];
}

/**
 * Plays the log into the index. Every row must continue its key's history, so this also finds most damage, without reading values: a
 * full check of the file would read all of it.
 */
export async function loadIndex(db: DatabaseSync, index: KeyIndex, path: string): Promise<Loaded> {
  const { compacted, swept } = db.prepare("SELECT compacted, swept FROM compaction").get() as {
    compacted: number;
    swept: number;
  }; // schema.ts
  let revision = Math.max(firstRevision, compacted);
  let deadline = performance.now() + sliceMs;
  const statement = db.prepare("SELECT id, key, previous, create_revision, version, lease FROM revisions ORDER BY id", {
    returnArrays: true,
  });
  for (const columns of statement.iterate()) {
    const row = logRow(columns as unknown as Parameters<typeof logRow>[0]); // returnArrays
    const head = index.get(row.key);
    const expected = head ? rowId(head.modRevision, head.slot) : 0;
    // What a swept row replaced is gone.
    if (row.previous !== expected && (expected !== 0 || row.id > swept)) {
      throw damaged(path, `row ${row.id} of ${row.key} replaces ${row.previous}, its history ends at ${expected}`);
    }
    revision = revisionOf(row.id);
    if (row.version === 0) index.remove(row.key);
    else index.set(new Entry({ ...row, modRevision: revision, slot: slotOf(row.id) }));
    if (performance.now() > deadline) {
      await nextSlice();
      deadline = performance.now() + sliceMs;
    }
  }
  const leases = db.prepare("SELECT id, ttl_seconds FROM leases").all() as { id: number; ttl_seconds: number }[]; // schema.ts
  return {
    revision,
    compacted,
    sweptRevision: revisionOf(swept),
    leases: leases.map(({ id, ttl_seconds: ttlSeconds }) => ({ id, ttlSeconds })),
  };
}
