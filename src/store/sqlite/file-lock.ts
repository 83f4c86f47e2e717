import { hostname } from "node:os";
import { DatabaseSync } from "node:sqlite";
import { lockedBy, sqliteFailure, storeErrorOf } from "./errors.ts";

/**
 * One process for each store: two would each assign revisions from their own index. Node.js has no flock, and a file with a process id
 * can't tell a crashed holder from a running one. So the lock is SQLite's: a write transaction kept open on a small file beside the
 * store. The operating system releases it when the process dies, however it dies, and meanwhile others can read the holder's name from it.
 */
export function lockFile(path: string): { release: () => void } {
  const db = new DatabaseSync(`${path}-lock`, { timeout: 0 });
  const me = `process ${process.pid} on ${hostname()} (since ${new Date().toISOString()})`;
  try {
    // Nothing in this file has to survive a power failure, and a full disk must not keep a store from opening: no journal.
    db.exec(
      "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; CREATE TABLE IF NOT EXISTS holder(description TEXT); BEGIN IMMEDIATE",
    );
    // From here on the lock is ours; others may be reading the old name for a moment, so wait for them.
    db.exec("PRAGMA busy_timeout = 1000; DELETE FROM holder");
    db.prepare("INSERT INTO holder VALUES (?)").run(me);
    // Committing shows the name to others; taking the lock again may fail when another process slips in between: then it is theirs.
    db.exec("COMMIT; BEGIN IMMEDIATE");
  } catch (error) {
    const failure = sqliteFailure(error);
    const isBusy = failure.errcode !== undefined && (failure.errcode & 0xff) === 5;
    const reason = isBusy ? lockedBy(path, holderOf(db, me)) : storeErrorOf(failure, path);
    db.close();
    throw reason;
  }
  return { release: () => db.close() };
}

function holderOf(db: DatabaseSync, me: string): string {
  try {
    const description = db.prepare("SELECT description FROM holder").get()?.description;
    return typeof description === "string" && description !== me ? description : "another process";
  } catch {
    return "another process"; // It is just starting: its name is not written yet, or being written.
  }
}
