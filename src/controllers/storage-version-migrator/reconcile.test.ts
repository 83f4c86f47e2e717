import assert from "node:assert/strict";
import { test } from "node:test";
import type { Condition, CustomResourceDefinition, StorageVersionMigration } from "#api";
import { formatTime, statusError } from "#machinery";
import { ago, testNow } from "../lib/fixture.ts";
import {
  definitionFinished,
  definitionStarted,
  finished,
  isBehind,
  judgeRefusal,
  planMigrations,
  rewriting,
  withCondition,
} from "./reconcile.ts";

const at = formatTime(testNow);
const is = (type: string, status = "True"): Condition => ({
  ...{ type, status, reason: "R", message: "", lastTransitionTime: ago(60) },
});

/** `a Running Succeeded -Failed`, created so many seconds ago. */
function migration(text: string, createdAgo = 100): StorageVersionMigration {
  const [name = "", ...types] = text.split(" ");
  const conditions = types.map((type) => is(type.replace("-", ""), type.startsWith("-") ? "False" : "True"));
  return {
    metadata: { name, creationTimestamp: ago(createdAgo) },
    spec: { resource: { group: "example.com", resource: "widgets" } },
    ...(types.length > 0 && { status: { conditions } }),
  };
}

test("migrations: of one resource one runs, the oldest first, and what has ended is told so", () => {
  const cases: [migrations: StorageVersionMigration[], finish: string, running: string, promote: string | undefined][] =
    [
      [[], "", "", undefined],
      [[migration("a")], "", "", "a"],
      [[migration("a Running")], "", "a", undefined],
      [[migration("a Running"), migration("b", 200)], "", "a", undefined],
      [[migration("b", 200), migration("a Running")], "", "a", undefined],
      [[migration("new", 10), migration("old", 20)], "", "", "old"],
      [[migration("b"), migration("a")], "", "", "a"],
      [[migration("a Running Succeeded")], "a", "", undefined],
      [[migration("a Running Failed"), migration("b")], "a", "", "b"],
      [[migration("a -Running Succeeded"), migration("b Failed")], "", "", undefined],
      [[migration("a -Running")], "", "", "a"],
    ];
  for (const [all, finish, running, promote] of cases) {
    const names = (some: readonly { metadata: { name?: string } }[]) => some.map((each) => each.metadata.name).join();
    const plan = planMigrations(all);
    assert.deepEqual(
      [names(plan.finish), names(plan.running), plan.promote?.metadata.name],
      [finish, running, promote],
    );
  }
});

test("migrations: conditions are set once", () => {
  const running = { type: "Running", status: "True", reason: "MigrationRunning", message: "The migration is running" };
  const added = { ...running, lastTransitionTime: at };
  assert.deepEqual(withCondition(migration("a"), { type: "Running", at }).status?.conditions, [added]);
  for (const known of ["a Running", "a -Running"]) {
    const before = migration(known);
    assert.deepEqual(withCondition(before, { type: "Running", at }), before);
  }
  const failed = withCondition(migration("a Running"), { type: "Failed", message: "why", at }).status?.conditions?.[1];
  const expected = { type: "Failed", status: "True", reason: "StorageVersionMigrationFailed", message: "why" };
  assert.deepEqual(failed, { ...expected, lastTransitionTime: at });
  assert.deepEqual(finished(migration("a Succeeded Running"), at).status?.conditions, [
    is("Succeeded"),
    {
      ...{ type: "Running", status: "False", lastTransitionTime: at },
      ...{ reason: "MigrationCompleted", message: "Migration completed" },
    },
  ]);
});

/** `observed`: the generation that the running migration has noted. */
const definition = (generation: number, observed?: number): CustomResourceDefinition => ({
  metadata: { name: "widgets.example.com", resourceVersion: "9", generation },
  spec: {
    ...{ group: "example.com", scope: "Namespaced", names: { plural: "widgets", kind: "Widget" } },
    versions: ["v1", "v2"].map((name) => ({ name, served: true, storage: name === "v2" })),
  },
  status: {
    storedVersions: ["v1", "v2"],
    ...(observed !== undefined && { conditions: [{ ...is("StorageMigrating"), observedGeneration: observed }] }),
  },
});

test("migrations: a custom kind's definition says what happens, and forgets versions if it hasn't changed meanwhile", () => {
  const all = ["v1", "v2"];
  const applied = (condition: object, storedVersions = all) => ({
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "widgets.example.com", resourceVersion: "9" },
    status: {
      conditions: [{ type: "StorageMigrating", lastTransitionTime: at, ...condition }],
      storedVersions,
    },
  });
  const began = {
    status: "True",
    reason: "MigrationRunning",
    message: "Migration a is running",
    observedGeneration: 1,
  };
  assert.deepEqual(definitionStarted(definition(1), migration("a"), at), applied(began));
  const text = "The migration has succeeded";
  const other = `${text} but the stored versions have not been updated due to a generation mismatch`;
  const cases: [ended: string, CustomResourceDefinition, message: string, versions?: string[]][] = [
    ["Succeeded", definition(1, 1), `${text} and the stored versions have been updated`, ["v2"]],
    ["Succeeded", definition(2, 1), other],
    ["Succeeded", definition(2), other],
    // Upstream forgets versions after a failure, too, although objects may be stored in them.
    ["Failed", definition(1, 1), "The migration has failed"],
    ["Failed", definition(2, 1), "The migration has failed"],
  ];
  for (const [ended, seen, message, versions] of cases) {
    const { generation: observedGeneration } = seen.metadata;
    const end = { status: "False", reason: `Migration${ended}`, message, observedGeneration };
    assert.deepEqual(definitionFinished(seen, migration(`a Running ${ended}`), at), applied(end, versions));
  }
});

test("migrations: what was written after the checkpoint is left alone", () => {
  const seen = (resourceVersion: string) => ({ metadata: { name: "a", uid: "u", resourceVersion } });
  const cases: [string, string, boolean | string][] = [
    ["90", "100", true],
    ["100", "100", true],
    ["101", "100", false],
    ["99999999999999999998", "99999999999999999999", true],
    ["1000", "999", false],
    ["", "100", "resource version is not well formed: "],
    ["x", "100", "resource version is not well formed: x"],
  ];
  for (const [version, checkpoint, expected] of cases) assert.equal(isBehind(seen(version), checkpoint), expected);
  const kind = { apiVersion: "apps/v1", kind: "Deployment" };
  assert.deepEqual(rewriting(seen("90"), kind), { ...kind, metadata: { uid: "u", resourceVersion: "90" } });
});

test("migrations: some refusals are fine, some pass, others are the end", () => {
  const resource = { group: "apps", resource: "deployments" };
  const cases: [unknown, ReturnType<typeof judgeRefusal>][] = [
    [statusError.conflict(resource, "a", "changed"), "done"],
    [statusError.modified(resource, "a"), "done"],
    [statusError.internal("x"), "again"],
    [new Error("socket hang up"), "again"],
    [statusError.forbidden(resource, "a", "no"), "failed"],
    [statusError.badRequest("x"), "failed"],
    [statusError.notFound(resource, "a"), "failed"],
  ];
  for (const [error, expected] of cases) assert.equal(judgeRefusal(error), expected, String(error));
});
