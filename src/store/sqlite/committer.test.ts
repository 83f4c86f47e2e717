import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { CommitRow } from "./commit-engine.ts";
import { BatchPacker, unpackRows } from "./commit-message.ts";
import { workerCommitter } from "./committer.ts";
import type { SqliteFailure } from "./errors.ts";
import { scratchFolder } from "./scratch.ts";

test("committer: when its thread ends, the job under way and all later ones fail", async (context) => {
  const folder = scratchFolder();
  context.after(folder.remove);
  const committer = workerCommitter(join(folder.path, "missing", "store.db"), () => undefined);
  const submit = () =>
    new Promise<SqliteFailure | undefined>((resolve) =>
      committer.submit({ kind: "reclaim" }, (failure) => resolve(failure)),
    );
  assert.match((await submit())?.message ?? "", /unable to open database file/);
  assert.match((await submit())?.message ?? "", /unable to open database file/);
  await committer.close();
});

test("BatchPacker: rows survive the way, values of any size beside each other", () => {
  const packer = new BatchPacker();
  const row = (id: number, value: Uint8Array | undefined): CommitRow => {
    return { id, key: `/k/${id}`, previous: id - 1, createRevision: id * 2 ** 40, version: 3, lease: 2 ** 46, value };
  };
  let buffer: Uint8Array = new Uint8Array(0);
  for (const sizes of [[10, undefined, 0, 5], [1_000_000, 3], [1], []]) {
    const rows = sizes.map((size, i) => row(i + 1, size === undefined ? undefined : new Uint8Array(size).fill(i + 1)));
    const request = packer.pack(rows, []);
    assert.ok(request.kind === "write");
    buffer = request.values ?? buffer;
    assert.deepEqual([...unpackRows(request.keys, request.numbers, buffer)], rows);
  }
});
