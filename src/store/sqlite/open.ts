/**
 * The embedded store: etcd's semantics in one SQLite file.
 *
 * Problem: every write of a cluster is a small compare-and-swap that must be on disk before it is answered. A commit with its fsync takes
 * 0.1 to 10 ms depending on the disk, so writers must share commits; but to decide a compare, a writer has to know the outcome of the
 * writes before it.
 *
 * Idea: the keys (not their values) live in memory, in order. A transaction is decided against them at once, the undecided fate of the
 * ones before it included, gets its revision and joins the next commit (`writer.ts`, `commit-queue.ts`). A thread does the commits
 * (`commit-engine.ts`), so that no fsync holds the event loop. When a commit fails, everything that was built on it is undone in memory
 * and answered with the failure. Readers and watchers only ever see what is on disk (`range.ts`, `watch.ts`).
 *
 * Rejected: a transaction of SQLite for each of ours (one fsync each: 4,000/s where groups of 32 reach 35,000); compares in SQL inside the
 * group (the event loop would wait for the disk, or each compare for a thread); lmdb (docs/decisions/0001-embedded-store.md).
 *
 * Semantics follow etcd v3: revision 1 is empty, a transaction that changes nothing takes no revision, `compact(r)` keeps reads and
 * watches at r working, leases get their full time again after a restart.
 */
import { closeSync, mkdirSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Clock, type Logger, realClock, silentLogger } from "#base";
import type { Store } from "../store.ts";
import { CommitEngine } from "./commit-engine.ts";
import { type Committer, inlineCommitter, workerCommitter } from "./committer.ts";
import { Compactor } from "./compactor.ts";
import { closed, sqliteFailure, storeErrorOf } from "./errors.ts";
import { lockFile } from "./file-lock.ts";
import { KeyIndex } from "./key-index.ts";
import { Leases } from "./leases.ts";
import { loadIndex } from "./load.ts";
import { readRange } from "./range.ts";
import { Reader } from "./reader.ts";
import { configureConnection, pragma, prepareSchema } from "./schema.ts";
import { WatchHub } from "./watch.ts";
import { Writer } from "./writer.ts";

export interface SqliteStoreOptions {
  /** The file; its folder is made when missing. ":memory:" keeps nothing. */
  readonly path: string;
  /** For leases. */
  readonly clock?: Clock;
  readonly log?: Logger;
  /** Where commits run; a thread unless it is ":memory:". "inline" saves 10 MB, and blocks the event loop for each fsync. */
  readonly commitIn?: "thread" | "inline";
  /** For tests: stands between the store and its disk. */
  readonly aroundCommitter?: (committer: Committer) => Committer;
}

/** Opens or creates a store. Fails with "locked", "damaged", "newer-format", "no-space" or "io". */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const { path } = options;
  const inMemory = path === ":memory:";
  let lock: { release: () => void } | undefined;
  let db: DatabaseSync | undefined;
  try {
    if (!inMemory) {
      createFile(path);
      lock = lockFile(path);
    }
    db = new DatabaseSync(path, { timeout: 5000 });
    prepareSchema(db, path);
    const index = new KeyIndex();
    const loaded = await loadIndex(db, index, path);
    return assemble({ ...options, db, index, loaded, lock, inMemory });
  } catch (error) {
    db?.close();
    lock?.release();
    const failure = sqliteFailure(error);
    throw failure.errcode === undefined ? error : storeErrorOf(failure, path);
  }
}

/** Secrets are in it: only its owner may read it. SQLite gives its other files the same mode. */
function createFile(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  for (const name of [path, `${path}-lock`]) closeSync(openSync(name, "a", 0o600));
}

interface Parts extends SqliteStoreOptions {
  readonly db: DatabaseSync;
  readonly index: KeyIndex;
  readonly loaded: Awaited<ReturnType<typeof loadIndex>>;
  readonly lock: { release: () => void } | undefined;
  readonly inMemory: boolean;
}

function assemble({ path, db, index, loaded, lock, inMemory, ...options }: Parts): Store {
  const { clock = realClock, log = silentLogger, commitIn = "thread", aroundCommitter = (inner) => inner } = options;
  const committer = aroundCommitter(commitPlace());
  const reader = new Reader(db, path);
  const leases = new Leases(clock, expire);
  const hub = new WatchHub({
    reader,
    durableRevision,
    endReason: (revision) => (closing ? closed() : compactor.reasonAgainst(revision)),
  });
  const onEvents: WatchHub["deliver"] = (events, revision) => hub.deliver(events, revision);
  const writer = new Writer({ index, reader, leases, committer, path, revision: loaded.revision, onEvents });
  const compactor = new Compactor({ queue: writer.queue, durableRevision, compacted: loaded.compacted });
  let closing: Promise<void> | undefined;

  for (const { id, ttlSeconds } of loaded.leases) leases.add(id, ttlSeconds);
  for (const { key, lease } of index.range("", "\u{10ffff}")) leases.move(key, { from: 0, to: lease });
  if (loaded.sweptRevision < loaded.compacted - 1) {
    compactor.sweep(loaded.compacted).catch((error) => {
      if (!closing) log.warn("store: could not finish a compaction", { error });
    });
  }

  function durableRevision(): number {
    return writer.durableRevision;
  }

  function commitPlace(): Committer {
    if (inMemory) return inlineCommitter(new CommitEngine(db));
    configureConnection(db, false);
    if (commitIn === "inline") return inlineCommitter(CommitEngine.open(path));
    return workerCommitter(path, (message) => log.warn("store: the commit thread reports a problem", { message }));
  }

  function expire(lease: number): void {
    writer
      .revokeLease(lease)
      .catch((error) => log.error("store: could not delete an expired lease, trying again", { lease, error }));
  }

  function check(): void {
    if (closing) throw closed();
  }

  function* pendingKeys(): Generator<string> {
    for (const unit of writer.queue.pending()) for (const { key } of unit.rows) yield key;
  }

  const rangeSource = {
    index,
    reader,
    durableRevision,
    pendingKeys,
    check(revision: number) {
      check();
      compactor.checkReadable(revision);
    },
  };

  async function shutDown(): Promise<void> {
    leases.close();
    writer.queue.endMaintenance(closed());
    await writer.queue.idle();
    hub.close(closed());
    await committer.close();
    if (db.isOpen) db.close();
    lock?.release();
  }

  return {
    revision: durableRevision,
    range: (request) => readRange(rangeSource, request),
    async transact(transaction) {
      check();
      return writer.transact(transaction);
    },
    watch(request) {
      return hub.add(request);
    },
    async compact(revision) {
      check();
      await compactor.compact(revision);
    },
    async grantLease(ttlSeconds) {
      check();
      return writer.grantLease(ttlSeconds);
    },
    async keepLeaseAlive(lease) {
      check();
      writer.keepLeaseAlive(lease);
    },
    async revokeLease(lease) {
      check();
      await writer.revokeLease(lease);
    },
    async size() {
      check();
      const bytes = inMemory ? pragma(db, "page_count") * pragma(db, "page_size") : fileBytes(path);
      return { bytes, keys: index.size, oldestRevision: Math.max(1, compactor.compacted) };
    },
    close() {
      closing ??= shutDown();
      return closing;
    },
  };
}

function fileBytes(path: string): number {
  return [path, `${path}-wal`].reduce((sum, name) => sum + (statSync(name, { throwIfNoEntry: false })?.size ?? 0), 0);
}
