import assert from "node:assert/strict";
import { brief, failure, get, type OpenStore, put, record, storeTest } from "./fixture.ts";

export function leaseSuite(name: string, open: OpenStore): void {
  storeTest(`${name} lease: expiry deletes its keys in one revision`, open, async (store, { passTime }) => {
    const lease = await store.grantLease(10);
    await put(store, "/l/b", { lease });
    const last = await put(store, "/l/a", { lease });
    await put(store, "/l/free");
    assert.equal((await get(store, "/l/a"))?.lease, lease);
    const watch = record(store, { start: "/l/", end: "/l0" });
    await passTime(9_000);
    assert.ok(await get(store, "/l/a"));
    await passTime(2_000);
    const events = await watch.have(2);
    assert.deepEqual(events.map(brief), ["delete /l/a", "delete /l/b"]);
    assert.deepEqual(
      events.map(({ item }) => item.modRevision),
      [last + 2, last + 2],
    );
    assert.ok(await get(store, "/l/free"));
    await assert.rejects(put(store, "/l/c", { lease }), failure("unknown-lease"));
    await assert.rejects(store.keepLeaseAlive(lease), failure("unknown-lease"));
  });

  storeTest(`${name} lease: kept alive it lives on`, open, async (store, { passTime }) => {
    const lease = await store.grantLease(10);
    await put(store, "/l/a", { lease });
    const watch = record(store, { start: "/l/a" });
    for (let i = 0; i < 3; i++) {
      await passTime(8_000);
      await store.keepLeaseAlive(lease);
    }
    assert.ok(await get(store, "/l/a"));
    await passTime(11_000);
    await watch.have(1);
    assert.equal(await get(store, "/l/a"), undefined);
  });

  storeTest(`${name} lease: a key belongs to the lease of its last write`, open, async (store) => {
    const [first, second] = await Promise.all([store.grantLease(60), store.grantLease(60)]);
    assert.notEqual(first, second);
    await put(store, "/l/moved", { lease: first });
    await put(store, "/l/freed", { lease: first });
    await put(store, "/l/kept", { lease: first });
    await put(store, "/l/moved", { lease: second });
    await put(store, "/l/freed");
    await store.revokeLease(first);
    const left = await store.range({ start: "/l/", end: "/l0" });
    assert.deepEqual(
      left.items.map(({ key, lease }) => [key, lease]),
      [
        ["/l/freed", 0],
        ["/l/moved", second],
      ],
    );
    await assert.rejects(store.revokeLease(first), failure("unknown-lease"));
  });

  storeTest(`${name} lease: without keys it takes no revision`, open, async (store) => {
    const revision = store.revision();
    await store.revokeLease(await store.grantLease(60));
    assert.equal(store.revision(), revision);
    await assert.rejects(put(store, "/a", { lease: 12345 }), failure("unknown-lease"));
  });

  storeTest(`${name} lease: survives a restart, with its full time`, open, async (store, { reopen, passTime }) => {
    if (!reopen) return;
    const lease = await store.grantLease(10);
    const gone = await store.grantLease(10);
    await put(store, "/l/a", { lease });
    await store.revokeLease(gone);
    await passTime(9_000);
    const again = await reopen();
    await assert.rejects(again.keepLeaseAlive(gone), failure("unknown-lease"));
    const watch = record(again, { start: "/l/a" });
    await passTime(9_000);
    assert.equal((await get(again, "/l/a"))?.lease, lease);
    await passTime(2_000);
    assert.deepEqual((await watch.have(1)).map(brief), ["delete /l/a"]);
  });
}
