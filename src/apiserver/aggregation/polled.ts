/** Things fetched from extension servers, one by name: at once when something changed, again after a while, sooner after a failure. */
import { type BackoffOptions, backoffMs, type Clock } from "#base";

export interface PolledOptions {
  readonly clock: Clock;
  /** Between two that went well. */
  readonly periodMs: number;
  readonly retry: BackoffOptions;
  /** Rejects when it is to be tried again. */
  fetch(name: string): Promise<void>;
}

export class Polled {
  readonly #options: PolledOptions;
  readonly #timers = new Map<string, () => void>();
  readonly #failures = new Map<string, number>();
  readonly #busy = new Set<string>();
  readonly #again = new Set<string>();
  #closed = false;

  constructor(options: PolledOptions) {
    this.#options = options;
  }

  /** Something changed. */
  wake(name: string): void {
    if (this.#closed) return;
    this.#timers.get(name)?.();
    this.#timers.delete(name);
    if (this.#busy.has(name)) this.#again.add(name);
    else void this.#run(name);
  }

  forget(name: string): void {
    this.#timers.get(name)?.();
    this.#timers.delete(name);
    this.#failures.delete(name);
    this.#again.delete(name);
  }

  close(): void {
    this.#closed = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
  }

  async #run(name: string): Promise<void> {
    const { clock, periodMs, retry, fetch } = this.#options;
    this.#busy.add(name);
    let waitMs = periodMs;
    try {
      await fetch(name);
      this.#failures.delete(name);
    } catch {
      // Whoever fetches has said why.
      const failures = (this.#failures.get(name) ?? 0) + 1;
      this.#failures.set(name, failures);
      waitMs = backoffMs(failures, retry);
    }
    this.#busy.delete(name);
    if (this.#again.delete(name)) return this.wake(name);
    if (this.#closed) return;
    this.#timers.set(
      name,
      clock.after(waitMs, () => this.wake(name)),
    );
  }
}
