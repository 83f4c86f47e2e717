/** Stops the program's current step when an invariant of ours is broken: a bug here, never bad input. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** A broken invariant. Nothing catches it on purpose. */
export class AssertionError extends Error {
  override name = "AssertionError";
}
