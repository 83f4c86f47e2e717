import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endpoint, EndpointSlice, Node } from "#api";
import { createRandom } from "#testing";
import { type FamilyPlan, TopologyHints, wantsHints, zoneRatios } from "./topology-hints.ts";

const node = (zone: string, cpu: string, change: { labels?: Record<string, string>; ready?: string } = {}): Node => ({
  metadata: {
    name: `in-${zone}`,
    labels: { ...(zone ? { "topology.kubernetes.io/zone": zone } : {}), ...change.labels },
  },
  status: { allocatable: { cpu }, conditions: [{ type: "Ready", status: change.ready ?? "True" }] },
});
const nodesOf = (zones: Record<string, string>) => Object.entries(zones).map(([zone, cpu]) => node(zone, cpu));

let addresses = 0;
const endpointsIn = (zones: string): Endpoint[] =>
  [...zones].map((zone) => ({
    addresses: [`10.0.${addresses >> 8}.${addresses++ & 255}`],
    conditions: { ready: zone !== zone.toUpperCase() },
    ...(zone === "?" || zone === "-" ? { conditions: { ready: true } } : { zone: zone.toLowerCase() }),
  }));
const slice = (name: string, endpoints: Endpoint[]): EndpointSlice => ({
  metadata: { name },
  addressType: "IPv4",
  endpoints,
});
const family = (change: Partial<FamilyPlan["plan"]>, unchanged: EndpointSlice[] = []): FamilyPlan => ({
  key: "ns/web",
  type: "IPv4",
  plan: { create: [], update: [], delete: [], ...change },
  unchanged,
});
/** One letter for each endpoint: the zone its hint names, `.` without. */
const hintsIn = (slices: readonly EndpointSlice[]) =>
  slices
    .flatMap(({ endpoints = [] }) => endpoints)
    .map(({ hints }) => hints?.forZones?.map(({ name }) => name).join("+") ?? ".")
    .join("");

for (const [why, zones, endpoints, expected, message] of [
  ["equal zones keep their own", { a: "1", b: "1", c: "1" }, "abc", "abc", "has been enabled"],
  ["a zone without endpoints is given some", { a: "1", b: "1" }, "aaaa", "bbaa", "has been enabled"],
  ["a large zone is given more", { a: "3", b: "1" }, "aabb", "aaab", "has been enabled"],
  ["endpoints that aren't ready have none and don't count", { a: "1", b: "1" }, "abAB", "ab..", "has been enabled"],
  ["half an endpoint isn't worth moving", { a: "1", b: "1" }, "aaaabbb", "aaaabbb", "has been enabled"],
  ["one zone is too few", { a: "1" }, "aa", "..", "Insufficient Node information"],
  ["no nodes", {}, "ab", "..", "Insufficient Node information"],
  ["a node that doesn't tell", { a: "1", b: "0" }, "ab", "..", "Insufficient Node information"],
  [
    "fewer endpoints than zones",
    { a: "1", b: "1", c: "1" },
    "ab",
    "..",
    "Insufficient number of endpoints (2 endpoints, 3 zones)",
  ],
  [
    "shares that can't be kept",
    { a: "20", b: "20", c: "1" },
    "abc",
    "...",
    "exceeding overload threshold (3 endpoints, 3 zones)",
  ],
  ["an endpoint without a zone", { a: "1", b: "1" }, "ab?a", "....", "do not have a zone specified"],
] satisfies [string, Record<string, string>, string, string, string][])
  test(`topology hints: ${why}`, () => {
    const hints = new TopologyHints();
    hints.setNodes(nodesOf(zones));
    const { plan, event } = hints.give(family({ create: [slice("new", endpointsIn(endpoints))] }));
    assert.equal(hintsIn(plan.create), expected);
    assert.match(event?.message ?? "", new RegExp(`${RegExp.escape(message)}.*, addressType: IPv4$`));
    assert.equal(event?.reason, expected.includes("a") ? "TopologyAwareHintsEnabled" : "TopologyAwareHintsDisabled");
  });

