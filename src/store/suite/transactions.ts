import assert from "node:assert/strict";
import { bytes, failure, get, type OpenStore, put, remove, storeTest, text } from "./fixture.ts";

export function transactionSuite(name: string, open: OpenStore): void {
  storeTest(`${name} transaction: each write takes the next revision`, open, async (store) => {
    const first = store.revision();
    assert.ok(first >= 1, "0 means any revision, so an empty store is at 1");
    assert.equal(await put(store, "/a"), first + 1);
    assert.equal(await put(store, "/b"), first + 2);
    assert.equal(await remove(store, "/a"), first + 3);
    assert.equal(store.revision(), first + 3);
  });

  storeTest(`${name} transaction: create and mod revision and version follow the key's life`, open, async (store) => {
    const created = await put(store, "/a", { value: "1" });
    const changed = await put(store, "/a", { value: "2" });
    const state = await get(store, "/a");
    assert.deepEqual(
      [state?.createRevision, state?.modRevision, state?.version, state?.lease, text(state)],
      [created, changed, 2, 0, "2"],
    );
    await remove(store, "/a");
    assert.equal(await get(store, "/a"), undefined);
    const again = await put(store, "/a");
    const reborn = await get(store, "/a");
    assert.deepEqual([reborn?.createRevision, reborn?.modRevision, reborn?.version], [again, again, 1]);
  });

  storeTest(`${name} transaction: compares decide all or nothing`, open, async (store) => {
    const revision = await put(store, "/a", { at: 0 });
    const operations = [
      { type: "put", key: "/a", value: bytes("new") },
      { type: "put", key: "/b", value: bytes("new") },
    ] as const;
    const compare = [
      { key: "/a", modRevision: revision },
      { key: "/b", modRevision: revision },
    ];
    const failed = await store.transact({ compare, operations });
    assert.ok(!failed.succeeded);
    assert.deepEqual(failed.current.map(text), ["/a", undefined]);
    assert.equal(store.revision(), revision, "a failed transaction takes no revision");
    assert.equal(text(await get(store, "/a")), "/a");

    const done = await store.transact({
      compare: [
        { key: "/a", modRevision: revision },
        { key: "/b", modRevision: 0 },
      ],
      operations,
    });
    assert.ok(done.succeeded);
    assert.deepEqual(done.previous.map(text), ["/a", undefined]);
    const items = await Promise.all([get(store, "/a"), get(store, "/b")]);
    assert.deepEqual(
      items.map((item) => item?.modRevision),
      [done.revision, done.revision],
      "all keys of a transaction have its revision",
    );
  });

  storeTest(`${name} transaction: of many at once that expect the same state, one wins`, open, async (store) => {
    const before = await put(store, "/counter", { value: "0" });
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        store.transact({
          compare: [{ key: "/counter", modRevision: before }],
          operations: [{ type: "put", key: "/counter", value: bytes(String(i)) }],
        }),
      ),
    );
    const winners = results.filter(({ succeeded }) => succeeded);
    assert.equal(winners.length, 1);
    for (const result of results) {
      if (!result.succeeded)
        assert.equal(result.current[0]?.modRevision, winners[0]?.revision, "losers see the winner's state");
    }
  });

  storeTest(`${name} transaction: those sent together see each other in order`, open, async (store) => {
    const base = store.revision();
    const [created, changed, deleted, recreated] = await Promise.all([
      put(store, "/a", { value: "1" }),
      put(store, "/a", { value: "2", at: base + 1 }),
      remove(store, "/a"),
      put(store, "/a", { value: "3", at: 0 }),
    ]);
    assert.deepEqual([created, changed, deleted, recreated], [base + 1, base + 2, base + 3, base + 4]);
    assert.equal((await get(store, "/a"))?.version, 1);
    assert.equal((await get(store, "/a", base + 2))?.version, 2);
  });

  storeTest(`${name} transaction: one that changes nothing takes no revision`, open, async (store) => {
    const revision = await put(store, "/a");
    assert.equal(await remove(store, "/missing"), revision);
    const empty = await store.transact({ compare: [{ key: "/a", modRevision: revision }], operations: [] });
    assert.deepEqual(empty, { succeeded: true, revision, previous: [] });
    const result = await store.transact({
      compare: [],
      operations: [
        { type: "delete", key: "/a" },
        { type: "delete", key: "/no" },
      ],
    });
    assert.ok(result.succeeded);
    assert.deepEqual([result.revision, ...result.previous.map(text)], [revision + 1, "/a", undefined]);
  });

  storeTest(`${name} transaction: writing a key twice is refused`, open, async (store) => {
    const operations = [
      { type: "put", key: "/a", value: bytes("1") },
      { type: "delete", key: "/a" },
    ] as const;
    await assert.rejects(store.transact({ compare: [], operations }));
    assert.equal(await get(store, "/a"), undefined);
  });

  storeTest(`${name} transaction: a value above 1.5 MiB is refused, one just below is kept`, open, async (store) => {
    const large = new Uint8Array(1.5 * 1024 * 1024);
    const write = (value: Uint8Array) =>
      store.transact({ compare: [], operations: [{ type: "put", key: "/large", value }] });
    await assert.rejects(write(large), failure("too-large"));
    const kept = large.subarray(1024).fill(7);
    await write(kept);
    assert.deepEqual((await get(store, "/large"))?.value, kept);
  });

  storeTest(`${name} transaction: values are bytes, empty ones and unusual keys too`, open, async (store) => {
    const value = Uint8Array.from({ length: 256 }, (_, i) => i);
    await store.transact({ compare: [], operations: [{ type: "put", key: "/bytes", value }] });
    assert.deepEqual((await get(store, "/bytes"))?.value, value);
    await put(store, "/empty", { value: "" });
    assert.equal((await get(store, "/empty"))?.value.length, 0);
    for (const key of ["/ü/日本", "/smile/\u{1f600}", "/nul/\0x", "/'--", "/%_"]) {
      await put(store, key);
      assert.equal(text(await get(store, key)), key);
    }
  });

  storeTest(
    `${name} close: what was answered is still there, and use after it is refused`,
    open,
    async (store, { reopen }) => {
      const revision = await put(store, "/a", { value: "kept" });
      const late = put(store, "/b");
      await store.close();
      assert.equal(await late, revision + 1, "writes under way are finished");
      await store.close();
      await assert.rejects(put(store, "/c"), failure("closed"));
      await assert.rejects(store.range({ start: "/a" }), failure("closed"));
      if (!reopen) return;
      const again = await reopen();
      assert.equal(again.revision(), revision + 1);
      assert.equal(text(await get(again, "/a")), "kept");
      assert.equal(await put(again, "/a", { at: revision }), revision + 2);
    },
  );
}
