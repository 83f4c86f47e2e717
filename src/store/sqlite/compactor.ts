import { StoreError } from "../store.ts";
import type { CommitJob } from "./commit-engine.ts";

export interface CompactorOptions {
  readonly queue: { maintain: (job: CommitJob) => Promise<boolean> };
  readonly durableRevision: () => number;
  /** 0: never compacted. */
  readonly compacted: number;
}

/**
 * Forgets old history: first the mark, durable, from then on reads below it are refused; then the rows, in bounded steps between commits.
 * Nothing waits for a long transaction, and a step can't time out: a crash in between only means that the rest goes after the restart.
 */
export class Compactor {
  readonly #options: CompactorOptions;
  #compacted: number;

  constructor(options: CompactorOptions) {
    this.#options = options;
    this.#compacted = options.compacted;
  }

  /** Reads and watches below it fail. */
  get compacted(): number {
    return this.#compacted;
  }

  async compact(revision: number): Promise<void> {
    // As in etcd, asking for the same revision twice is an error as well: of two that compact, one learns that it was not needed.
    if (revision <= this.#compacted) throw this.#compactedError(revision);
    if (revision > this.#options.durableRevision()) throw this.#futureError(revision);
    await this.#options.queue.maintain({ kind: "mark-compacted", revision });
    this.#compacted = Math.max(this.#compacted, revision);
    await this.sweep(revision);
  }

  /** Deletes what is marked, then gives pages back. */
  async sweep(revision: number): Promise<void> {
    const { queue } = this.#options;
    while (await queue.maintain({ kind: "sweep", revision }));
    while (await queue.maintain({ kind: "reclaim" }));
  }

  /** Throws when a range can't be read at this revision; 0: now. */
  checkReadable(revision: number): void {
    if (revision === 0) return;
    if (revision > this.#options.durableRevision()) throw this.#futureError(revision);
    const reason = this.reasonAgainst(revision);
    if (reason) throw reason;
  }

  reasonAgainst(revision: number): StoreError | undefined {
    return revision < this.#compacted ? this.#compactedError(revision) : undefined;
  }

  #compactedError(askedRevision: number): StoreError {
    const oldestRevision = this.#compacted;
    return new StoreError(
      { code: "compacted", askedRevision, oldestRevision },
      `revision ${askedRevision} has been compacted, the oldest is ${oldestRevision}`,
    );
  }

  #futureError(askedRevision: number): StoreError {
    const newestRevision = this.#options.durableRevision();
    return new StoreError(
      { code: "future-revision", askedRevision, newestRevision },
      `revision ${askedRevision} is in the future, the newest is ${newestRevision}`,
    );
  }
}
