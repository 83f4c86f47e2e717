import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { Store } from "../store.ts";
import { record } from "../suite/fixture.ts";
import { contentOf } from "./kill-content.ts";
import { openSqliteStore } from "./open.ts";
import { scratchFolder } from "./scratch.ts";

const runs = 6;

interface Answered {
  /** Revisions of keys that were created and not deleted. */
  readonly fresh: Map<string, number>;
  readonly deleted: Set<string>;
  /** How far each pair came. */
  readonly pairs: Map<string, number>;
}

test("store: killed under load at any moment, every answered write is there and nothing is torn", {
  timeout: 120_000,
}, async (context) => {
  const folder = scratchFolder();
  context.after(folder.remove);
  const path = join(folder.path, "store.db");
  const answered: Answered = { fresh: new Map(), deleted: new Set(), pairs: new Map() };
  for (let run = 0; run < runs; run++) {
    const answersMax = 1 + Math.floor(Math.random() * 3000);
    context.diagnostic(`run ${run}: killed after ${answersMax} answers`);
    await writeAndKill({ path, run, answersMax, answered });
    const store = await openSqliteStore({ path });
    try {
      await check(store, answered);
    } finally {
      await store.close();
    }
    const db = new DatabaseSync(path, { readOnly: true });
    assert.equal(db.prepare("PRAGMA integrity_check").get()?.integrity_check, "ok");
    db.close();
  }
  assert.ok(answered.fresh.size > 0 && answered.deleted.size > 0 && answered.pairs.size > 0, "the test did something");
});

async function writeAndKill(options: {
  path: string;
  run: number;
  answersMax: number;
  answered: Answered;
}): Promise<void> {
  const { path, run, answersMax, answered } = options;
  const child = spawn(process.execPath, [join(import.meta.dirname, "kill-writer.ts"), path, String(run)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  let answers = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const answer = JSON.parse(line);
    if (answer.fresh) answered.fresh.set(answer.fresh, answer.revision);
    if (answer.deleted) {
      answered.fresh.delete(answer.deleted);
      answered.deleted.add(answer.deleted);
    }
    if (answer.pair) answered.pairs.set(answer.pair, answer.n);
    if (++answers === answersMax) child.kill("SIGKILL"); // What it still said before it died is read to the end.
  }
  const [, signal] = await exited;
  assert.equal(signal, "SIGKILL", "the writer ended by itself");
}

async function check(store: Store, { fresh, deleted, pairs }: Answered): Promise<void> {
  const { items } = await store.range({ start: "/", end: "0" });
  const found = new Map(items.map((item) => [item.key, item]));
  for (const item of items) {
    if (item.key.startsWith("/fresh/")) assert.deepEqual(Buffer.from(item.value), Buffer.from(contentOf(item.key)));
  }
  for (const [key, revision] of fresh) {
    const mayBeDeleted = Number(key.split("-").at(-1)) % 3 === 0; // On disk already, and the answer not said.
    if (!mayBeDeleted || found.has(key)) assert.equal(found.get(key)?.modRevision, revision, `${key} is lost`);
  }
  for (const key of deleted) assert.ok(!found.has(key), `${key} came back`);
  for (const [pair, n] of pairs) {
    const [left, right] = [found.get(`${pair}/left`), found.get(`${pair}/right`)];
    assert.ok(left && right);
    assert.equal(left.modRevision, right.modRevision, "a transaction was torn");
    assert.deepEqual(left.value, right.value);
    assert.ok(Number(new TextDecoder().decode(left.value).split(" ")[0]) >= n, "an answered write is lost");
  }
  const { oldestRevision, keys } = await store.size();
  assert.equal(keys, items.length);
  await checkHistory(store, oldestRevision);
}

/** Every revision since the oldest has its events: none is missing, none was given twice. */
async function checkHistory(store: Store, oldest: number): Promise<void> {
  if (store.revision() <= oldest) return;
  const from = oldest + 1;
  const revisions = new Set<number>();
  const watch = record(store, { start: "/", end: "0", fromRevision: from });
  while (!revisions.has(store.revision())) {
    for (const { item } of await watch.have(watch.events.length + 1)) revisions.add(item.modRevision);
  }
  watch.cancel();
  assert.deepEqual(
    [...revisions],
    Array.from({ length: store.revision() - oldest }, (_, i) => from + i),
  );
}
