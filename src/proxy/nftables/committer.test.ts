/** What the committer does when the kernel refuses something, with a kernel that is a function; see random.test.ts for a real one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { proxySettings } from "../settings.ts";
import { contextOf } from "../core/context.ts";
import { emptyFragment, type Fragment } from "../core/fragment.ts";
import { type Change, type Contexts, createCommitter } from "./committer.ts";

const facts = { nodeName: "n1", zone: "", addresses: [], podCidrs: [], serviceCidrs: [] };
const contexts: Contexts = {
  IPv4: contextOf("IPv4", proxySettings(), facts),
  IPv6: contextOf("IPv6", proxySettings(), facts),
};
const fragment = (elements: Record<string, string>): Fragment => ({
  ...emptyFragment,
  elements: new Map(Object.entries(elements)),
});
const change = (name: string, elements: Record<string, string>, rank = ""): Change => ({
  owner: { name, rank },
  fragments: { IPv4: Object.keys(elements).length > 0 ? fragment(elements) : emptyFragment, IPv6: emptyFragment },
});

/** A kernel that refuses what `refuses` says, and remembers the rest. */
function start(refuses: (script: string) => boolean = () => false) {
  const scripts: string[] = [];
  const kernel = { refuses, attempts: 0, scripts };
  const committer = createCommitter(async (script) => {
    kernel.attempts++;
    if (kernel.refuses(script)) throw new Error("refused");
    scripts.push(script);
  });
  return { kernel, committer, commit: (...changes: Change[]) => committer.commit(changes, contexts) };
}
const isWhole = (script: string) => script.includes("delete table ip sampan-proxy");

test("committer: the first commit makes the table, the next only what differs, an equal one nothing", async () => {
  const { kernel, commit } = start();
  assert.equal((await commit(change("a", { "cluster-ips 10.0.0.1": "" }))).kind, "full");
  assert.equal((await commit(change("b", { "cluster-ips 10.0.0.2": "" }))).kind, "partial");
  assert.equal(kernel.scripts.at(-1), "add element ip sampan-proxy cluster-ips { 10.0.0.2 }\n");
  assert.equal((await commit(change("b", { "cluster-ips 10.0.0.2": "" }))).kind, "none");
  await commit(change("a", {}));
  assert.equal(kernel.scripts.at(-1), "delete element ip sampan-proxy cluster-ips { 10.0.0.1 }\n");
});

test("committer: one address that moves between services in a transaction is replaced, not added twice", async () => {
  const { kernel, commit } = start();
  await commit(change("a", { "service-ips 10.0.0.1 . tcp . 80": "goto spread-1" }));
  await commit(change("b", { "service-ips 10.0.0.1 . tcp . 80": "goto spread-2" }), change("a", {}));
  assert.equal(
    kernel.scripts.at(-1),
    "delete element ip sampan-proxy service-ips { 10.0.0.1 . tcp . 80 : goto spread-1 }\n" +
      "add element ip sampan-proxy service-ips { 10.0.0.1 . tcp . 80 : goto spread-2 }\n",
  );
});

test("committer: of services that want the same address the older one has it, then the next, in any order of events", async () => {
  const key = "service-ips 10.0.0.1 . tcp . 80";
  const { kernel, commit } = start();
  await commit(change("young", { [key]: "goto young" }, "2026-02"), change("late", { [key]: "goto late" }, "2026-03"));
  assert.match(kernel.scripts.at(-1) ?? "", /goto young/);
  await commit(change("old", { [key]: "goto old" }, "2026-01"));
  assert.match(kernel.scripts.at(-1) ?? "", /delete .* goto young .*\nadd .* goto old /);
  await commit(change("young", { [key]: "goto younger" }, "2026-02"));
  assert.equal(kernel.scripts.length, 2, "whoever hasn't got it changes nothing");
  await commit(change("old", {}, "2026-01"));
  assert.match(kernel.scripts.at(-1) ?? "", /delete .* goto old .*\nadd .* goto younger /);
  await commit(change("young", {}, "2026-02"), change("late", {}, "2026-03"));
  assert.match(kernel.scripts.at(-1) ?? "", /^delete .* goto younger \}\n$/);
});

test("committer: what somebody else did to the table is put right by making it anew", async () => {
  const { kernel, commit } = start();
  await commit(change("a", { "cluster-ips 10.0.0.1": "" }));
  kernel.refuses = (script) => !isWhole(script);
  const { kind, refused, error } = await commit(change("a", {}), change("b", { "cluster-ips 10.0.0.2": "" }));
  assert.deepEqual([kind, refused, (error as Error).message], ["full", [], "refused"]);
  assert.match(kernel.scripts.at(-1) ?? "", /cluster-ips \{ 10\.0\.0\.2 \}/);
});

for (const [when, first] of [
  ["in a running table", true],
  ["at the start", false],
] as const)
  test(`committer: a service that is refused ${when} holds up no other, and stays as it was`, async () => {
    const { kernel, commit } = start();
    if (first) await commit(change("bad", { "cluster-ips 10.0.0.1": "" }));
    kernel.refuses = (script) => script.includes("10.6.6.6");
    const changes = Array.from({ length: 100 }, (_, at) => change(`s${at}`, { [`cluster-ips 10.1.0.${at}`]: "" }));
    changes.splice(42, 0, change("bad", { "cluster-ips 10.6.6.6": "" }));
    const { refused } = await commit(...changes);
    assert.deepEqual(
      refused.map(({ change: { owner } }) => owner.name),
      ["bad"],
    );
    const all = kernel.scripts.join("");
    for (let at = 0; at < 100; at++) assert.ok(all.includes(`10.1.0.${at}`));
    assert.ok(kernel.attempts < 25, `${kernel.attempts} attempts`);
    kernel.refuses = () => false;
    await commit(change("bad", { "cluster-ips 10.0.0.9": "" }));
    const removed = first ? "delete element ip sampan-proxy cluster-ips { 10.0.0.1 }\n" : "";
    assert.equal(kernel.scripts.at(-1), `${removed}add element ip sampan-proxy cluster-ips { 10.0.0.9 }\n`);
  });

test("committer: when nothing works it says so, and takes the same changes again", async () => {
  const { kernel, commit } = start(() => true);
  const changes = [change("a", { "cluster-ips 10.0.0.1": "" }), change("b", { "cluster-ips 10.0.0.2": "" })];
  await assert.rejects(commit(...changes), /refused/);
  assert.ok(kernel.attempts <= 2, "without halving");
  kernel.refuses = () => false;
  assert.deepEqual((await commit(...changes)).kind, "full");
  assert.match(kernel.scripts.at(-1) ?? "", /cluster-ips \{ 10\.0\.0\.1, 10\.0\.0\.2 \}/);
});
