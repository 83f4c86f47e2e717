/**
 * Revisioned keys with etcd's semantics: one global revision, create/mod revision and version for each key, compare-and-swap
 * transactions, ranges at a revision, watches with history, compaction, leases. Knows bytes, not kinds.
 * Implementations: `sqlite/` (embedded) and, for several machines, etcd v3.
 */
export interface KeyValue {
  readonly key: string;
  readonly value: Uint8Array;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  /** 0: none. */
  readonly lease: number;
}

export interface RangeRequest {
  /** First key, inclusive. */
  readonly start: string;
  /** Last key, exclusive; without it only `start` itself. */
  readonly end?: string;
  readonly limit?: number;
  /** Read as of this revision; 0 or missing: now. */
  readonly revision?: number;
  readonly keysOnly?: boolean;
  readonly countOnly?: boolean;
}

export interface RangeResult {
  readonly items: KeyValue[];
  /** The store's revision when it was read. */
  readonly revision: number;
  readonly more: boolean;
  /** All keys in the range, without regard to limit. */
  readonly count: number;
}

export interface Compare {
  readonly key: string;
  /** The key's mod revision must be this; 0: the key must not exist. */
  readonly modRevision: number;
}

export type Operation =
  | { readonly type: "put"; readonly key: string; readonly value: Uint8Array; readonly lease?: number }
  | { readonly type: "delete"; readonly key: string };

export interface Transaction {
  readonly compare: readonly Compare[];
  readonly operations: readonly Operation[];
}

export type TransactionResult =
  /** Durable on disk. `revision` is the mod revision of every key it wrote. */
  | { readonly succeeded: true; readonly revision: number; readonly previous: readonly (KeyValue | undefined)[] }
  /** A compare failed; `current` holds the compared keys as they are. */
  | { readonly succeeded: false; readonly revision: number; readonly current: readonly (KeyValue | undefined)[] };

export interface StoreEvent {
  readonly type: "put" | "delete";
  /** For a delete: the key, an empty value, and the revision of the deletion as modRevision. */
  readonly item: KeyValue;
  /** What was there before. */
  readonly previous: KeyValue | undefined;
}

export interface WatchRequest {
  readonly start: string;
  readonly end?: string;
  /** First revision to report; missing: what happens from now on. */
  readonly fromRevision?: number;
  /** All events of one or several revisions, in order, never part of a revision. */
  readonly onEvents: (events: readonly StoreEvent[], revision: number) => void;
  /** The watch is over: asked for compacted history, or the store closed. Not called after `cancel`. */
  readonly onEnd: (reason: StoreError) => void;
}

export interface Store {
  /** The newest durable revision. */
  revision(): number;
  range(request: RangeRequest): Promise<RangeResult>;
  /** Checks the compares and applies all operations at one new revision, or none. Resolves after the write is on disk. */
  transact(transaction: Transaction): Promise<TransactionResult>;
  /** Answers a function that cancels. */
  watch(request: WatchRequest): () => void;
  /** Forgets history before `revision`; reads below it fail with "compacted". */
  compact(revision: number): Promise<void>;
  /** Creates a lease; its keys are deleted when it isn't kept alive for `ttlSeconds`. */
  grantLease(ttlSeconds: number): Promise<number>;
  keepLeaseAlive(lease: number): Promise<void>;
  revokeLease(lease: number): Promise<void>;
  /** Bytes on disk and live keys, for metrics and alarms. */
  size(): Promise<{ bytes: number; keys: number; oldestRevision: number }>;
  /** Of a store that encrypts: why a value that came from here is what lies on the disk, and not what was once put there. */
  unreadable?(value: Uint8Array): Error | undefined;
  /** Of a store that encrypts: what lies there would look otherwise if it were written today (another key, or none). */
  isStale?(key: string): Promise<boolean>;
  close(): Promise<void>;
}

export type StoreErrorDetail =
  | { code: "compacted"; askedRevision: number; oldestRevision: number }
  | { code: "future-revision"; askedRevision: number; newestRevision: number }
  | { code: "too-large"; key: string; sizeBytes: number; sizeBytesMax: number }
  | { code: "no-space"; path: string }
  /** The disk or the file system failed in another way. A write that fails with it may be found on disk after a restart. */
  | { code: "io"; path: string; found: string }
  | { code: "damaged"; path: string; found: string }
  | { code: "newer-format"; path: string; found: number; supported: number }
  | { code: "locked"; path: string; holder: string }
  | { code: "unknown-lease"; lease: number }
  /** Of a store that encrypts: a value could not be, so it was not written. */
  | { code: "not-encrypted"; key: string }
  | { code: "closed" };

/** An operational failure; switch on `detail.code`. */
export class StoreError extends Error {
  override name = "StoreError";
  readonly detail: StoreErrorDetail;

  constructor(detail: StoreErrorDetail, message: string) {
    super(message);
    this.detail = detail;
  }
}
