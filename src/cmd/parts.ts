/** What runs beside each other in one process, until all ends. */
import { CommandError } from "./command.ts";
import { explainFailure } from "./operational-error.ts";

/** What runs until the end. A failure says whose it is. */
export class Parts {
  readonly #running: Promise<void>[] = [];
  readonly #failure = Promise.withResolvers<never>();
  readonly #stop: AbortController;

  constructor(stop: AbortController) {
    this.#stop = stop;
    this.#failure.promise.catch(() => undefined); // whoever waits hears of it
  }

  add(name: string, running: Promise<void>): void {
    this.#running.push(
      running.catch((error: unknown) => {
        this.#failure.reject(partFailure(name, error));
        this.#stop.abort();
      }),
    );
  }

  get failed(): Promise<never> {
    return this.#failure.promise;
  }

  /** Resolves when the signal aborts; rejects when a part failed. */
  async ended(signal: AbortSignal): Promise<void> {
    const aborted = new Promise<void>((done) => {
      if (signal.aborted) done();
      signal.addEventListener("abort", () => done(), { once: true });
    });
    await Promise.race([this.failed, aborted]);
  }

  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }
}

function partFailure(name: string, error: unknown): CommandError {
  const found = explainFailure(error) ?? (error instanceof Error ? error.message : String(error));
  return new CommandError(`${name}: ${found}`);
}
