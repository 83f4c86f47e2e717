import { assert } from "#base";
import { type Operation, StoreError } from "../store.ts";
import { slotsMax } from "./schema.ts";

/** etcd's limit for a request (--max-request-bytes); clients know it, and larger values would stall everything behind them. */
export const transactionBytesMax = 1.5 * 1024 * 1024;

/** Refuses what can't be written: too large, too many, or the same key twice, which etcd refuses as well. */
export function checkOperations(operations: readonly Operation[]): void {
  let bytes = 0;
  for (const operation of operations) {
    assert(operation.key.isWellFormed(), `store keys are Unicode text, got ${JSON.stringify(operation.key)}`);
    bytes += operation.key.length + (operation.type === "put" ? operation.value.length : 0);
    if (bytes > transactionBytesMax) {
      throw new StoreError(
        { code: "too-large", key: operation.key, sizeBytes: bytes, sizeBytesMax: transactionBytesMax },
        `the write of ${operation.key} has ${bytes} bytes, a transaction at most ${transactionBytesMax}`,
      );
    }
  }
  if (operations.length < 2) return;
  assert(operations.length <= slotsMax, `a transaction has at most ${slotsMax} operations, got ${operations.length}`);
  const keys = new Set(operations.map(({ key }) => key));
  assert(keys.size === operations.length, "a transaction writes each key at most once");
}
