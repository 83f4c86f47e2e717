import assert from "node:assert/strict";
import { brief, failure, get, type OpenStore, put, record, remove, storeTest, text } from "./fixture.ts";

export function compactionSuite(name: string, open: OpenStore): void {
  storeTest(`${name} compaction: older revisions are gone, this one and later ones are whole`, open, async (store) => {
    await put(store, "/k/a", { value: "1" });
    await put(store, "/k/gone", { value: "1" });
    await remove(store, "/k/gone");
    const before = await put(store, "/k/a", { value: "2" });
    const kept = await put(store, "/k/b", { value: "1" });
    await put(store, "/k/a", { value: "3" });
    await remove(store, "/k/b");
    await store.compact(kept);

    await assert.rejects(store.range({ start: "/k/a", revision: before }), failure("compacted"));
    const old = await store.range({ start: "/k/", end: "/k0", revision: kept });
    assert.deepEqual(
      old.items.map((item) => `${item.key}=${text(item)}`),
      ["/k/a=2", "/k/b=1"],
    );
    assert.deepEqual((await store.range({ start: "/k/", end: "/k0" })).items.map(text), ["3"]);
    const events = await record(store, { start: "/k/", end: "/k0", fromRevision: kept }).have(3);
    assert.deepEqual(events.map(brief), ["put /k/b=1", "put /k/a=3", "delete /k/b"]);
    assert.equal(text(events[1]?.previous), "2");
    const late = record(store, { start: "/k/", end: "/k0", fromRevision: before });
    assert.ok(failure("compacted")(await late.ended));
    assert.equal((await store.size()).oldestRevision, kept);
  });

  storeTest(`${name} compaction: an event at the compacted revision is still told`, open, async (store) => {
    await put(store, "/k", { value: "1" });
    const changed = await put(store, "/k", { value: "2" });
    await store.compact(changed);
    const [event] = await record(store, { start: "/k", fromRevision: changed }).have(1);
    assert.equal(brief(event!), "put /k=2");
    const deleted = await remove(store, "/k");
    await store.compact(deleted);
    const [deletion] = await record(store, { start: "/k", fromRevision: deleted }).have(1);
    assert.deepEqual([brief(deletion!), text(deletion?.previous)], ["delete /k", "2"]);
  });

  storeTest(`${name} compaction: twice or in the future is refused`, open, async (store) => {
    const revision = await put(store, "/a");
    await store.compact(revision);
    await assert.rejects(store.compact(revision), failure("compacted"));
    await assert.rejects(store.compact(revision - 1), failure("compacted"));
    await assert.rejects(store.compact(revision + 1), failure("future-revision"));
    assert.equal(text(await get(store, "/a", revision)), "/a");
  });

  storeTest(
    `${name} compaction: under load nothing current is lost, and it survives a restart`,
    open,
    async (store, { reopen }) => {
      const expected = new Map<string, string>();
      for (let round = 0; round < 5; round++) {
        const writes = Array.from({ length: 200 }, (_, i) => {
          const key = `/k/${i % 50}`;
          const isRemoval = (i + round) % 9 === 0;
          const value = `${round}-${i}`;
          if (isRemoval) expected.delete(key);
          else expected.set(key, value);
          return isRemoval ? remove(store, key) : put(store, key, { value });
        });
        const compaction = store.compact(store.revision());
        await Promise.all([...writes, compaction]);
      }
      await store.compact(store.revision() - 3);
      const oldest = store.revision() - 3;
      const check = async (one: typeof store) => {
        const { items } = await one.range({ start: "/k/", end: "/k0" });
        const found = new Map(items.map((item) => [item.key, text(item)]));
        assert.deepEqual(found, new Map([...expected].sort(([a], [b]) => (a < b ? -1 : 1))));
        await assert.rejects(one.range({ start: "/k/1", revision: oldest - 1 }), failure("compacted"));
        await one.range({ start: "/k/1", revision: oldest });
      };
      await check(store);
      if (!reopen) return;
      const revision = store.revision();
      const again = await reopen();
      assert.equal(again.revision(), revision);
      await check(again);
    },
  );

  storeTest(
    `${name} compaction: everything deleted and compacted, the revision stays`,
    open,
    async (store, { reopen }) => {
      await put(store, "/a");
      const deleted = await remove(store, "/a");
      await store.compact(deleted);
      const again = reopen ? await reopen() : store;
      assert.equal(again.revision(), deleted);
      assert.equal(await put(again, "/a", { at: 0 }), deleted + 1);
    },
  );
}
