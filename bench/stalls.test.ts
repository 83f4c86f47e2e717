import assert from "node:assert/strict";
import { test } from "node:test";
import { measureStalls } from "./stalls.ts";

test("bench: stalls are measured, and each request gets the answer that it should", async () => {
  const stalls = await measureStalls({ pods: 30, bodyBytes: 60_000 });
  const statuses = new Map(stalls.map(({ name, status }) => [name, status]));
  for (const { name, status } of stalls) assert.ok(status >= 200 && status < 500, `${name}: ${status}`);
  assert.equal(statuses.get("body too large"), 413);
  assert.equal(statuses.get("JSON, many keys"), 201);
  assert.equal(statuses.get("YAML, many keys"), 201);
  assert.equal(statuses.get("list, YAML"), 200);
  assert.equal(statuses.get("YAML, nested"), 400);
});
