import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { StoreError } from "../store.ts";

/** What crosses the thread boundary of a failure in SQLite. */
export interface SqliteFailure {
  /** SQLite's extended result code; undefined when the failure came from elsewhere. */
  readonly errcode: number | undefined;
  readonly message: string;
}

export function sqliteFailure(error: unknown): SqliteFailure {
  if (!(error instanceof Error)) return { errcode: undefined, message: String(error) };
  const errcode = "errcode" in error && typeof error.errcode === "number" ? error.errcode : undefined;
  return { errcode, message: error.message };
}

/** Primary result codes, https://www.sqlite.org/rescode.html */
const busy = 5;
const ioError = 10;
const corrupt = 11;
const full = 13;
const notADatabase = 26;

export function storeErrorOf(failure: SqliteFailure, path: string): StoreError {
  const primary = failure.errcode === undefined ? undefined : failure.errcode & 0xff;
  // SQLite says FULL only when write() does. Growing the shared-memory file or a sync can hit the same wall as an I/O error.
  if (primary === full || (primary === ioError && isDiskFull(path))) {
    return new StoreError(
      { code: "no-space", path },
      `no space left for ${path}: nothing was written, free some space`,
    );
  }
  if (primary === corrupt || primary === notADatabase) return damaged(path, failure.message);
  if (primary === busy) return lockedBy(path, "another program");
  return new StoreError(
    { code: "io", path, found: failure.message },
    `cannot read or write ${path}: ${failure.message}`,
  );
}

export function damaged(path: string, found: string): StoreError {
  return new StoreError(
    { code: "damaged", path, found },
    `${path} is damaged (${found}): restore it from a copy, or start with an empty store`,
  );
}

export function lockedBy(path: string, holder: string): StoreError {
  return new StoreError({ code: "locked", path, holder }, `${path} is in use by ${holder}: a store has one process`);
}

export const closed = (): StoreError => new StoreError({ code: "closed" }, "the store is closed");

function isDiskFull(path: string): boolean {
  const { bavail, bsize } = statfsSync(dirname(path));
  return bavail * bsize < 65_536; // Less than the shared-memory file grows by.
}
