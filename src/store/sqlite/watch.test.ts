import assert from "node:assert/strict";
import { test } from "node:test";
import { put, record } from "../suite/fixture.ts";
import { openSqliteStore } from "./open.ts";

test("sqlite watch: events come before the writer's answer", async (context) => {
  const store = await openSqliteStore({ path: ":memory:" });
  context.after(() => store.close());
  const watch = record(store, { start: "/a" });
  for (let i = 1; i <= 5; i++) {
    await put(store, "/a");
    assert.equal(watch.events.length, i);
  }
});

test("sqlite watch: a watcher that throws surfaces, and the others get their events", async (context) => {
  const store = await openSqliteStore({ path: ":memory:" });
  context.after(() => store.close());
  const uncaught: unknown[] = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => uncaught.push(error));
  context.after(() => {
    process.removeAllListeners("uncaughtException");
    for (const listener of listeners) process.on("uncaughtException", listener);
  });
  store.watch({
    start: "/a",
    onEvents() {
      throw new Error("a bug");
    },
    onEnd: () => undefined,
  });
  const watch = record(store, { start: "/a" });
  await put(store, "/a");
  assert.equal(watch.events.length, 1);
  assert.deepEqual(uncaught.map(String), ["Error: a bug"]);
});

test("sqlite watch: one that cancels itself in a call is not called again", async (context) => {
  const store = await openSqliteStore({ path: ":memory:" });
  context.after(() => store.close());
  let calls = 0;
  const cancel = store.watch({
    start: "/",
    end: "0",
    fromRevision: 1,
    onEvents() {
      calls++;
      cancel();
    },
    onEnd: () => assert.fail("cancelled"),
  });
  await put(store, "/a");
  await put(store, "/a");
  const watch = record(store, { start: "/", end: "0", fromRevision: 2 });
  await watch.have(2);
  assert.equal(calls, 1);
});
