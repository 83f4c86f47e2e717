import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod, PodDisruptionBudget } from "#api";
import { FakeTransport } from "#testing";
import { ago, runController, testPod, testReplicaSet } from "../lib/fixture.ts";
import { disruptionController } from "./controller.ts";

const core = "/api/v1/namespaces/default";
const budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
const sets = "/apis/apps/v1/namespaces/default/replicasets";

function setUp(...pods: Pod[]) {
  const transport = new FakeTransport();
  const discovery: Record<string, unknown> = {
    "/api": { versions: ["v1"] },
    "/apis": { groups: [{ name: "example.com", versions: [{ version: "v1", groupVersion: "example.com/v1" }] }] },
    "/api/v1": { resources: [] },
    "/apis/example.com/v1": {
      resources: [
        { name: "scaled", kind: "Scaled", namespaced: true, verbs: [] },
        { name: "scaled/scale", kind: "Scale", namespaced: true, verbs: [] },
        { name: "plain", kind: "Plain", namespaced: true, verbs: [] },
      ],
    },
    "/apis/example.com/v1/namespaces/default/scaled/s/scale": { metadata: { uid: "uid-s" }, spec: { replicas: 6 } },
  };
  transport.intercept = ({ path }) => discovery[path];
  for (const pod of pods) transport.create(`${core}/pods`, pod);
  const add = (name: string, spec: object) =>
    transport.create(budgets, {
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      metadata: { name, generation: 1 },
      spec: { selector: { matchLabels: { app: "web" } }, ...spec },
    } as PodDisruptionBudget);
  const status = (name: string) => (transport.objects.get(`${budgets}/${name}`) as PodDisruptionBudget).status;
  return { transport, add, status };
}
const owned = (name: string, kind: string, owner: string, apiVersion: string) =>
  testPod({ name, readySince: 5, owner: { kind, name: owner, uid: `uid-${owner}`, apiVersion } });

for (const [why, pods, expected] of [
  ["of what has the scale subresource", [owned("a", "Scaled", "s", "example.com/v1")], [6, undefined]],
  [
    "of several kinds together",
    [owned("a", "Scaled", "s", "example.com/v1"), owned("b", "ReplicaSet", "r", "apps/v1")],
    [8, undefined],
  ],
  [
    "of what has none",
    [owned("a", "Plain", "p", "example.com/v1")],
    [undefined, "plain.example.com does not implement the scale subresource"],
  ],
  [
    "of what nobody knows",
    [owned("a", "Nothing", "n", "example.com/v1")],
    [undefined, 'no matches for kind "Nothing" in version "example.com/v1"'],
  ],
  [
    "of what is gone",
    [owned("a", "Scaled", "gone", "example.com/v1")],
    [undefined, 'found no controllers for pod "a"'],
  ],
] as const)
  test(`budget: the size ${why}`, async () => {
    const { transport, add, status } = setUp(...pods);
    transport.create(sets, { ...testReplicaSet("r", { replicas: 2 }), metadata: { name: "r", uid: "uid-r" } });
    add("b", { maxUnavailable: 1 });
    const running = runController(disruptionController, transport);
    await running.until(() => status("b")?.conditions);
    const message = status("b")?.conditions?.[0]?.message;
    assert.deepEqual([status("b")?.expectedPods, message || undefined], expected);
    const said = running.events.filter(({ reason }) => reason === "CalculateExpectedPodCountFailed");
    assert.deepEqual(
      [...new Set(said.map((event) => event.message))],
      message ? [`Failed to calculate the number of expected pods: ${message}`] : [],
    );
    await running.stop();
  });

test("budget: two about one pod are both kept, and said to be two", async () => {
  const { add, status, transport } = setUp(testPod({ name: "a", readySince: 5 }));
  add("b", { minAvailable: 1 });
  add("c", { minAvailable: 0 });
  const running = runController(disruptionController, transport);
  await running.until(() => status("b")?.conditions && status("c")?.conditions);
  assert.deepEqual([status("b")?.disruptionsAllowed, status("c")?.disruptionsAllowed], [0, 1]);
  transport.create(`${core}/pods`, testPod({ name: "d", readySince: 5 }));
  await running.until(() => status("b")?.disruptionsAllowed === 1);
  assert.ok(
    running.events.some(
      ({ message }) => message === 'Pod "default"/"d" matches multiple PodDisruptionBudgets.  Chose "b" arbitrarily.',
    ),
  );
  await running.stop();
});

test("budget: a pod that was to be disrupted and wasn't says so no more after two minutes", async () => {
  const pod = testPod({ name: "a" });
  const condition = { type: "DisruptionTarget", status: "True", reason: "R", message: "m", lastTransitionTime: ago(0) };
  const { transport } = setUp({ ...pod, status: { phase: "Running", conditions: [condition] } });
  const running = runController(disruptionController, transport);
  const patch = () => transport.requests.find(({ method }) => method === "PATCH");
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  running.clock.advance(119_000);
  assert.equal(patch(), undefined);
  running.clock.advance(1000);
  await running.until(patch);
  const body = patch()?.body as { status: { conditions: unknown[] } } | undefined;
  assert.deepEqual(body?.status.conditions, [
    {
      type: "DisruptionTarget",
      status: "False",
      lastTransitionTime: ago(-120),
      observedGeneration: 0,
      reason: null,
      message: null,
    },
  ]);
  await running.stop();
});
