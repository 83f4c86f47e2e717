import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { FakeClock } from "#base";
import { failure, get, put, record } from "../suite/fixture.ts";
import type { Committer } from "./committer.ts";
import { openSqliteStore } from "./open.ts";

test("sqlite lease: an expiry that can't be written is tried again", async (context) => {
  const clock = new FakeClock();
  let failing = false;
  let failures = 0;
  const aroundCommitter = (inner: Committer): Committer => ({
    ...inner,
    submit(job, done) {
      if (!failing) return inner.submit(job, done);
      failures++;
      setImmediateCallback(() => done({ errcode: 13, message: "database or disk is full" }, false));
    },
  });
  const store = await openSqliteStore({ path: ":memory:", clock, aroundCommitter });
  context.after(() => store.close());
  const lease = await store.grantLease(10);
  const revision = await put(store, "/l/a", { lease });
  failing = true;
  clock.advance(10_000);
  while (failures === 0) await setImmediate();
  for (let turn = 0; turn < 5; turn++) await setImmediate();
  assert.equal((await get(store, "/l/a"))?.lease, lease, "nothing was lost");
  await assert.rejects(store.grantLease(10), failure("no-space"));
  failing = false;
  const watch = record(store, { start: "/l/a" });
  clock.advance(1000);
  const [event] = await watch.have(1);
  assert.deepEqual([event?.type, event?.item.modRevision], ["delete", revision + 1]);
  await assert.rejects(store.revokeLease(lease), failure("unknown-lease"));
});

test("sqlite lease: more keys than a revision holds are deleted all the same", async (context) => {
  const store = await openSqliteStore({ path: ":memory:" });
  context.after(() => store.close());
  const lease = await store.grantLease(60);
  await Promise.all(Array.from({ length: 2500 }, (_, i) => put(store, `/l/${i}`, { lease })));
  const before = store.revision();
  await store.revokeLease(lease);
  assert.equal((await store.range({ start: "/l/", end: "/l0", countOnly: true })).count, 0);
  assert.equal(store.revision(), before + 3);
});

function setImmediateCallback(run: () => void): void {
  void setImmediate().then(run);
}
