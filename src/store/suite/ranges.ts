import assert from "node:assert/strict";
import type { Store } from "../store.ts";
import { failure, get, type OpenStore, put, remove, storeTest, text } from "./fixture.ts";

export function rangeSuite(name: string, open: OpenStore): void {
  storeTest(`${name} range: keys in order, the end excluded`, open, async (store) => {
    for (const key of ["/b/2", "/a", "/b/1", "/c", "/b/10", "/b"]) await put(store, key);
    assert.deepEqual(await keys(store, "/b/", "/b0"), ["/b/1", "/b/10", "/b/2"]);
    assert.deepEqual(await keys(store, "/b/1", "/b/2"), ["/b/1", "/b/10"]);
    assert.deepEqual(await keys(store, "/b"), ["/b"]);
    assert.deepEqual(await keys(store, "/d", "/e"), []);
    assert.deepEqual(await keys(store, "/c", "/a"), [], "an end before the start is an empty range");
  });

  storeTest(`${name} range: order is by bytes of UTF-8`, open, async (store) => {
    const names = ["z", "ä", "\u{ffee}", "\u{1f600}"]; // As UTF-16 units the last would come before the third.
    for (const one of names.toReversed()) await put(store, `/o/${one}`);
    assert.deepEqual(
      await keys(store, "/o/", "/o0"),
      names.map((one) => `/o/${one}`),
    );
    assert.deepEqual(await keys(store, "/o/\u{1f600}", "/o0"), ["/o/\u{1f600}"]);
  });

  storeTest(`${name} range: limit, more and count`, open, async (store) => {
    for (let i = 0; i < 7; i++) await put(store, `/k/${i}`);
    const page = await store.range({ start: "/k/", end: "/k0", limit: 3 });
    assert.deepEqual([page.items.length, page.more, page.count], [3, true, 7]);
    const exact = await store.range({ start: "/k/", end: "/k0", limit: 7 });
    assert.deepEqual([exact.items.length, exact.more, exact.count], [7, false, 7]);
    const rest = await store.range({ start: "/k/2\0", end: "/k0", limit: 10 });
    assert.deepEqual([rest.items[0]?.key, rest.more, rest.count], ["/k/3", false, 4]);
  });

  storeTest(`${name} range: keys only and count only`, open, async (store) => {
    await put(store, "/k/1", { value: "long" });
    const keysOnly = await store.range({ start: "/k/", end: "/k0", keysOnly: true });
    assert.deepEqual(
      [keysOnly.items[0]?.key, keysOnly.items[0]?.value.length, keysOnly.items[0]?.version],
      ["/k/1", 0, 1],
    );
    const counted = await store.range({ start: "/k/", end: "/k0", countOnly: true });
    assert.deepEqual([counted.items, counted.count], [[], 1]);
  });

  storeTest(`${name} range: an old revision shows what was there then`, open, async (store) => {
    await put(store, "/k/a", { value: "1" });
    const then = await put(store, "/k/b", { value: "1" });
    await put(store, "/k/a", { value: "2" });
    await remove(store, "/k/b");
    await put(store, "/k/c", { value: "1" });
    await put(store, "/k/b", { value: "2" });
    const old = await store.range({ start: "/k/", end: "/k0", revision: then });
    assert.deepEqual(
      old.items.map((item) => `${item.key}=${text(item)}`),
      ["/k/a=1", "/k/b=1"],
    );
    assert.deepEqual([old.count, old.revision], [2, store.revision()]);
    const page = await store.range({ start: "/k/", end: "/k0", revision: then, limit: 1 });
    assert.deepEqual([page.items.length, page.more, page.count], [1, true, 2]);
    const counted = await store.range({ start: "/k/", end: "/k0", revision: then, countOnly: true });
    assert.deepEqual([counted.items.length, counted.count], [0, 2]);
    assert.equal(await get(store, "/k/c", then), undefined);
    assert.equal((await get(store, "/k/b", store.revision() - 1)) ?? "none", "none");
  });

  storeTest(`${name} range: a revision that does not exist yet is refused`, open, async (store) => {
    await assert.rejects(store.range({ start: "/a", revision: store.revision() + 1 }), failure("future-revision"));
  });

  storeTest(`${name} range: only what is durable shows, one revision at a time`, open, async (store) => {
    const writes: Promise<number>[] = [];
    for (let i = 0; i < 50; i++) {
      writes.push(put(store, "/x", { value: String(i) }), put(store, `/y/${i}`), remove(store, `/y/${i - 1}`));
      const [x, y] = await Promise.all([store.range({ start: "/x" }), store.range({ start: "/y/", end: "/y0" })]);
      for (const { items, revision, count } of [x, y]) {
        for (const item of items)
          assert.ok(item.modRevision <= revision, `${item.key} at ${item.modRevision}, read at ${revision}`);
        assert.equal(count, items.length);
      }
      assert.ok(y.count <= 2, "a key and at most the one that replaces it");
    }
    await Promise.all(writes);
    assert.deepEqual(await keys(store, "/y/", "/y0"), ["/y/49"]);
  });

  storeTest(`${name} range: a large one is one state, while writes go on`, open, async (store) => {
    await Promise.all(Array.from({ length: 3000 }, (_, i) => put(store, `/k/${i}`, { value: "x".repeat(2000) })));
    const before = store.revision();
    const reading = store.range({ start: "/k/", end: "/k0" });
    const writing = Promise.all(
      Array.from({ length: 300 }, (_, i) => (i % 2 ? put(store, `/k/${i}`) : remove(store, `/k/${i}`))),
    );
    const { items, count } = await reading;
    await writing;
    assert.equal(items.length, 3000);
    assert.equal(count, 3000);
    assert.ok(items.every(({ modRevision, value }) => modRevision <= before && value.length === 2000));
    const old = await store.range({ start: "/k/", end: "/k0", revision: before });
    assert.deepEqual(old.items, items);
    const size = await store.size();
    assert.equal(size.keys, 2850);
    assert.ok(size.bytes > 3000 * 2000);
  });
}

async function keys(store: Store, start: string, end?: string): Promise<string[]> {
  const { items } = await store.range(end === undefined ? { start } : { start, end });
  return items.map(({ key }) => key);
}
