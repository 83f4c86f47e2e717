import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { insideNamespace, runInNamespace, whyNoNamespaces } from "#testing";
import { forwardDrops } from "./forward-drops.ts";

const programOf = (name: string) => (name === "nft" ? "nft" : undefined);

if (!insideNamespace)
  test("forwarding: real rules", { skip: whyNoNamespaces() ?? false }, () => runInNamespace(import.meta.filename));
else
  test("forwarding: chains that drop are named, ours and those that accept aren't", async () => {
    assert.deepEqual(await forwardDrops(programOf), []);
    const rules = `table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; } chain INPUT { type filter hook input priority 0; policy drop; } }
      table ip6 filter { chain FORWARD { type filter hook forward priority 0; policy accept; } }
      table inet firewalld { chain filter_FORWARD { type filter hook forward priority 10; policy accept; } }
      table inet sampan-policy { chain forward { type filter hook forward priority 0; policy drop; } }
      table bridge b { chain f { type filter hook forward priority 0; policy drop; } }`;
    execFileSync("nft", ["-f", "-"], { input: rules.replaceAll("} ", "}\n") });
    assert.deepEqual(await forwardDrops(programOf), [
      "table ip filter, chain FORWARD",
      "table inet firewalld, chain filter_FORWARD",
    ]);
    assert.deepEqual(await forwardDrops(() => undefined), []);
  });
