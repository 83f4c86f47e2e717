import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { brief, failure, type OpenStore, put, record, remove, storeTest, text } from "./fixture.ts";

export function watchSuite(name: string, open: OpenStore): void {
  storeTest(`${name} watch: what happens from now on, in its range`, open, async (store) => {
    await put(store, "/w/before");
    const watch = record(store, { start: "/w/", end: "/w0" });
    const one = record(store, { start: "/w/a" });
    await put(store, "/v/other");
    await put(store, "/w/a", { value: "1" });
    await put(store, "/w/a", { value: "2" });
    await put(store, "/x/other");
    const deleted = await remove(store, "/w/a");
    const events = await watch.have(3);
    assert.deepEqual(events.map(brief), ["put /w/a=1", "put /w/a=2", "delete /w/a"]);
    assert.deepEqual(
      events.map(({ previous }) => text(previous)),
      [undefined, "1", "2"],
    );
    const tombstone = events[2]?.item;
    assert.deepEqual([tombstone?.modRevision, tombstone?.value.length], [deleted, 0]);
    assert.deepEqual((await one.have(3)).map(brief), events.map(brief));
  });

  storeTest(`${name} watch: history first, then live, without gap or repetition`, open, async (store) => {
    const first = await put(store, "/w/0");
    let writing = Promise.resolve();
    for (let i = 1; i < 300; i++)
      writing = writing.then(() => put(store, `/w/${i % 7}`, { value: String(i) })).then(() => undefined);
    const watches = [];
    for (let i = 0; i < 20; i++) {
      watches.push(record(store, { start: "/w/", end: "/w0", fromRevision: first + i }));
      for (let turn = 0; turn < i; turn++) await setImmediate();
    }
    await writing;
    for (const [i, watch] of watches.entries()) {
      const revisions = (await watch.have(300 - i)).map(({ item }) => item.modRevision);
      assert.deepEqual(
        revisions,
        Array.from({ length: 300 - i }, (_, at) => first + i + at),
      );
    }
  });

  storeTest(`${name} watch: history has previous states too`, open, async (store) => {
    await put(store, "/w/a", { value: "1" });
    const from = await put(store, "/w/a", { value: "2" });
    await remove(store, "/w/a");
    await put(store, "/w/a", { value: "3" });
    const events = await record(store, { start: "/w/a", fromRevision: from }).have(3);
    assert.deepEqual(events.map(brief), ["put /w/a=2", "delete /w/a", "put /w/a=3"]);
    assert.deepEqual(
      events.map(({ previous }) => text(previous)),
      ["1", "2", undefined],
    );
    assert.deepEqual(
      events.map(({ item }) => item.version),
      [2, 0, 1],
    );
  });

  storeTest(`${name} watch: a transaction's events are never split`, open, async (store) => {
    const first = store.revision() + 1;
    const live = record(store, { start: "/t/", end: "/t0" });
    const write = (i: number) =>
      store.transact({
        compare: [],
        operations: ["a", "b", "c"].map((key) => ({ type: "put", key: `/t/${key}`, value: new Uint8Array([i]) })),
      });
    await Promise.all(Array.from({ length: 40 }, (_, i) => write(i)));
    const late = record(store, { start: "/t/", end: "/t0", fromRevision: first });
    for (const watch of [live, late]) {
      const events = await watch.have(120);
      assert.deepEqual(
        events.slice(0, 3).map(({ item }) => item.key),
        ["/t/a", "/t/b", "/t/c"],
      );
      let seen = first - 1;
      for (const { revision, revisions } of watch.calls) {
        assert.ok(revision >= revisions.at(-1)!, "the call's revision covers its events");
        assert.ok(revisions[0]! > seen, "a revision is in one call only");
        assert.equal(revisions.length % 3, 0);
        seen = revision;
      }
    }
  });

  storeTest(`${name} watch: from a revision in the future`, open, async (store) => {
    const watch = record(store, { start: "/w/a", fromRevision: store.revision() + 2 });
    await put(store, "/w/a", { value: "too early" });
    await put(store, "/w/a", { value: "on time" });
    assert.deepEqual((await watch.have(1)).map(brief), ["put /w/a=on time"]);
  });

  storeTest(`${name} watch: ranges may overlap, and cancelling ends one only`, open, async (store) => {
    const all = record(store, { start: "/", end: "0" });
    const wide = record(store, { start: "/w/", end: "/w0" });
    const narrow = record(store, { start: "/w/b/", end: "/w/b0" });
    const cancelled = record(store, { start: "/w/", end: "/w0" });
    await put(store, "/w/b/1");
    await cancelled.have(1);
    cancelled.cancel();
    cancelled.cancel();
    await put(store, "/w/c");
    await put(store, "/z");
    await put(store, "/w/b/2");
    assert.deepEqual(
      (await all.have(4)).map(({ item }) => item.key),
      ["/w/b/1", "/w/c", "/z", "/w/b/2"],
    );
    assert.deepEqual(
      (await wide.have(3)).map(({ item }) => item.key),
      ["/w/b/1", "/w/c", "/w/b/2"],
    );
    assert.deepEqual(
      (await narrow.have(2)).map(({ item }) => item.key),
      ["/w/b/1", "/w/b/2"],
    );
    assert.equal(cancelled.events.length, 1);
  });

  storeTest(`${name} watch: ends when the store closes`, open, async (store) => {
    const watch = record(store, { start: "/a" });
    await store.close();
    assert.ok(failure("closed")(await watch.ended));
  });
}
