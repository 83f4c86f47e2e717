import assert from "node:assert/strict";
import { test } from "node:test";
import type { Lease, LeaseCandidate, LeaseSpec } from "#api";
import { formatMicroTime } from "#machinery";
import { ago, testNow } from "../lib/fixture.ts";
import { bestLeader, bestStrategy, electedSpec, owesAnswer, planElection } from "./reconcile.ts";

const at = (seconds: number) => formatMicroTime(testNow - seconds * 1000);
/** Seconds ago. */
interface Times {
  renewed?: number;
  pinged?: number;
  created?: number;
  strategy?: string;
}
function candidate(
  name: string,
  versions: string,
  { renewed = 0, pinged, created = 0, strategy }: Times = {},
): LeaseCandidate {
  const [binaryVersion = "", emulationVersion = ""] = versions.split(" ");
  return {
    metadata: { name, namespace: "ns", creationTimestamp: ago(created) },
    spec: {
      ...{ leaseName: "l", binaryVersion, emulationVersion, strategy: strategy ?? "OldestEmulationVersion" },
      ...{ renewTime: at(renewed), ...(pinged === undefined ? {} : { pingTime: at(pinged) }) },
    },
  };
}
const lease = (spec: LeaseSpec): Lease => ({ metadata: { name: "l", namespace: "ns" }, spec });
const held = (holderIdentity: string, renewed = 1) =>
  lease({ holderIdentity, renewTime: at(renewed), leaseDurationSeconds: 5 });

test("lease candidates: the oldest emulated version leads, then the oldest binary, then the first", () => {
  const cases: [string[], string | undefined][] = [
    [["a 1.20.0 1.20.0", "b 1.20.0 1.19.0", "c 1.19.0 1.19.0", "d 1.20.0 1.19.0"], "c"],
    [["a 1.20.0 1.20.0", "b 1.20.0 1.20.0"], "b"],
    [["a 1.20.0 nonsense", "b 1.21.0 1.21.0"], "b"],
    [["a x y"], undefined],
    [[], undefined],
  ];
  for (const [list, leader] of cases) {
    const all = list.map((each, index) => candidate(each.slice(0, 1), each.slice(2), { created: index }));
    assert.equal(bestLeader(all)?.metadata.name, leader, list.join());
  }
});

test("lease candidates: the newest binary says how is chosen; newest ones that disagree don't", () => {
  const other = { strategy: "foo.com/bar" };
  assert.equal(bestStrategy([candidate("a", "1.20.0 1.20.0"), candidate("b", "1.21.0 1.20.0", other)]), "foo.com/bar");
  assert.throws(
    () => bestStrategy([candidate("a", "1.20.0 1.20.0"), candidate("b", "1.20.0 1.20.0", other)]),
    /^Error: candidates "a", "b" at same binary version but received differing strategies OldestEmulationVersion, foo.com\/bar$/,
  );
});

test("lease candidates: who is silent is asked before an election", () => {
  const plan = (candidates: LeaseCandidate[], current?: Lease) => {
    const found = planElection(candidates, current, testNow);
    if (found.type === "ping") return `ping ${found.candidates.map(({ metadata }) => metadata.name).join()}`;
    return found.type === "elect" ? `elect ${found.holder ?? "nobody"}` : "wait";
  };
  const fresh = candidate("a", "1.20.0 1.20.0");
  const silent = candidate("b", "1.19.0 1.19.0", { renewed: 60 });
  assert.equal(plan([]), "wait");
  assert.equal(plan([fresh]), "elect a");
  assert.equal(plan([fresh], held("a")), "wait");
  assert.equal(plan([fresh], held("a", 6)), "elect a");
  assert.equal(plan([fresh], held("")), "elect a");
  assert.equal(plan([fresh, silent], held("a")), "ping b");
  assert.equal(plan([fresh, candidate("b", "1.19.0 1.19.0", { renewed: 60, pinged: 2 })], held("a")), "wait");
  assert.equal(plan([fresh, candidate("b", "1.19.0 1.19.0", { renewed: 60, pinged: 6 })], held("a", 6)), "elect a");
  assert.equal(plan([fresh, candidate("b", "1.19.0 1.19.0", { renewed: 1, pinged: 2 })], held("a")), "elect b");
  assert.equal(plan([candidate("a", "1.20.0 1.20.0", { renewed: 16 * 60 })], held("a")), "ping a");
  assert.equal(plan([candidate("a", "1.20.0 1.20.0", { strategy: "foo.com/bar" })]), "elect nobody");
  assert.equal(plan([candidate("a", "1.20.0 1.20.0", { strategy: "foo.com/bar" })], held("x")), "wait");
  assert.throws(() => plan([candidate("b", "1.19.0 1.19.0", { renewed: 60, pinged: 6 })]), /no available candidates/);
  assert.ok(
    owesAnswer(candidate("a", "", { renewed: 5, pinged: 4 })) && !owesAnswer(candidate("a", "", { pinged: 4 })),
  );
});

test("lease candidates: what becomes of the lease", () => {
  const strategy = "OldestEmulationVersion";
  const time = { now: testNow, at: at(0) };
  const fresh = { strategy, renewTime: at(0), leaseDurationSeconds: 5 };
  const become = (old: LeaseSpec | undefined, holder?: string) => electedSpec(old, { strategy, holder }, time);
  const running = { strategy, holderIdentity: "a", renewTime: at(1), leaseDurationSeconds: 15, acquireTime: at(9) };
  assert.deepEqual(become(undefined, "a"), { ...fresh, holderIdentity: "a" });
  assert.deepEqual(become(undefined), fresh);
  assert.equal(become(running, "a"), undefined);
  assert.deepEqual(become(running, "b"), { ...running, preferredHolder: "b" });
  assert.deepEqual(become({ ...running, renewTime: at(20), preferredHolder: "c" }, "b"), {
    ...fresh,
    holderIdentity: "b",
  });
  assert.deepEqual(become({ ...running, holderIdentity: "" }, "b"), { ...fresh, holderIdentity: "b" });
  assert.deepEqual(become({ ...running, strategy: "foo.com/bar" }, "a"), running);
});
