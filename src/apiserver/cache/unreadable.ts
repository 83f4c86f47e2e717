/**
 * Values that are no objects: encrypted under keys that nobody gave this server, or damaged. The rest of their kind goes on; who asks for
 * them, or for all of the kind, is told why not in upstream's words.
 */
import { type StatusError, statusError } from "#machinery";
import type { Store } from "#store";
import { encryptedDataMessage, isEncrypted } from "../encryption/transformer.ts";

export interface Unreadable {
  /** Of the store. */
  readonly key: string;
  readonly reason: string;
}

const openingBrace = 0x7b;

/** Undefined: it looks like an object. Costs a comparison, because every value comes by here. */
export function unreadableReason(store: Store, value: Uint8Array): string | undefined {
  if (value[0] === openingBrace) return undefined;
  const known = store.unreadable?.(value)?.message;
  if (known !== undefined) return known;
  return isEncrypted(Buffer.from(value)) ? encryptedDataMessage : "the stored data is no JSON object";
}

export const unreadableError = ({ reason }: Unreadable): StatusError => statusError.internal(reason);

export const unreadableListError = ({ key, reason }: Unreadable): StatusError =>
  statusError.internal(`unable to transform key ${JSON.stringify(key)}: ${reason}`);
