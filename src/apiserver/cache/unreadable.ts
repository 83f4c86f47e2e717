/**
 * Values that are no objects: encrypted under keys that nobody gave this server, or damaged. The rest of their kind goes on; who asks for
 * them, or for all of the kind, is told why not in upstream's words.
 */
import { type Status, StatusError, statusError } from "#machinery";
import type { Store } from "#store";
import { encryptedDataMessage, isEncrypted } from "../encryption/transformer.ts";

export interface Unreadable {
  /** Of the store. */
  readonly key: string;
  readonly reason: string;
}

/** A request failed because of these. */
export class UnreadableError extends StatusError {
  readonly found: readonly Unreadable[];
  /** Others of their kind were asked for, too. */
  readonly listed: boolean;

  constructor(status: Status, found: readonly Unreadable[], listed: boolean) {
    super(status);
    this.found = found;
    this.listed = listed;
  }
}

/** What was read is wrong, as opposed to what can't be read. */
export const noObjectMessage = "the stored data is no JSON object";

const openingBrace = 0x7b;

/** Undefined: it looks like an object. Costs a comparison, because every value comes by here. */
export function unreadableReason(store: Store, value: Uint8Array): string | undefined {
  if (value[0] === openingBrace) return undefined;
  const known = store.unreadable?.(value)?.message;
  if (known !== undefined) return known;
  return isEncrypted(Buffer.from(value)) ? encryptedDataMessage : noObjectMessage;
}

export const unreadableError = (it: Unreadable): StatusError =>
  new UnreadableError(statusError.internal(it.reason).status, [it], false);

export function unreadableListError(first: Unreadable, all: readonly Unreadable[] = [first]): StatusError {
  const why = `unable to transform key ${JSON.stringify(first.key)}: ${first.reason}`;
  return new UnreadableError(statusError.internal(why).status, all, true);
}
