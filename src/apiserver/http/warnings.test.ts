import assert from "node:assert/strict";
import { test } from "node:test";
import { warningHeaders } from "./warnings.ts";

test("warnings: each once, quoted, in UTF-8, nothing that ends a header", () => {
  assert.deepEqual(warningHeaders(['a "b" \\', "a", "a", "", "c\nd", "é"]), [
    '299 - "a \\"b\\" \\\\"',
    '299 - "a"',
    '299 - "\u00c3\u00a9"',
  ]);
});

test("warnings: too many are cut short, then left out", () => {
  const long = Array.from({ length: 20 }, (_, i) => `${i} ${"x".repeat(400)}`);
  const headers = warningHeaders(long);
  assert.equal(headers.length, 16);
  assert.ok(headers.every((header) => header.length === '299 - ""'.length + 256));
  assert.equal(warningHeaders(long.slice(0, 10)).join("").includes("x".repeat(400)), true);
  // Short ones that were there before it was too much stay.
  const many = Array.from({ length: 100 }, (_, i) => `${i} ${"x".repeat(60)}`);
  assert.ok(warningHeaders(many).length > 64);
});
