/** Several servers as one: the one that answered last is asked; when it can't be reached, the next one is, from then on. */
import type { Transport } from "#machinery";

/** `open`: one for each server; opened when first used. */
export function createFailover(open: readonly (() => Transport)[]): Transport {
  let at = 0;
  let current: Transport | undefined;
  let isClosed = false;

  async function attempt<T>(work: (transport: Transport) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    for (let tried = 1; ; tried++) {
      current ??= open[at]?.();
      const mine = current;
      if (!mine || isClosed) throw new Error("the connection is closed");
      try {
        return await work(mine);
      } catch (error) {
        const isUnreached = error instanceof Error && "code" in error && typeof error.code === "string";
        if (!isUnreached || signal?.aborted || isClosed) throw error;
        if (mine === current) {
          at = (at + 1) % open.length;
          current = undefined;
          mine.close();
        }
        // What may have been done already isn't done twice: who asked decides.
        if (tried >= open.length || !isUnsent(error)) throw error;
      }
    }
  }

  return {
    request: (request) => attempt((transport) => transport.request(request), request.signal),
    watch: (request, onEvent) => attempt((transport) => transport.watch(request, onEvent), request.signal),
    close() {
      isClosed = true;
      current?.close();
    },
  };
}

const isUnsent = (error: object): boolean =>
  "isUnprocessed" in error ? error.isUnprocessed === true : "code" in error && error.code === "ECONNREFUSED";
