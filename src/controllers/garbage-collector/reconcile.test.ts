import assert from "node:assert/strict";
import { test } from "node:test";
import type { GraphNode } from "./graph.ts";
import { judge, judgeWaiting, type OwnerState } from "./reconcile.ts";

const node = (uid: string, change: Partial<GraphNode> = {}): GraphNode => ({
  identity: { apiVersion: "v1", kind: "Thing", namespace: "ns", name: uid, uid },
  owners: [],
  dependents: new Set(),
  observed: true,
  deleting: false,
  waitsForDependents: false,
  ...change,
});

const owners = (...states: OwnerState[]) =>
  states.map((state, index) => ({
    state,
    reference: { apiVersion: "v1", kind: "Thing", name: `o${index}`, uid: `o${index}` },
  }));

const withDependent = node("x", { dependents: new Set([node("d")]) });
const inCircle = node("x", { dependents: new Set([node("d", { waitsForDependents: true })]) });

for (const [why, of, finalizers, findings, expected] of [
  ["no owners", node("x"), [], owners(), { action: "keep" }],
  ["an owner is there", node("x"), [], owners("solid"), { action: "keep" }],
  [
    "one is there, others not",
    node("x"),
    [],
    owners("solid", "absent", "waiting"),
    { action: "drop-owners", uids: ["o1", "o2"] },
  ],
  ["all are gone", node("x"), [], owners("absent"), { action: "delete", policy: "Background" }],
  ["gone, it orphans its own", node("x"), ["orphan"], owners("absent"), { action: "delete", policy: "Orphan" }],
  [
    "gone, it waits for its own",
    node("x"),
    ["foregroundDeletion"],
    owners("absent"),
    { action: "delete", policy: "Foreground" },
  ],
  ["owner waits, nothing below", node("x"), [], owners("waiting"), { action: "delete", policy: "Background" }],
  ["owner waits, more below", withDependent, [], owners("waiting"), { action: "delete", policy: "Foreground" }],
  ["a circle", inCircle, [], owners("waiting"), { action: "delete", policy: "Foreground", unblockFirst: true }],
] as const)
  test(`garbage: ${why}`, () => {
    assert.deepEqual(judge(of, { metadata: { finalizers: [...finalizers] } }, findings), expected);
  });

test("garbage: a foreground deletion ends when nothing blocks it", () => {
  assert.deepEqual(judgeWaiting(node("x", { dependents: new Set([node("d")]) })), { done: true });
  const reference = { apiVersion: "v1", kind: "Thing", name: "x", uid: "x", blockOwnerDeletion: true };
  const blocking = node("d", { owners: [reference] });
  const going = node("e", { owners: [reference], waitsForDependents: true });
  assert.deepEqual(judgeWaiting(node("x", { dependents: new Set([blocking, going]) })), { examine: ["d"] });
});