test("topology hints: slices with fit hints are left alone, others are written; told once, and again when it ends", () => {
  const hints = new TopologyHints();
  hints.setNodes(nodesOf({ a: "1", b: "1" }));
  const first = hints.give(family({ create: [slice("s", endpointsIn("aabb"))] }));
  assert.equal(first.event?.type, "Normal");
  const again = hints.give(family({}, [...first.plan.create]));
  assert.deepEqual([again.plan.update, again.event], [[], undefined]);
  const more = hints.give(family({ create: [slice("t", endpointsIn("aa"))] }, [...first.plan.create]));
  assert.deepEqual([hintsIn(more.plan.create), more.plan.update], ["ba", []]);
  assert.deepEqual(hints.setNodes(nodesOf({ a: "1", b: "1", c: "1" })), ["ns/web"], "no hint points to the new zone");
  assert.equal(hints.drop("ns/web", "IPv4")?.message, "Topology Aware Hints has been disabled, addressType: IPv4");
  assert.equal(hints.drop("ns/web", "IPv4"), undefined);
});

test("topology hints: refused hints are taken off slices that nothing else changes", () => {
  const hints = new TopologyHints();
  hints.setNodes(nodesOf({ a: "1", b: "1" }));
  const { plan } = hints.give(family({ create: [slice("s", endpointsIn("ab"))] }));
  hints.setNodes(nodesOf({ a: "1" }));
  assert.equal(hintsIn(hints.give(family({}, [...plan.create])).plan.update), "..");
});

test("topology hints: control planes and nodes that aren't ready don't count", () => {
  const excluded = node("c", "9", { labels: { "node-role.kubernetes.io/control-plane": "" } });
  const ratios = zoneRatios([node("a", "500m"), node("b", "1500m"), excluded, node("c", "9", { ready: "Unknown" })]);
  assert.deepEqual(
    [...(ratios ?? [])],
    [
      ["a", 0.25],
      ["b", 0.75],
    ],
  );
});

for (const [annotations, expected] of [
  [{ "service.kubernetes.io/topology-mode": "Auto" }, true],
  [{ "service.kubernetes.io/topology-mode": "AUTO" }, false],
  [{ "service.kubernetes.io/topology-aware-hints": "auto" }, true],
  [{ "service.kubernetes.io/topology-mode": "Auto", "service.kubernetes.io/topology-aware-hints": "no" }, false],
  [{}, false],
] as const)
  test(`topology hints: ${JSON.stringify(annotations)} asks for them: ${expected}`, () => {
    assert.equal(wantsHints({ metadata: { annotations } }), expected);
  });

test("topology hints: whatever the sizes, all are hinted and no zone is more than one endpoint short", () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  const { below: random } = createRandom(seed);
  for (let round = 0; round < 300; round++) {
    const zones = Object.fromEntries([..."abcd"].slice(0, 2 + random(3)).map((zone) => [zone, `${1 + random(8)}`]));
    const names = Object.keys(zones);
    const endpoints = Array.from({ length: 1 + random(40) }, () => names[random(names.length)]).join("");
    const hints = new TopologyHints();
    hints.setNodes(nodesOf(zones));
    const given = hintsIn(hints.give(family({ create: [slice("s", endpointsIn(endpoints))] })).plan.create);
    if (given.startsWith(".")) continue;
    const total = Object.values(zones).reduce((sum, cpu) => sum + Number(cpu), 0);
    for (const [zone, cpu] of Object.entries(zones)) {
      const has = [...given].filter((letter) => letter === zone).length;
      const min = Math.ceil((given.length * Number(cpu)) / total / 1.2);
      assert.ok(
        has >= min - 1,
        `seed ${seed} round ${round}: zone ${zone} has ${has} of ${given.length}, needs ${min}`,
      );
    }
    assert.ok(!given.includes("."), `seed ${seed} round ${round}`);
  }
});
