import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

test("bench: what definitions cost is measured", () => {
  const output = execFileSync(process.execPath, [join(import.meta.dirname, "definitions.ts"), "--tiny"], {
    encoding: "utf8",
  });
  assert.match(output, /20 made .* MB .* kB\s+after a restart .* kB/);
});
