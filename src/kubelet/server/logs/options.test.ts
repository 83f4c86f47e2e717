import assert from "node:assert/strict";
import { test } from "node:test";
import { LogOptionsError, readLogOptions } from "./options.ts";

const now = Date.UTC(2026, 0, 31, 12);
const read = (query: string) => readLogOptions(new URLSearchParams(query), now);
const nothing = {
  follow: false,
  previous: false,
  timestamps: false,
  tailLines: undefined,
  limitBytes: undefined,
  sinceMs: undefined,
  stream: "All",
};

test("log options: what a query says", () => {
  const cases: readonly [string, object][] = [
    ["", {}],
    ["follow=true&previous=1&timestamps=yes", { follow: true, previous: true, timestamps: true }],
    ["follow=false&previous=0&timestamps=", { timestamps: true }],
    ["tailLines=0&limitBytes=5", { tailLines: 0, limitBytes: 5 }],
    ["tail=7", { tailLines: 7 }],
    ["tail=all&tailLines=3", {}],
    ["sinceSeconds=60", { sinceMs: now - 60_000 }],
    ["sinceTime=2026-01-31T11:00:00Z", { sinceMs: now - 3_600_000 }],
    ["stream=Stderr", { stream: "Stderr" }],
    ["unknown=1", {}],
  ];
  for (const [query, expected] of cases) assert.deepEqual(read(query), { ...nothing, ...expected }, query);
});

test("log options: refused as upstream does", () => {
  const cases: readonly [string, number][] = [
    ["tailLines=x", 400],
    ["sinceTime=today", 400],
    ["tailLines=-1", 422],
    ["limitBytes=0", 422],
    ["sinceSeconds=0", 422],
    ["sinceSeconds=1&sinceTime=2026-01-31T11:00:00Z", 422],
    ["stream=stdout", 422],
    ["stream=Stdout&tailLines=1", 422],
  ];
  for (const [query, code] of cases) {
    assert.throws(
      () => read(query),
      (error) => {
        assert.ok(error instanceof LogOptionsError, query);
        assert.equal(error.code, code, query);
        assert.equal(error.message, `{"message": "${code === 400 ? "Unable to decode query." : "Invalid request."}"}`);
        return true;
      },
    );
  }
});
