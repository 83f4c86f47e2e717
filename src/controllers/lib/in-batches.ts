/**
 * Does the same thing many times at once, starting slowly: 1, 2, 4, … at a time, and no further batch after a failure.
 * So a refusal that would meet all (a quota, a webhook that is down) is met once and not five hundred times.
 */
export interface BatchResult {
  readonly succeeded: number;
  /** The first of the failures. */
  readonly error?: unknown;
}

export async function inBatches(count: number, run: (index: number) => Promise<void>): Promise<BatchResult> {
  let started = 0;
  let succeeded = 0;
  for (let size = Math.min(1, count); size > 0; size = Math.min(2 * size, count - started)) {
    const batch = Array.from({ length: size }, (_, index) => run(started + index));
    started += size;
    const results = await Promise.allSettled(batch);
    const failures = results.filter((result) => result.status === "rejected");
    succeeded += size - failures.length;
    if (failures[0]) return { succeeded, error: failures[0].reason };
  }
  return { succeeded };
}

/** All at once; answers the first failure after all have ended. */
export async function allAtOnce<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<BatchResult> {
  const results = await Promise.allSettled(items.map(run));
  const failures = results.filter((result) => result.status === "rejected");
  const succeeded = items.length - failures.length;
  return failures[0] ? { succeeded, error: failures[0].reason } : { succeeded };
}
