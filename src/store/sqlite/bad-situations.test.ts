import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { Store, StoreError } from "../store.ts";
import { failure, get, put, record } from "../suite/fixture.ts";
import { openSqliteStore } from "./open.ts";
import { openScratchStore, scratchFolder } from "./scratch.ts";

/** Opening must fail: answers with what. */
async function openingFails(path: string): Promise<StoreError> {
  return openSqliteStore({ path }).then(
    async (store) => {
      await store.close();
      throw new Error(`${path} could be opened`);
    },
    (error) => error,
  );
}

/** A store's file with some keys in it, closed. */
async function closedStore(keys = 50): Promise<{ path: string; remove: () => void }> {
  const folder = scratchFolder();
  const path = join(folder.path, "store.db");
  const store = await openSqliteStore({ path });
  for (let i = 0; i < keys; i++) await put(store, `/k/${i}`, { value: "x".repeat(3000) });
  await store.close();
  return { path, remove: folder.remove };
}

test("store open: a file in use is refused, with its holder's name", async (context) => {
  const { store, path, close } = await openScratchStore();
  context.after(close);
  const script = `import { openSqliteStore } from ${JSON.stringify(join(import.meta.dirname, "open.ts"))};
    await openSqliteStore({ path: ${JSON.stringify(path)} }).catch((error) => console.log(JSON.stringify(error.detail)));`;
  const detail = JSON.parse(
    execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" }),
  );
  assert.equal(detail.code, "locked");
  assert.match(detail.holder, new RegExp(`process ${process.pid} on ${hostname()}`));
  assert.ok(failure("locked")(await openingFails(path)), "in the same process too");
  await put(store, "/still/works");
});

test("store open: a file from a later version is refused and left alone", async (context) => {
  const { path, remove: removeFolder } = await closedStore();
  context.after(removeFolder);
  const db = new DatabaseSync(path);
  db.exec("PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE)");
  db.close();
  const before = readFileSync(path);
  const error = await openingFails(path);
  assert.deepEqual(error.detail, { code: "newer-format", path, found: 99, supported: 1 });
  assert.deepEqual(readFileSync(path), before);
});

test("store open: damage is named, whatever it is", async (context) => {
  const cases: Record<string, (path: string) => void> = {
    "not a database": (path) => writeFileSync(path, "this is a text file, and quite a long one at that".repeat(100)),
    "cut off": (path) => truncateSync(path, Math.floor(statSync(path).size / 2 / 8192) * 8192),
    "another program's database": (path) => {
      rmSync(path);
      const db = new DatabaseSync(path);
      db.exec("CREATE TABLE users(name TEXT)");
      db.close();
    },
    "a row lost from the middle": (path) => edit(path, "DELETE FROM revisions WHERE key = '/k/7' AND version = 1"),
    "a page overwritten": (path) => {
      const bytes = readFileSync(path);
      const root = rootPage(path, "revisions");
      bytes.fill(0xee, (root - 1) * 8192, root * 8192);
      writeFileSync(path, bytes);
    },
  };
  for (const [name, damage] of Object.entries(cases)) {
    const { path, remove: removeFolder } = await closedStore();
    context.after(removeFolder);
    const store = await openSqliteStore({ path });
    await put(store, "/k/7", { value: "changed" });
    await store.close();
    damage(path);
    const error = await openingFails(path);
    assert.equal(error.detail?.code, "damaged", `${name}: ${error.message}`);
    assert.match(error.message, /damaged|not a store/);
    assert.ok(error.message.includes(path));
  }
});

test("store range: a value that is missing in the file is damage, not an empty value", async (context) => {
  const { path, remove: removeFolder } = await closedStore();
  context.after(removeFolder);
  edit(path, "DELETE FROM contents WHERE id = (SELECT id FROM revisions WHERE key = '/k/7')");
  const store = await openSqliteStore({ path });
  context.after(() => store.close());
  await assert.rejects(get(store, "/k/7"), failure("damaged"));
  assert.ok(await get(store, "/k/8"), "the rest can be read");
});

test("store open: only the owner may read the files", async (context) => {
  const { store, path, close } = await openScratchStore();
  context.after(close);
  await put(store, "/secret");
  for (const suffix of ["", "-wal", "-lock"]) assert.equal(statSync(path + suffix).mode & 0o077, 0, suffix);
});

const isRoot = process.getuid?.() === 0;
const needsMount = process.platform === "linux" && isRoot ? false : "needs root, to mount a small file system";

test("store: a full disk fails writes and nothing else, and later writes work", {
  skip: needsMount,
}, async (context) => {
  const folder = scratchFolder();
  const mounted = join(folder.path, "small");
  mkdirSync(mounted);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", mounted]);
  context.after(() => {
    execFileSync("umount", ["-l", mounted]);
    folder.remove();
  });
  const path = join(mounted, "store.db");
  let store = await openSqliteStore({ path });
  context.after(() => store.close());
  const ballast = join(dirname(path), "ballast");
  writeFileSync(ballast, new Uint8Array(3 << 20));
  const watch = record(store, { start: "/k/", end: "/k0" });
  const large = "x".repeat(200_000);

  const lease = await store.grantLease(60);
  let kept = await fillUp(store, 0);
  await assert.rejects(put(store, "/k/more", { value: large }), failure("no-space"));
  await assert.rejects(put(store, "/k/more", { value: large, at: 0, lease }), failure("no-space"));
  assert.equal(store.revision(), 1 + watch.events.length, "failed writes take no revision and make no event");
  assert.equal((await store.range({ start: "/k/", end: "/k0" })).items.length, kept, "reads go on");

  truncateSync(ballast, 0); // There is space again.
  const revision = await put(store, "/k/more", { value: large, at: 0, lease });
  assert.equal(revision, 2 + kept);
  await store.revokeLease(lease);
  kept += await fillUp(store, 1);
  await store.close();

  store = await openSqliteStore({ path });
  const { items } = await store.range({ start: "/k/", end: "/k0" });
  assert.equal(items.length, kept, "after a restart on the full disk");
  assert.ok(items.every(({ value }) => value.length === 30_000));
});

/** Writes until the disk is full; answers how many were kept. */
async function fillUp(store: Store, round: number): Promise<number> {
  let done = 0;
  for (;;) {
    const writes = Array.from({ length: 8 }, (_, i) =>
      put(store, `/k/${round}-${done}-${i}`, { value: "x".repeat(30_000) }),
    );
    const results = await Promise.allSettled(writes);
    const failed = results.filter((result) => result.status === "rejected");
    for (const { reason } of failed) assert.ok(failure("no-space")(reason), String(reason));
    done += results.length - failed.length;
    if (failed.length > 0) return done;
  }
}

function edit(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

function rootPage(path: string, table: string): number {
  const db = new DatabaseSync(path, { readOnly: true });
  const root = db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = ?").get(table)?.rootpage;
  db.close();
  return Number(root);
}
