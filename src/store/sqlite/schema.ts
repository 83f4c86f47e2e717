import type { DatabaseSync } from "node:sqlite";
import { StoreError } from "../store.ts";

/**
 * The file. `revisions` is the history as a log, narrow on purpose: opening, compaction and reads at old revisions scan it without
 * touching values. `contents` holds the values under the same ids. Both only grow at their end, so a commit dirties few pages.
 *
 * There is no index by key: the order of keys lives in memory (`KeyIndex`), and the state at an old revision is the present one with
 * the log undone (`range.ts`). An index (key, id) was measured: a random page more for each write, 20 to 30 % fewer writes/s in
 * batches of 8 to 32, and deletions in compaction that touch the whole index.
 */
const tables = `
  CREATE TABLE revisions(
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    previous INTEGER NOT NULL,
    create_revision INTEGER NOT NULL,
    version INTEGER NOT NULL,
    lease INTEGER NOT NULL
  );
  CREATE TABLE contents(id INTEGER PRIMARY KEY, value BLOB NOT NULL);
  CREATE TABLE leases(id INTEGER PRIMARY KEY, ttl_seconds INTEGER NOT NULL);
  CREATE TABLE compaction(only INTEGER PRIMARY KEY CHECK (only = 1), compacted INTEGER NOT NULL, swept INTEGER NOT NULL);
  INSERT INTO compaction VALUES (1, 0, 0);
`;

/** Holds two typical objects. With 4 kB, batches of 8 to 256 were 5 to 30 % slower. */
export const pageBytes = 8192;
/** Counts incompatible changes of `tables`; kept in SQLite's user_version. */
export const formatVersion = 1;
/** "Smpn": tells our files from any other SQLite file. */
const applicationId = 0x536d706e;

/**
 * Writes of one revision, at most: a row's id is revision * this + slot, so that one integer key orders the log.
 * 2^53 / 1024 leaves 8.8e12 revisions: 27 years of 10,000 writes a second.
 */
export const slotsMax = 1024;

export const rowId = (revision: number, slot: number): number => revision * slotsMax + slot;
export const revisionOf = (id: number): number => Math.floor(id / slotsMax);
export const slotOf = (id: number): number => id % slotsMax;

/** Makes the tables in a new file, or checks that the file is one of ours and not from a later version. */
export function prepareSchema(db: DatabaseSync, path: string): void {
  const version = pragma(db, "user_version");
  if (version > formatVersion) {
    throw new StoreError(
      { code: "newer-format", path, found: version, supported: formatVersion },
      `${path} has store format ${version}, this version supports up to ${formatVersion}: start the version that wrote it`,
    );
  }
  const isNew = version === 0 && db.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.n === 0;
  if (!isNew && pragma(db, "application_id") !== applicationId) {
    throw new StoreError(
      { code: "damaged", path, found: "another program's tables" },
      `${path} is not a store of this program`,
    );
  }
  if (!isNew) {
    db.exec("PRAGMA journal_mode = WAL"); // A copy made with SQLite's tools may have lost it.
    return;
  }
  // Page size and auto_vacuum only count before the first table.
  db.exec(`PRAGMA page_size = ${pageBytes}; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL`);
  // One transaction, so that a crash leaves an empty file or a complete one.
  db.exec(
    `BEGIN IMMEDIATE; ${tables} PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${formatVersion}; COMMIT`,
  );
}

export function pragma(db: DatabaseSync, name: string): number {
  const value = Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0];
  return typeof value === "number" ? value : 0;
}

/** Settings of every connection. `isWriter`: the one that commits. */
export function configureConnection(db: DatabaseSync, isWriter: boolean): void {
  // A commit is answered after its fsync: FULL syncs the log at every commit. Checkpoints are started by the writer when no one
  // waits (commit-engine.ts); SQLite's own is the backstop. Small caches: the operating system caches the file already.
  db.exec(
    isWriter
      ? "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 16777216; PRAGMA cache_size = -1024"
      : "PRAGMA query_only = 1; PRAGMA cache_size = -512",
  );
}
