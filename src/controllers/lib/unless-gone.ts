/** A write about an object that was deleted meanwhile: nothing is left to write about, and that is fine. */
import { isStatusError } from "#machinery";

export async function unlessGone<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isStatusError(error, "NotFound")) return undefined;
    throw error;
  }
}

/** The same of a write about an old state: gone or changed meanwhile: its event brings it back. */
export async function unlessOther(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isStatusError(error, "NotFound") && !isStatusError(error, "Conflict")) throw error;
  }
}
