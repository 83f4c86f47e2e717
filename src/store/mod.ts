export { type CompactionOptions, runCompaction } from "./run-compaction.ts";
export { openSqliteStore, type SqliteStoreOptions } from "./sqlite/open.ts";
export {
  type Compare,
  type KeyValue,
  type Operation,
  type RangeRequest,
  type RangeResult,
  type Store,
  StoreError,
  type StoreErrorDetail,
  type StoreEvent,
  type Transaction,
  type TransactionResult,
  type WatchRequest,
} from "./store.ts";
