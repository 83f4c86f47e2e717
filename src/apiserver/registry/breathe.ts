/**
 * The steps of a write are synchronous, and of the largest objects each takes up to tens of milliseconds. Between them others get their turn.
 * Writes of small objects don't wait, so that they cost what they did.
 */
import { setImmediate } from "node:timers/promises";
import type { StoredObject } from "../cache/stored-object.ts";
import type { Call } from "./call.ts";

/** From here on the slowest steps take a few milliseconds. */
const largeBytesMin = 32 * 1024;

/** `existing`: what is there already, when that is part of the work. */
export async function breathe({ body }: Call, existing?: StoredObject): Promise<void> {
  // Of an object from within this process the bytes would be made for this alone.
  const sent = body.value === undefined ? (await body.bytes()).length : (body.valueBytes ?? 0);
  if (Math.max(sent, existing?.body.length ?? 0) >= largeBytesMin) await setImmediate();
}
