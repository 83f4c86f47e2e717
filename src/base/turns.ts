/** Work that takes long in steps, so that others have their turn between them. */

/** It goes on for so long at a stretch. */
const turnMs = 4;

/** Runs all steps. A promise only if they take longer than one turn. */
export function inTurns<T>(steps: Iterator<unknown, T>): T | Promise<T> {
  const started = performance.now();
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    if (performance.now() - started >= turnMs) return goOn(steps);
  }
}

async function goOn<T>(steps: Iterator<unknown, T>): Promise<T> {
  for (;;) {
    await new Promise((resolve) => setImmediate(resolve));
    const started = performance.now();
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
      if (performance.now() - started >= turnMs) break;
    }
  }
}

/** Runs all steps at once. */
export function atOnce<T>(steps: Iterator<unknown, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}
