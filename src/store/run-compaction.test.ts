import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { test } from "node:test";
import { createLogger, FakeClock } from "#base";
import { runCompaction } from "./run-compaction.ts";
import { openSqliteStore } from "./sqlite/open.ts";
import { StoreError } from "./store.ts";
import { put } from "./suite/fixture.ts";

const minute = 60_000;

test("runCompaction: keeps what was current five minutes ago, as upstream", async (context) => {
  const clock = new FakeClock();
  const store = await openSqliteStore({ path: ":memory:", clock });
  context.after(() => store.close());
  const stop = new AbortController();
  const compacted: number[] = [];
  const watched = {
    ...store,
    compact: (revision: number) => store.compact(revision).finally(() => compacted.push(revision)),
  };
  const running = runCompaction(watched, { clock, signal: stop.signal });

  const revisions: number[] = [];
  for (let turn = 0; turn < 4; turn++) {
    revisions.push(await put(store, "/a"));
    clock.advance(5 * minute);
    while (compacted.length < turn + 1) await setImmediate();
    await settled();
  }
  // The first turn compacts to what it saw at its start, then each to what was current a turn earlier.
  assert.deepEqual(compacted, [1, ...revisions.slice(0, 3)]);
  assert.equal((await store.size()).oldestRevision, revisions[2]);
  stop.abort();
  await running;
  clock.advance(60 * minute);
  await settled();
  assert.equal(compacted.length, 4);
});

test("runCompaction: a timer that fires a moment early doesn't skip a turn", async (context) => {
  const clock = new FakeClock();
  const store = await openSqliteStore({ path: ":memory:", clock });
  context.after(() => store.close());
  const stop = new AbortController();
  context.after(() => stop.abort());
  const early = { ...clock, now: () => clock.now(), after: (ms: number, run: () => void) => clock.after(ms - 1, run) };
  const compacted: number[] = [];
  const watched = {
    ...store,
    compact: (revision: number) => {
      compacted.push(revision);
      return store.compact(revision);
    },
  };
  void runCompaction(watched, { clock: early as typeof clock, signal: stop.signal });
  for (let turn = 1; turn <= 2; turn++) {
    await put(store, "/a");
    clock.advance(5 * minute - 1);
    await settled();
  }
  assert.equal(compacted.length, 2);
});

test("runCompaction: a failure is logged, and the next turn tries again", async (context) => {
  const clock = new FakeClock();
  const inner = await openSqliteStore({ path: ":memory:", clock });
  context.after(() => inner.close());
  const lines: string[] = [];
  const log = createLogger({ write: (line) => lines.push(line) });
  const asked: number[] = [];
  const store = {
    ...inner,
    async compact(revision: number) {
      asked.push(revision);
      throw new StoreError({ code: "no-space", path: "/data" }, "no space left");
    },
  };
  const stop = new AbortController();
  const running = runCompaction(store, { clock, log, intervalMs: minute, keepMs: minute, signal: stop.signal });
  for (let turn = 0; turn < 3; turn++) {
    await put(inner, "/a");
    clock.advance(minute);
    await settled();
  }
  assert.equal(asked.length, 3);
  assert.equal(lines.length, 3);
  assert.match(lines[0] ?? "", /WARN .*compaction failed.*no space left/);
  stop.abort();
  await running;
});

/** Everything that is due in this turn of the event loop, and the commits it started, has happened. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await setImmediate();
}
