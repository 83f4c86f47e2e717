import type { CommitJob, CommitRow, LeaseRow } from "./commit-engine.ts";
import type { SqliteFailure } from "./errors.ts";

/**
 * How a batch crosses to the commit thread: values side by side in one shared buffer, everything else in columns. Posting the rows as
 * objects would clone each value with the whole buffer that it is a view of.
 */
export type CommitRequest =
  | {
      readonly kind: "write";
      readonly keys: readonly string[];
      /** For each row: id, previous, createRevision, version, lease, bytes of the value (-1: none). */
      readonly numbers: Float64Array;
      readonly leases: readonly LeaseRow[];
      /** Only when it changed since the last request. */
      readonly values: Uint8Array | undefined;
    }
  | Exclude<CommitJob, { kind: "write" }>
  | { readonly kind: "close" };

export type CommitReply =
  | { readonly kind: "done"; readonly failure: SqliteFailure | undefined; readonly more: boolean }
  /** Something failed that nobody waits for. */
  | { readonly kind: "warning"; readonly message: string };

const columns = 6;
const valuesBytesMin = 256 * 1024;

/** The sending side; owns the shared buffer. Only one batch is under way at a time, so one buffer is enough. */
export class BatchPacker {
  #values: Uint8Array = new Uint8Array(0);

  pack(rows: readonly CommitRow[], leases: readonly LeaseRow[]): CommitRequest {
    const bytes = rows.reduce((sum, row) => sum + (row.value?.length ?? 0), 0);
    const grows = bytes > this.#values.length;
    if (grows)
      this.#values = new Uint8Array(new SharedArrayBuffer(Math.max(valuesBytesMin, 2 ** Math.ceil(Math.log2(bytes)))));
    const keys = new Array<string>(rows.length);
    const numbers = new Float64Array(rows.length * columns);
    let at = 0;
    for (const [i, row] of rows.entries()) {
      keys[i] = row.key;
      const lengthOrNone = row.value?.length ?? -1;
      numbers.set([row.id, row.previous, row.createRevision, row.version, row.lease, lengthOrNone], i * columns);
      if (row.value) this.#values.set(row.value, at);
      at += row.value?.length ?? 0;
    }
    return { kind: "write", keys, numbers, leases, values: grows ? this.#values : undefined };
  }
}

/** The receiving side: rows one by one; their values are views of the shared buffer. */
export function* unpackRows(keys: readonly string[], numbers: Float64Array, values: Uint8Array): Generator<CommitRow> {
  let at = 0;
  for (const [i, key] of keys.entries()) {
    const column = (offset: number) => numbers[i * columns + offset]!; // One group of columns for each key.
    const length = column(5);
    yield {
      id: column(0),
      key,
      previous: column(1),
      createRevision: column(2),
      version: column(3),
      lease: column(4),
      value: length < 0 ? undefined : values.subarray(at, at + length),
    };
    at += Math.max(0, length);
  }
}
