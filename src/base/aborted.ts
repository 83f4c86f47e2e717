/** Resolves when the signal aborts, at once when it has. For waits that would otherwise outlive it, such as for caches that nobody fills any more. */
export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener("abort", () => done(), { once: true });
  });
