import type { CommitJob, CommitRow, LeaseRow } from "./commit-engine.ts";
import type { Committer } from "./committer.ts";
import { type SqliteFailure, storeErrorOf } from "./errors.ts";
import type { StoreError } from "../store.ts";

/** What one transaction adds to a commit. Without rows and leases it only waits for everything before it to be durable. */
export interface CommitUnit {
  readonly rows: readonly CommitRow[];
  readonly leases: readonly LeaseRow[];
  readonly bytes: number;
}

export interface CommitQueueOptions<Unit extends CommitUnit> {
  readonly committer: Committer;
  readonly path: string;
  /** These are on disk, in order. */
  readonly onDurable: (units: readonly Unit[]) => void;
  /** None of these is on disk; undo them from the last to the first. */
  readonly onFailed: (units: readonly Unit[], error: StoreError) => void;
}

/** One commit's size: bounds how long others wait for it (measured: 5 ms) and the memory it is packed into. */
const batchBytesMax = 2 << 20;
const batchUnitsMax = 1024;

/**
 * Group commit: one commit is under way; whatever arrives meanwhile waits together and shares the next one. Units have been applied in
 * memory in order before they come here, each on top of the one before, so when a commit fails everything behind it fails too.
 * The queue has no maximum of its own: every unit has a caller that waits, and callers are bounded where requests come in.
 */
export class CommitQueue<Unit extends CommitUnit> {
  readonly #options: CommitQueueOptions<Unit>;
  #inFlight: Unit[] = [];
  #waiting: Unit[] = [];
  #maintenance: { job: CommitJob; resolve: (more: boolean) => void; reject: (error: StoreError) => void }[] = [];
  #busy = false;
  #scheduled = false;
  #idleWaiters: (() => void)[] = [];
  #maintenanceEnd: StoreError | undefined;

  constructor(options: CommitQueueOptions<Unit>) {
    this.#options = options;
  }

  add(unit: Unit): void {
    this.#waiting.push(unit);
    this.#schedule();
  }

  /** Runs a step between commits. Answers whether there is more to do. */
  maintain(job: CommitJob): Promise<boolean> {
    if (this.#maintenanceEnd) return Promise.reject(this.#maintenanceEnd);
    return new Promise((resolve, reject) => {
      this.#maintenance.push({ job, resolve, reject });
      this.#schedule();
    });
  }

  /** Lets the step under way finish, and no other: what is left of a long job must not hold up a close. */
  endMaintenance(reason: StoreError): void {
    this.#maintenanceEnd = reason;
    for (const { reject } of this.#maintenance.splice(0)) reject(reason);
  }

  /** Everything not durable yet, in order. */
  *pending(): Generator<Unit> {
    yield* this.#inFlight;
    yield* this.#waiting;
  }

  /** Resolves when nothing is under way or waiting. */
  idle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  #isIdle(): boolean {
    return !this.#busy && this.#waiting.length === 0 && this.#maintenance.length === 0;
  }

  #schedule(): void {
    if (this.#busy || this.#scheduled) return;
    this.#scheduled = true;
    // Not at once: writers that were answered together write again in the same turn, and should share a commit again.
    setImmediate(() => {
      this.#scheduled = false;
      this.#next(false);
    });
  }

  /** Writes go first, but a step of maintenance gets its turn after each batch, or constant load would starve compaction. */
  #next(afterBatch: boolean): void {
    if (this.#busy) return;
    const step = afterBatch || this.#waiting.length === 0 ? this.#maintenance.shift() : undefined;
    if (step) {
      this.#submit(step.job, (failure, more) => {
        if (failure) step.reject(storeErrorOf(failure, this.#options.path));
        else step.resolve(more);
        this.#next(false);
      });
    } else if (this.#waiting.length > 0) this.#commit();
    else for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  #commit(): void {
    const units = this.#takeBatch();
    this.#inFlight = units;
    const job: CommitJob = {
      kind: "write",
      rows: units.flatMap((unit) => unit.rows),
      leases: units.flatMap((unit) => unit.leases),
    };
    this.#submit(job, (failure) => {
      this.#inFlight = [];
      if (failure) {
        const failed = [...units, ...this.#waiting.splice(0)];
        this.#options.onFailed(failed, storeErrorOf(failure, this.#options.path));
        this.#next(true);
        return;
      }
      // The disk works on the next commit while this one's events and answers go out.
      this.#next(true);
      this.#options.onDurable(units);
    });
  }

  #submit(job: CommitJob, done: (failure: SqliteFailure | undefined, more: boolean) => void): void {
    this.#busy = true;
    this.#options.committer.submit(job, (failure, more) => {
      this.#busy = false;
      done(failure, more);
    });
  }

  #takeBatch(): Unit[] {
    let count = 0;
    let bytes = 0;
    for (const unit of this.#waiting) {
      bytes += unit.bytes;
      if (count > 0 && (bytes > batchBytesMax || count === batchUnitsMax)) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }
}
