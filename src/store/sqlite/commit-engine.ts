import { DatabaseSync, type StatementSync } from "node:sqlite";
import { configureConnection, pageBytes, pragma, rowId } from "./schema.ts";

/** One write, as the commit sees it. A deletion has version 0 and no value. */
export interface CommitRow {
  readonly id: number;
  readonly key: string;
  /** Id of the row it replaces; 0: the key did not exist. */
  readonly previous: number;
  readonly createRevision: number;
  readonly version: number;
  readonly lease: number;
  readonly value: Uint8Array | undefined;
}

/** ttlSeconds 0: the lease is gone. */
export interface LeaseRow {
  readonly id: number;
  readonly ttlSeconds: number;
}

export type CommitJob =
  | { readonly kind: "write"; readonly rows: readonly CommitRow[]; readonly leases: readonly LeaseRow[] }
  | { readonly kind: "mark-compacted"; readonly revision: number }
  | { readonly kind: "sweep"; readonly revision: number }
  | { readonly kind: "reclaim" };

/** Rows a sweep deletes in one transaction: bounds how long a write waits behind it (measured: 1 ms). */
const sweepRowsMax = 256;
/** Pages given back in one transaction: each may mean moving one page. */
const reclaimPagesMax = 128;
/** Written bytes after which the log is copied into the file. SQLite's default is 4 MB as well. */
const checkpointBytes = 4 << 20;
/** The file keeps this share of free pages, and at least this many, for the next writes instead of shrinking and growing all the time. */
const freePagesShare = 0.25;
const freePagesMin = 1024;

/**
 * Everything that writes to the file, and nothing else: it runs in a worker thread, or for ":memory:" in the caller's.
 * Every method is one SQLite transaction: it happened durably when the method returns, and not at all when it throws.
 */
export class CommitEngine {
  readonly #db: DatabaseSync;
  readonly #insertRevision: StatementSync;
  readonly #insertContent: StatementSync;
  readonly #putLease: StatementSync;
  readonly #deleteLease: StatementSync;
  readonly #sweepable: StatementSync;
  readonly #deleteRevision: StatementSync;
  readonly #deleteContent: StatementSync;
  #bytesSinceCheckpoint = 0;

  constructor(db: DatabaseSync) {
    configureConnection(db, true);
    this.#db = db;
    this.#insertRevision = db.prepare("INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?)");
    this.#insertContent = db.prepare("INSERT INTO contents VALUES (?, ?)");
    this.#putLease = db.prepare("INSERT OR REPLACE INTO leases VALUES (?, ?)");
    this.#deleteLease = db.prepare("DELETE FROM leases WHERE id = ?");
    this.#sweepable = db.prepare(
      "SELECT id, previous, version FROM revisions WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
      {
        returnArrays: true,
      },
    );
    this.#deleteRevision = db.prepare("DELETE FROM revisions WHERE id = ?");
    this.#deleteContent = db.prepare("DELETE FROM contents WHERE id = ?");
  }

  static open(path: string): CommitEngine {
    return new CommitEngine(new DatabaseSync(path, { timeout: 5000 }));
  }

  /** Runs one job; the answer says whether the same job has more to do. */
  run(job: CommitJob): boolean {
    switch (job.kind) {
      case "write":
        this.write(job.rows, job.leases);
        return false;
      case "mark-compacted":
        this.markCompacted(job.revision);
        return false;
      case "sweep":
        return this.sweep(job.revision);
      case "reclaim":
        return this.reclaim();
    }
  }

  /** Iterates its rows once, in order, so that they can be decoded one by one. */
  write(rows: Iterable<CommitRow>, leases: readonly LeaseRow[]): void {
    this.#inTransaction(() => {
      for (const row of rows) {
        this.#insertRevision.run(row.id, row.key, row.previous, row.createRevision, row.version, row.lease);
        if (row.value) this.#insertContent.run(row.id, row.value);
        this.#bytesSinceCheckpoint += row.key.length + (row.value?.length ?? 0);
      }
      for (const { id, ttlSeconds } of leases) {
        if (ttlSeconds > 0) this.#putLease.run(id, ttlSeconds);
        else this.#deleteLease.run(id);
      }
    });
    this.#bytesSinceCheckpoint += 2 * pageBytes; // The last page of each table is written again by every commit.
  }

  markCompacted(revision: number): void {
    this.#inTransaction(() => this.#db.prepare("UPDATE compaction SET compacted = ?").run(revision));
  }

  /**
   * Deletes some of what no reader at or after `revision` can ask for: rows replaced before it and deletions before it.
   * A row replaced exactly at `revision` stays, it is that event's previous state. Answers whether more is left.
   */
  sweep(revision: number): boolean {
    return this.#inTransaction(() => {
      const from = Number(this.#db.prepare("SELECT swept FROM compaction").get()?.swept);
      const rows = this.#sweepable.all(from, rowId(revision, 0), sweepRowsMax) as unknown as [number, number, number][]; // returnArrays
      for (const [id, previous, version] of rows) {
        if (previous !== 0) this.#deleteRow(previous);
        if (version === 0) this.#deleteRow(id);
      }
      const last = rows.at(-1);
      if (last) this.#db.prepare("UPDATE compaction SET swept = ?").run(last[0]);
      return rows.length === sweepRowsMax;
    });
  }

  #deleteRow(id: number): void {
    this.#deleteRevision.run(id);
    this.#deleteContent.run(id);
    this.#bytesSinceCheckpoint += pageBytes;
  }

  /** Gives some free pages back to the file system. Answers whether more is left. */
  reclaim(): boolean {
    const free = pragma(this.#db, "freelist_count");
    const keep = Math.max(freePagesMin, Math.floor(pragma(this.#db, "page_count") * freePagesShare));
    if (free <= keep) return false;
    this.#db.exec(`PRAGMA incremental_vacuum(${Math.min(free - keep, reclaimPagesMax)})`);
    const more = free - keep > reclaimPagesMax;
    // The file becomes shorter when the log is copied into it.
    this.#bytesSinceCheckpoint += more ? 2 * reclaimPagesMax * pageBytes : checkpointBytes;
    return more;
  }

  /** Call after the answer went out: copying the log into the file takes milliseconds that no writer should wait for. */
  checkpointWhenDue(): void {
    if (this.#bytesSinceCheckpoint < checkpointBytes) return;
    this.#bytesSinceCheckpoint = 0;
    this.#db.exec("PRAGMA wal_checkpoint(PASSIVE)");
  }

  close(): void {
    this.#db.close();
  }

  #inTransaction<Result>(run: () => Result): Result {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const result = run();
      this.#db.exec("COMMIT");
      return result;
    } catch (error) {
      // SQLite rolls back by itself on some errors, on others the transaction is still open.
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }
}
