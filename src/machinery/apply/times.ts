/**
 * A write that changes nothing but times of managed fields changes nothing: the old times are put back, so that the
 * store sees equal bytes and the resource version stays. Upstream's IgnoreManagedFieldsTimestampsTransformer.
 */
import type { KubernetesObject, ManagedFieldsEntry } from "../object.ts";
import { equalValues, type JsonObject } from "./item.ts";

/** Changes `result`'s managed fields. Returns whether times were put back. */
export function revertManagedFieldsTimes({
  live,
  result,
}: {
  live: KubernetesObject;
  result: KubernetesObject;
}): boolean {
  const before = live.metadata?.managedFields;
  const after = result.metadata?.managedFields;
  if (!before || !after || !result.metadata || before.length !== after.length || after.length === 0) return false;
  if (after.every((entry, i) => entry.time === before[i]?.time)) return false;
  if (!after.every((entry, i) => equalValues(timeless(entry), timeless(before[i] ?? {})))) return false;
  for (const name of new Set([...Object.keys(live), ...Object.keys(result)]))
    if (name !== "metadata" && !equalValues((live as JsonObject)[name], (result as JsonObject)[name])) return false; // wire objects are plain JSON
  const { managedFields: _, ...oldMetadata } = live.metadata ?? {};
  const { managedFields: __, ...newMetadata } = result.metadata;
  if (!equalValues(oldMetadata, newMetadata)) return false;
  result.metadata.managedFields = [...before];
  return true;
}

function timeless({ time: _, ...entry }: ManagedFieldsEntry): ManagedFieldsEntry {
  return entry;
}
