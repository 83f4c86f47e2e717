import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock, silentLogger } from "#base";
import { createEnforcer } from "./policy-enforcer.ts";
import { addressOf, casePod, casePolicy } from "./test-cases.ts";
import { createTestNft } from "./test-nft.ts";

function start() {
  const clock = new FakeClock();
  const nft = createTestNft();
  const scripts: string[] = [];
  const state = { refuse: false };
  const enforcer = createEnforcer({
    nodeName: "n1",
    families: ["IPv4"],
    bridge: "br0",
    apply: async (script) => {
      scripts.push(script);
      if (state.refuse) throw new Error("no");
      nft.apply(script);
    },
    clock,
    log: silentLogger,
  });
  enforcer.setNamespace("x", {});
  enforcer.setPod(casePod("x/a"));
  enforcer.setPolicy(casePolicy("x/deny", { podSelector: {} }));
  return { clock, nft, scripts, state, enforcer };
}
const packet = { hook: "forward", from: "192.0.2.1", to: addressOf("x/a"), protocol: "tcp", port: 80 } as const;

test("network policy: nothing is committed before all is known, then all at once", async () => {
  const { scripts, enforcer, nft } = start();
  await enforcer.settled();
  assert.deepEqual(scripts, []);
  enforcer.begin();
  await enforcer.settled();
  assert.equal(scripts.length, 1);
  assert.equal(nft.judge(packet), false);
  await enforcer.close();
});

test("network policy: a refused transaction is followed by a whole new table", async () => {
  const { scripts, enforcer, nft, state, clock } = start();
  enforcer.begin();
  await enforcer.settled();
  state.refuse = true;
  enforcer.setPolicy(casePolicy("x/deny", { podSelector: {}, ingress: [{}] }));
  await enforcer.settled();
  assert.equal(nft.judge(packet), false, "as before");
  state.refuse = false;
  enforcer.setPod(casePod("x/b"));
  await enforcer.settled();
  assert.match(scripts.at(-1) ?? "", /^add table inet sampan-policy\ndelete table/);
  assert.equal(nft.judge(packet), true);
  state.refuse = true;
  enforcer.removePod(casePod("x/b"));
  await enforcer.settled();
  state.refuse = false;
  const before = scripts.length;
  clock.advance(1_000);
  await enforcer.settled();
  assert.equal(scripts.length, before + 1, "tried again without a change");
  await enforcer.close();
});

test("network policy: a table that somebody removed is found missing and made anew", async () => {
  const { enforcer, nft, clock } = start();
  enforcer.begin();
  await enforcer.settled();
  nft.apply("delete table inet sampan-policy\n");
  assert.equal(nft.judge(packet), true);
  clock.advance(30_000);
  await enforcer.settled();
  assert.equal(nft.judge(packet), false);
  await enforcer.close();
});

test("network policy: a burst of changes is one transaction", async () => {
  const { scripts, enforcer } = start();
  enforcer.begin();
  await enforcer.settled();
  for (let at = 0; at < 100; at++)
    enforcer.setPolicy(casePolicy("x/deny", { podSelector: {}, ingress: [{ ports: [{ port: at + 1 }] }] }));
  await enforcer.settled();
  assert.equal(scripts.length, 2);
  assert.match(scripts[1] ?? "", /tcp dport 100 accept/);
  await enforcer.close();
});
