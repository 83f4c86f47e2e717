import assert from "node:assert/strict";
import { test } from "node:test";
import { compareKeys, Entry, entryAsOf, KeyIndex } from "./key-index.ts";

const entry = (key: string, modRevision = 1, before?: Entry, version = 1): Entry =>
  new Entry({ key, modRevision, slot: 0, createRevision: 1, version, lease: 0, before });

test("KeyIndex: stays in order through inserts and removals anywhere", () => {
  const index = new KeyIndex();
  const expected = new Set<string>();
  for (let i = 0; i < 5000; i++) {
    const key = `/k/${(i * 7919) % 3001}`;
    if (i % 3 === 2) {
      index.remove(key);
      expected.delete(key);
    } else {
      index.set(entry(key, i));
      expected.add(key);
    }
  }
  const sorted = [...expected].sort();
  assert.equal(index.size, sorted.length);
  assert.deepEqual(
    [...index.range("", "\uffff")].map(({ key }) => key),
    sorted,
  );
  for (const [start, end] of [
    ["/k/1", "/k/2"],
    ["/k/2", "/k/1"],
    ["/k/25", "/k/25\0"],
    ["a", "b"],
    ["", "/k/1000"],
  ] as const) {
    const inRange = sorted.filter((key) => key >= start && key < end);
    assert.deepEqual(
      [...index.range(start, end)].map(({ key }) => key),
      inRange,
    );
    assert.equal(index.count(start, end), inRange.length);
  }
  for (const key of sorted) index.remove(key);
  assert.deepEqual([index.size, [...index.range("", "\uffff")]], [0, []]);
});

test("KeyIndex: keys that come in order fill their blocks", () => {
  const index = new KeyIndex();
  for (let i = 0; i < 2000; i++) index.set(entry(`/k/${String(i).padStart(6, "0")}`));
  assert.equal(index.count("/k/000100", "/k/001900"), 1800);
  assert.equal(index.get("/k/000255")?.key, "/k/000255");
  assert.equal(index.get("/k/000255x"), undefined);
});

test("entryAsOf: finds the durable state behind pending ones", () => {
  const durable = entry("/a", 5);
  const deleted = entry("/a", 7, durable, 0);
  const again = entry("/a", 8, deleted);
  assert.equal(entryAsOf(again, 8), again);
  assert.equal(entryAsOf(again, 7), undefined);
  assert.equal(entryAsOf(again, 6), durable);
  assert.equal(entryAsOf(entry("/b", 9), 8), undefined);
});

test("compareKeys: by bytes of UTF-8", () => {
  const keys = ["", "/", "/a", "/a\0", "/a/", "/b", "ä", "\ud7ff", "\uffee", "\u{10000}", "\u{10ffff}"];
  for (const [i, a] of keys.entries()) {
    for (const [j, b] of keys.entries()) {
      assert.equal(Math.sign(compareKeys(a, b)), Math.sign(i - j), `${a} and ${b}`);
      assert.equal(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))), Math.sign(i - j));
    }
  }
});
