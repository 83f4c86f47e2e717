import type { KeyValue, RangeRequest, StoreEvent, Transaction, TransactionResult } from "../store.ts";

/** What a store should answer, written to be obviously right: it keeps a copy of everything at every revision. */
export class ModelStore {
  revision: number;
  compacted = 0;
  #states = new Map<number, ReadonlyMap<string, KeyValue>>();
  #events = new Map<number, StoreEvent[]>();

  constructor(revision: number) {
    this.revision = revision;
    this.#states.set(revision, new Map());
  }

  stateAt(revision: number): ReadonlyMap<string, KeyValue> {
    const state = this.#states.get(revision);
    if (!state) throw new Error(`the model has no revision ${revision}, its newest is ${this.revision}`);
    return state;
  }

  transact({ compare, operations }: Transaction): TransactionResult {
    const now = this.stateAt(this.revision);
    if (compare.some(({ key, modRevision }) => (now.get(key)?.modRevision ?? 0) !== modRevision)) {
      return { succeeded: false, revision: this.revision, current: compare.map(({ key }) => now.get(key)) };
    }
    const previous = operations.map(({ key }) => now.get(key));
    const state = new Map(now);
    const events: StoreEvent[] = [];
    const revision = this.revision + 1;
    for (const [i, operation] of operations.entries()) {
      const before = previous[i];
      const { key } = operation;
      const gone = { key, value: new Uint8Array(0), createRevision: 0, modRevision: revision, version: 0, lease: 0 };
      if (operation.type === "put") {
        const createRevision = before?.createRevision ?? revision;
        const item = {
          ...gone,
          value: operation.value,
          createRevision,
          version: (before?.version ?? 0) + 1,
          lease: operation.lease ?? 0,
        };
        state.set(key, item);
        events.push({ type: "put", item, previous: before });
      } else if (before) {
        state.delete(key);
        events.push({ type: "delete", item: gone, previous: before });
      }
    }
    if (events.length > 0) {
      this.revision = revision;
      this.#states.set(revision, state);
      this.#events.set(revision, events);
    }
    return { succeeded: true, revision: this.revision, previous };
  }

  range(
    { start, end = `${start}\0`, limit = 0 }: RangeRequest,
    revision: number,
  ): { items: KeyValue[]; count: number; more: boolean } {
    const all = [...this.stateAt(revision).values()].filter(({ key }) => key >= start && key < end);
    all.sort((a, b) => (a.key < b.key ? -1 : 1));
    const items = limit > 0 ? all.slice(0, limit) : all;
    return { items, count: all.length, more: items.length < all.length };
  }

  events({ start, end = `${start}\0`, from }: { start: string; end?: string; from: number }): StoreEvent[] {
    const events: StoreEvent[] = [];
    for (let revision = from; revision <= this.revision; revision++) events.push(...(this.#events.get(revision) ?? []));
    return events.filter(({ item }) => item.key >= start && item.key < end);
  }
}
