import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

test("bench: the kind of pods is measured", () => {
  const output = execFileSync(process.execPath, [join(import.meta.dirname, "pod-kind.ts"), "--tiny"], {
    encoding: "utf8",
  });
  assert.match(output, /create +\d+\.\d µs\nupdate +\d+\.\d µs/);
});
