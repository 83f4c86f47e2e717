import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

test("bench: managed fields are measured", () => {
  const output = execFileSync(process.execPath, [join(import.meta.dirname, "managed-fields.ts"), "--tiny"], {
    encoding: "utf8",
  });
  assert.match(output, /create +\d+\.\d µs/);
  assert.match(output, /apply, the same again +\d+\.\d µs/);
});
