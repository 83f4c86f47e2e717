/** Which tokens of service accounts, made unasked before 1.24, nobody has used for long: first marked as invalid, a period later removed. */
import type { Secret } from "#api";
import { timeMs } from "#machinery";
import { isDeleting, type Seen } from "../lib/objects.ts";

const lastUsedLabel = "kubernetes.io/legacy-token-last-used";
export const invalidSinceLabel = "kubernetes.io/legacy-token-invalid-since";

export const dateOf = (time: number): string => new Date(time).toISOString().slice(0, "2006-01-02".length);
export const isDate = (text: string): boolean =>
  /^\d{4}-\d\d-\d\d$/.test(text) && dateOf(Date.parse(text) || 0) === text;

/** Undefined: is in use, or still too young to tell. `inUse`: asked last, it is dear. */
export function tokenFate(
  secret: Seen<Secret>,
  { now, unusedMs, inUse }: { readonly now: number; readonly unusedMs: number; readonly inUse: () => boolean },
): "invalidate" | "delete" | undefined {
  const { creationTimestamp, labels = {} } = secret.metadata;
  const since = dateOf(now - unusedMs);
  const lastUsed = labels[lastUsedLabel];
  if (timeMs(creationTimestamp) >= now - unusedMs || isDeleting(secret)) return undefined;
  if (lastUsed !== undefined && (!isDate(lastUsed) || lastUsed >= since)) return undefined;
  if (inUse()) return undefined;
  const invalidSince = labels[invalidSinceLabel] ?? "";
  if (!isDate(invalidSince)) return "invalidate";
  return invalidSince >= since ? undefined : "delete";
}
