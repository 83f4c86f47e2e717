import { randomInt } from "node:crypto";
import { assert } from "#base";
import {
  type KeyValue,
  type Operation,
  StoreError,
  type StoreEvent,
  type Transaction,
  type TransactionResult,
} from "../store.ts";
import { checkOperations } from "./check-operations.ts";
import type { CommitRow } from "./commit-engine.ts";
import { CommitQueue, type CommitUnit } from "./commit-queue.ts";
import type { Committer } from "./committer.ts";
import { Entry, type KeyIndex } from "./key-index.ts";
import type { Leases } from "./leases.ts";
import type { Reader } from "./reader.ts";
import { rowId, slotsMax } from "./schema.ts";

/** One write, on its way to the disk. */
interface Write {
  readonly entry: Entry;
  /** The lease of the key's state before. */
  readonly leaseBefore: number;
  readonly event: StoreEvent;
}

interface Unit extends CommitUnit {
  readonly writes: readonly Write[];
  /** The newest revision it writes; 0: none. */
  readonly revision: number;
  readonly durable: () => void;
  readonly failed: (error: StoreError) => void;
}

export interface WriterOptions {
  readonly index: KeyIndex;
  readonly reader: Reader;
  readonly leases: Leases;
  readonly committer: Committer;
  readonly path: string;
  /** The newest revision on disk. */
  readonly revision: number;
  /** Called for each commit, in order, before the writers get their answers. */
  readonly onEvents: (events: readonly StoreEvent[], revision: number) => void;
}

const noValue = new Uint8Array(0);
const noWrites = { rows: [], writes: [], leases: [], bytes: 0, revision: 0 };

