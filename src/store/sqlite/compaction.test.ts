import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { Store } from "../store.ts";
import { failure, put, remove } from "../suite/fixture.ts";
import { openScratchStore } from "./scratch.ts";

async function changeOften(store: Store, changes: number): Promise<void> {
  await Promise.all(Array.from({ length: changes }, (_, i) => put(store, `/k/${i % 10}`, { value: "x".repeat(1000) })));
}

test("sqlite compaction: deleted rows are really gone, and the file shrinks", async (context) => {
  const { store, path, close } = await openScratchStore();
  context.after(close);
  await Promise.all(Array.from({ length: 6000 }, (_, i) => put(store, `/k/${i}`, { value: "x".repeat(4000) })));
  const before = (await store.size()).bytes;
  await remove(store, ...Array.from({ length: 1000 }, (_, i) => `/k/${i}`));
  for (let from = 1000; from < 6000; from += 1000) {
    await remove(store, ...Array.from({ length: 1000 }, (_, i) => `/k/${from + i}`));
  }
  const last = await put(store, "/k/last");
  await store.compact(last);
  await put(store, "/k/last"); // Its commit follows the checkpoint that made the file shorter.
  const after = (await store.size()).bytes;
  assert.ok(after < before / 2, `${before} bytes, then ${after}`);
  await store.close();
  assert.deepEqual(rowCounts(path), { revisions: 2, contents: 2 });
});

test("sqlite compaction: a close in the middle does not wait for it, and the next start finishes it", async (context) => {
  const fixture = await openScratchStore();
  context.after(fixture.close);
  await changeOften(fixture.store, 3000);
  const compaction = fixture.store.compact(fixture.store.revision());
  while ((await fixture.store.size()).oldestRevision === 1) await setImmediate();
  const store = await Promise.all([fixture.reopen?.(), assert.rejects(compaction, failure("closed"))]).then(
    ([again]) => again,
  );
  assert.equal((await store?.size())?.oldestRevision, 3001);
  await store?.close();
  assert.ok(rowCounts(fixture.path).revisions > 11, "the test closed in the middle");
  await fixture.reopen?.();
  // Ten keys' newest rows, and the one that the newest revision replaced.
  while (rowCounts(fixture.path).revisions > 11) await setImmediate();
});

function rowCounts(path: string): { revisions: number; contents: number } {
  const db = new DatabaseSync(path, { readOnly: true });
  const count = (table: string) => Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n);
  const counts = { revisions: count("revisions"), contents: count("contents") };
  db.close();
  return counts;
}
