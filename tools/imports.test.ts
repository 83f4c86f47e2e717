import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { checkImports } from "./imports.ts";

test("imports: the tree holds the table", () => {
  assert.deepEqual(checkImports(path.resolve(import.meta.dirname, "..")), []);
});

test("imports: forbidden areas, private files and cycles are found", (t) => {
  const root = mkdtempSync(path.join(tmpdir(), "imports-"));
  t.after(() => rmSync(root, { recursive: true }));
  const files = {
    "src/base/mod.ts": 'import type { A } from "#store";\n',
    "src/store/mod.ts": 'export type { A } from "./a.ts";\n',
    "src/store/a.ts": 'import { b } from "./b.ts";\n',
    "src/store/b.ts":
      'import type { A } from "./a.ts";\nimport "../base/mod.ts";\nimport { x } from "../base/mod.ts";\n',
  };
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.join(root, path.dirname(file)), { recursive: true });
    writeFileSync(path.join(root, file), text);
  }
  const offences = checkImports(root);
  assert.ok(offences.includes("src/base/mod.ts: base may not import store"));
  assert.ok(offences.includes("src/store/b.ts: imports ../base/mod.ts of another area; use #base"));
  assert.ok(offences.some((offence) => offence.startsWith("cycle: ")));
});
