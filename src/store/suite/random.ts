import assert from "node:assert/strict";
import { test } from "node:test";
import type { Operation, RangeRequest, RangeResult, Store, Transaction, TransactionResult } from "../store.ts";
import { failure, type OpenStore, type Recording, record } from "./fixture.ts";
import { ModelStore } from "./model.ts";

export interface RandomSuiteOptions {
  readonly open: OpenStore;
  readonly rounds: number;
  /** Makes some writes fail with "no-space"; called before each round. */
  readonly disturb?: (random: () => number) => void;
}

/** A store and its recordings, beside the model that says what they should be. */
interface Run {
  store: Store;
  readonly model: ModelStore;
  readonly random: () => number;
  watches: { readonly recording: Recording; readonly start: string; readonly end: string; readonly from: number }[];
}

/**
 * Random transactions in bursts, ranges, watches, compactions and restarts, compared with a trivial model. Only for stores that decide
 * transactions in the order of the calls. STORE_SEED repeats a run.
 */
export function randomSuite(name: string, { open, rounds, disturb }: RandomSuiteOptions): void {
  const seed = Number(process.env.STORE_SEED ?? Math.floor(Math.random() * 2 ** 31));
  test(`${name} random: behaves as the model does (STORE_SEED=${seed})`, { timeout: 60_000 }, async (context) => {
    const fixture = await open();
    context.after(() => fixture.close());
    const random = generator(seed);
    const run: Run = { store: fixture.store, model: new ModelStore(fixture.store.revision()), random, watches: [] };
    for (let round = 0; round < rounds; round++) {
      disturb?.(random);
      if (random() < 0.3) addWatch(run);
      await burst(run);
      if (random() < 0.1) await compact(run);
      if (random() < 0.05 && fixture.reopen) {
        checkWatches(run);
        run.store = await fixture.reopen();
        run.watches = [];
      }
      assert.equal(run.store.revision(), run.model.revision);
      await checkRange(run);
    }
    await Promise.all(run.watches.map(({ recording, ...range }) => recording.have(run.model.events(range).length)));
    checkWatches(run);
  });
}

/** Mulberry32: small, and good enough to mix operations. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pick = (random: () => number, below: number): number => Math.floor(random() * below);
const someKey = (random: () => number): string => `/${"ab"[pick(random, 2)]}/${pick(random, 12)}`;

function someRange(random: () => number): { start: string; end: string } {
  if (random() < 0.2) return { start: "/a/", end: "/b0" };
  const [start, end] = [someKey(random), someKey(random)].sort() as [string, string]; // Two in, two out.
  return { start, end: `${end}\0` };
}

/** Calls without waiting in between, so that they are decided on each other's pending states; reads join in. */
async function burst({ store, model, random }: Run): Promise<void> {
  const transactions = Array.from({ length: 1 + pick(random, 15) }, () => someTransaction(random, model));
  const reads: Promise<{ range: RangeRequest; result: RangeResult }>[] = [];
  const writes = transactions.map((transaction) => {
    const range = someRange(random);
    if (random() < 0.2) reads.push(store.range(range).then((result) => ({ range, result })));
    return store.transact(transaction);
  });
  const results = await Promise.allSettled(writes);
  for (const [i, result] of results.entries()) {
    if (result.status === "rejected") assert.ok(failure("no-space")(result.reason), String(result.reason));
    else {
      const before = model.revision;
      const expected = model.transact(transactions[i]!); // As many results as transactions.
      compareResults(result.value, expected);
      if (model.revision > before) assert.equal(result.value.revision, expected.revision);
    }
  }
  for (const { range, result } of await Promise.all(reads)) {
    const { items, count, more } = result;
    assert.deepEqual({ items, count, more }, model.range(range, result.revision));
  }
}

function someTransaction(random: () => number, model: ModelStore): Transaction {
  const keys = new Set(Array.from({ length: 1 + (random() < 0.3 ? pick(random, 4) : 0) }, () => someKey(random)));
  const state = model.stateAt(model.revision);
  const compare = [...keys]
    .filter(() => random() < 0.5)
    .map((key) => ({
      key,
      modRevision: random() < 0.8 ? (state.get(key)?.modRevision ?? 0) : model.revision + pick(random, 4),
    }));
  const operations = [...keys].map((key): Operation => {
    if (random() < 0.35) return { type: "delete", key };
    return {
      type: "put",
      key,
      value: new Uint8Array(pick(random, random() < 0.05 ? 20_000 : 60)).fill(pick(random, 256)),
    };
  });
  return { compare, operations };
}

/** Without the revision: when none was taken, it is whatever was durable by the time of the answer. */
function compareResults(found: TransactionResult, expected: TransactionResult): void {
  assert.equal(found.succeeded, expected.succeeded);
  if (found.succeeded && expected.succeeded) assert.deepEqual(found.previous, expected.previous);
  else if (!found.succeeded && !expected.succeeded) assert.deepEqual(found.current, expected.current);
}

function addWatch({ store, model, random, watches }: Run): void {
  const range = someRange(random);
  const oldest = Math.max(1, model.compacted);
  const from =
    random() < 0.5 ? model.revision + 1 + pick(random, 4) : oldest + pick(random, model.revision + 2 - oldest);
  watches.push({ recording: record(store, { ...range, fromRevision: from }), ...range, from });
}

async function compact({ store, model, random, watches }: Run): Promise<void> {
  const revision = model.compacted + 1 + pick(random, model.revision - model.compacted);
  if (revision <= model.compacted || revision > model.revision) return;
  // A watch that still reads history would rightly be ended.
  await Promise.all(watches.map(({ recording, ...range }) => recording.have(model.events(range).length)));
  try {
    await store.compact(revision);
  } catch (error) {
    assert.ok(failure("no-space")(error), String(error));
    return; // Whether it was marked is not known; asking again for the same is allowed to fail.
  }
  model.compacted = revision;
}

/** One range at a random readable revision. */
async function checkRange({ store, model, random }: Run): Promise<void> {
  const oldest = Math.max(1, model.compacted);
  const revision = oldest + pick(random, model.revision - oldest + 1);
  const request: RangeRequest = { ...someRange(random), revision, limit: random() < 0.3 ? 1 + pick(random, 6) : 0 };
  const { items, count, more } = await store.range(request);
  assert.deepEqual({ items, count, more }, model.range(request, revision));
}

function checkWatches({ model, watches }: Run): void {
  for (const { recording, ...range } of watches) {
    const expected = model.events(range);
    // One that is still reading history has less, but what it has must be right.
    assert.deepEqual(recording.events, expected.slice(0, recording.events.length));
  }
}
