import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { insideNamespace, runInNamespace, whyNoNamespaces } from "#testing";
import { nftProblem } from "./problem.ts";

for (const [name, script, want] of [
  [
    "too old",
    'echo "nftables v0.9.8 (E.D.S.)"',
    /^found nft 0\.9\.8: want nft 1\.0\.1 or later \(Debian package nftables\)$/,
  ],
  ["something else", "echo hello", /--version printed "hello\\n": want nft 1\.0\.1/],
  [
    "without rights",
    '[ "$1" = --version ] && echo "nftables v1.1.0" || { echo "Error: Operation not permitted" >&2; exit 1; }',
    /^the kernel refuses the proxy's rules for IPv4: not permitted \(want CAP_NET_ADMIN\)$/,
  ],
] as const)
  test(`nft: ${name}`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "nft-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const program = join(folder, "nft");
    writeFileSync(program, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    assert.match((await nftProblem(program)) ?? "", want);
  });

test("nft: not installed", async () => {
  assert.match(
    (await nftProblem("/nowhere/nft")) ?? "",
    /^cannot run \/nowhere\/nft \(not installed\): want nft 1\.0\.1 or later \(Debian package nftables\)$/,
  );
});

if (!insideNamespace)
  test("nft: in a namespace", { skip: whyNoNamespaces() ?? false }, () => runInNamespace(import.meta.filename));
else
  test("nft: the machine's own will do", async () => {
    assert.equal(await nftProblem(), undefined);
  });