/** Decides transactions in memory, at once and in order of arrival; answers when they are durable. */
export class Writer {
  readonly queue: CommitQueue<Unit>;
  readonly #options: WriterOptions;
  #durableRevision: number;
  /** The newest revision given to a transaction, durable or not. */
  #assignedRevision: number;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#durableRevision = options.revision;
    this.#assignedRevision = options.revision;
    this.queue = new CommitQueue({
      committer: options.committer,
      path: options.path,
      onDurable: (units) => this.#onDurable(units),
      onFailed: (units, error) => this.#onFailed(units, error),
    });
  }

  get durableRevision(): number {
    return this.#durableRevision;
  }

  async transact({ compare, operations }: Transaction): Promise<TransactionResult> {
    checkOperations(operations);
    const { index, reader } = this.#options;
    const compared = compare.map(({ key }) => index.get(key));
    if (compare.some(({ modRevision }, i) => modRevision !== (live(compared[i])?.modRevision ?? 0))) {
      // Read now: by the time of the answer, compaction may have deleted what these entries point to.
      const current = compared.map((entry) => (live(entry) ? reader.keyValue(entry!) : undefined)); // live: not undefined
      await this.#settled(compared);
      return { succeeded: false, revision: this.#durableRevision, current };
    }
    const heads = operations.map(({ key }) => index.get(key));
    this.#checkLeases(operations);
    const previous = heads.map((head) => (live(head) ? reader.keyValue(head!) : undefined)); // live: not undefined
    if (operations.every(({ type }, i) => type === "delete" && !previous[i])) {
      await this.#settled([...compared, ...heads]); // Nothing to write, and no revision for it, as in etcd.
      return { succeeded: true, revision: this.#durableRevision, previous };
    }
    const revision = await this.#write(operations, previous);
    return { succeeded: true, revision, previous };
  }

  async grantLease(ttlSeconds: number): Promise<number> {
    assert(ttlSeconds > 0, `a lease needs a time to live above 0 seconds, got ${ttlSeconds}`);
    const { leases } = this.#options;
    let id = randomInt(1, 2 ** 47);
    while (leases.has(id)) id = randomInt(1, 2 ** 47);
    leases.add(id, ttlSeconds);
    await this.#enqueue({ ...noWrites, leases: [{ id, ttlSeconds }] }, () => leases.remove(id));
    return id;
  }

  keepLeaseAlive(id: number): void {
    if (!this.#options.leases.keepAlive(id)) throw unknownLease(id);
  }

  /** Deletes the lease and its keys, in one commit; in one revision up to 1,024 keys. */
  async revokeLease(id: number): Promise<void> {
    const { index, leases, reader } = this.#options;
    const removed = leases.remove(id);
    if (!removed) throw unknownLease(id);
    const restore = () => leases.restore(id, removed.lease);
    const attached = removed.keys.flatMap((key) => live(index.get(key)) ?? []).filter(({ lease }) => lease === id);
    let states: KeyValue[];
    try {
      states = attached.map((entry) => reader.keyValue(entry));
    } catch (error) {
      restore(); // Nothing is decided yet.
      throw error;
    }
    const done: Promise<unknown>[] = [];
    for (let at = 0; at < states.length; at += slotsMax) {
      const previous = states.slice(at, at + slotsMax);
      const operations = previous.map(({ key }) => ({ type: "delete", key }) as const);
      done.push(this.#write(operations, previous));
    }
    // The lease goes last: if the process dies in between, it expires again after the restart.
    done.push(this.#enqueue({ ...noWrites, leases: [{ id, ttlSeconds: 0 }] }, restore));
    await Promise.all(done);
  }

  #checkLeases(operations: readonly Operation[]): void {
    for (const operation of operations) {
      if (operation.type === "put" && operation.lease && !this.#options.leases.has(operation.lease))
        throw unknownLease(operation.lease);
    }
  }

  /** Resolves when these states of keys are durable. */
  #settled(entries: readonly (Entry | undefined)[]): Promise<void> {
    if (entries.every((entry) => !entry || entry.modRevision <= this.#durableRevision)) return Promise.resolve();
    return this.#enqueue(noWrites);
  }

  /** Applies the operations to the index at a new revision; resolves to it when it is durable. */
  async #write(operations: readonly Operation[], previous: readonly (KeyValue | undefined)[]): Promise<number> {
    const revision = ++this.#assignedRevision;
    const writes: Write[] = [];
    const rows: CommitRow[] = [];
    let bytes = 0;
    for (const [i, operation] of operations.entries()) {
      const before = previous[i];
      if (operation.type === "delete" && !before) continue;
      const { write, row } = this.#apply(operation, { revision, slot: writes.length, before });
      writes.push(write);
      rows.push(row);
      bytes += row.key.length + (row.value?.length ?? 0);
    }
    await this.#enqueue({ rows, writes, leases: [], bytes, revision });
    return revision;
  }

  #apply(
    operation: Operation,
    at: { revision: number; slot: number; before: KeyValue | undefined },
  ): { write: Write; row: CommitRow } {
    const { index, leases } = this.#options;
    const { revision, slot, before } = at;
    const { key } = operation;
    const head = index.get(key);
    const isPut = operation.type === "put";
    const state = {
      key,
      createRevision: isPut ? (before?.createRevision ?? revision) : 0,
      version: isPut ? (before?.version ?? 0) + 1 : 0,
      lease: isPut ? (operation.lease ?? 0) : 0,
    };
    const value = isPut ? operation.value : undefined;
    const entry = new Entry({ ...state, modRevision: revision, slot, value, before: head });
    index.set(entry);
    leases.move(key, { from: before?.lease ?? 0, to: state.lease });
    const item: KeyValue = { ...state, value: value ?? noValue, modRevision: revision };
    const previousId = before && head ? rowId(head.modRevision, head.slot) : 0;
    return {
      write: { entry, leaseBefore: before?.lease ?? 0, event: { type: operation.type, item, previous: before } },
      row: { ...state, id: rowId(revision, slot), previous: previousId, value },
    };
  }

  #enqueue(unit: Omit<Unit, "durable" | "failed">, onFailed?: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const failed = (error: StoreError) => {
        onFailed?.();
        reject(error);
      };
      this.queue.add({ ...unit, durable: resolve, failed });
    });
  }

  #onDurable(units: readonly Unit[]): void {
    const events: StoreEvent[] = [];
    for (const { writes, revision } of units) {
      for (const { entry, event } of writes) {
        entry.before = undefined;
        entry.value = undefined;
        if (entry.version === 0 && this.#options.index.get(entry.key) === entry) this.#options.index.remove(entry.key);
        events.push(event);
      }
      this.#durableRevision = Math.max(this.#durableRevision, revision);
    }
    // Events before answers: whoever awaits its write finds it in every cache that a watch feeds.
    if (events.length > 0) this.#options.onEvents(events, this.#durableRevision);
    for (const unit of units) unit.durable();
  }

  /** Back to what is on disk: everything pending was built on the commit that failed. */
  #onFailed(units: readonly Unit[], error: StoreError): void {
    const { index, leases } = this.#options;
    for (const unit of units.toReversed()) {
      for (const { entry, leaseBefore } of unit.writes.toReversed()) {
        if (entry.before) index.set(entry.before);
        else index.remove(entry.key);
        leases.move(entry.key, { from: entry.lease, to: leaseBefore });
      }
      unit.failed(error);
    }
    this.#assignedRevision = this.#durableRevision;
  }
}

function live(entry: Entry | undefined): Entry | undefined {
  return entry && entry.version > 0 ? entry : undefined;
}

function unknownLease(lease: number): StoreError {
  return new StoreError({ code: "unknown-lease", lease }, `lease ${lease} does not exist or has expired`);
}
