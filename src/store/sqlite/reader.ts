import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { KeyValue, StoreEvent } from "../store.ts";
import { damaged, sqliteFailure, storeErrorOf } from "./errors.ts";
import type { Entry } from "./key-index.ts";
import { revisionOf, rowId } from "./schema.ts";

/** One line of the log. */
export interface LogRow {
  readonly id: number;
  readonly key: string;
  readonly previous: number;
  readonly createRevision: number;
  readonly version: number;
  readonly lease: number;
}

type LogColumns = [id: number, key: string, previous: number, createRevision: number, version: number, lease: number];

const noValue = new Uint8Array(0);
const logColumns = "id, key, previous, create_revision, version, lease";

/** Revisions one SQL query looks at: a query that matches nothing can't be interrupted. */
const windowRevisions = 2048;

/**
 * Reads in the caller's thread, beside the writer: in WAL mode neither waits for the other, and each query sees the last finished
 * commit. No query stays open across turns of the event loop, which would keep the log from being reused.
 */
export class Reader {
  readonly #path: string;
  readonly #content: StatementSync;
  readonly #row: StatementSync;
  readonly #log: StatementSync;

  constructor(db: DatabaseSync, path: string) {
    this.#path = path;
    this.#content = db.prepare("SELECT value FROM contents WHERE id = ?", { returnArrays: true });
    this.#row = db.prepare(`SELECT ${logColumns} FROM revisions WHERE id = ?`, { returnArrays: true });
    this.#log = db.prepare(
      `SELECT ${logColumns} FROM revisions WHERE id >= ? AND id < ? AND key >= ? AND key < ? ORDER BY id`,
      {
        returnArrays: true,
      },
    );
  }

  value(id: number): Uint8Array {
    return this.#guard(() => {
      const row = this.#content.get(id) as unknown as [Uint8Array] | undefined; // returnArrays
      if (!row) throw damaged(this.#path, `no value for row ${id}`);
      return row[0];
    });
  }

  keyValue(entry: Entry, keysOnly = false): KeyValue {
    const { key, createRevision, modRevision, version, lease } = entry;
    const value = keysOnly ? noValue : (entry.value ?? this.value(rowId(modRevision, entry.slot)));
    return { key, value, createRevision, modRevision, version, lease };
  }

  /** The state that a row made. */
  keyValueAt(id: number, keysOnly = false): KeyValue {
    const columns = this.#guard(() => this.#row.get(id) as unknown as LogColumns | undefined); // returnArrays
    if (!columns) throw damaged(this.#path, `no row ${id}`);
    return this.#itemOf(logRow(columns), keysOnly);
  }

  /**
   * Calls `visit` for rows of revisions `from` to `to`, both inclusive, and keys in [start, end). Stops between two revisions when `visit`
   * answers true, or when `deadline` (performance.now()) has passed. Answers the first revision it has not looked at.
   */
  scan(
    range: { from: number; to: number; start: string; end: string; deadline: number },
    visit: (row: LogRow) => void,
  ): number {
    const { to, start, end, deadline } = range;
    return this.#guard(() => {
      let next = range.from;
      while (next <= to) {
        const last = Math.min(to, next + windowRevisions - 1);
        let revision = next;
        for (const columns of this.#log.iterate(rowId(next, 0), rowId(last + 1, 0), start, end)) {
          const row = logRow(columns as unknown as LogColumns); // returnArrays
          if (revisionOf(row.id) > revision && performance.now() > deadline) return revisionOf(row.id);
          revision = revisionOf(row.id);
          visit(row);
        }
        next = last + 1;
        if (performance.now() > deadline) break;
      }
      return next;
    });
  }

  event(row: LogRow): StoreEvent {
    return {
      type: row.version > 0 ? "put" : "delete",
      item: this.#itemOf(row, row.version === 0),
      previous: row.previous === 0 ? undefined : this.keyValueAt(row.previous),
    };
  }

  #itemOf(row: LogRow, keysOnly: boolean): KeyValue {
    const { id, key, createRevision, version, lease } = row;
    return {
      key,
      value: keysOnly ? noValue : this.value(id),
      createRevision,
      modRevision: revisionOf(id),
      version,
      lease,
    };
  }

  #guard<Result>(run: () => Result): Result {
    try {
      return run();
    } catch (error) {
      const failure = sqliteFailure(error);
      throw failure.errcode === undefined ? error : storeErrorOf(failure, this.#path);
    }
  }
}

export function logRow([id, key, previous, createRevision, version, lease]: LogColumns): LogRow {
  return { id, key, previous, createRevision, version, lease };
}
