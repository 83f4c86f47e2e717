import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import type { OwnerReference } from "#api";
import type { KubernetesObject } from "#machinery";
import { blockingDependents, DependencyGraph } from "./graph.ts";

let said: string[] = [];
let graph: DependencyGraph;
beforeEach(() => {
  said = [];
  graph = new DependencyGraph({
    examine: (uid) => said.push(`examine ${uid}`),
    examineLater: (uid) => said.push(`later ${uid}`),
    orphan: (uid) => said.push(`orphan ${uid}`),
    strayOwner: (dependent, owner) => said.push(`stray ${dependent.identity.uid} of ${owner.uid}`),
  });
});

const kind = { apiVersion: "v1", kind: "Thing" };
const owner = (uid: string, change: Partial<OwnerReference> = {}): OwnerReference => ({
  ...kind,
  name: uid,
  uid,
  ...change,
});

interface Shape {
  owners?: OwnerReference[];
  namespace?: string;
  finalizers?: string[];
  deleting?: boolean;
}

function put(uid: string, { owners = [], namespace = "ns", finalizers = [], deleting = false }: Shape = {}): string[] {
  said = [];
  const object: KubernetesObject = {
    metadata: {
      name: uid,
      namespace,
      uid,
      finalizers,
      ownerReferences: owners,
      ...(deleting ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}),
    },
  };
  graph.upsert(object, kind);
  return said;
}

function remove(uid: string): string[] {
  said = [];
  graph.remove(uid);
  return said;
}

test("graph: an owner that goes has its dependents examined", () => {
  put("a");
  assert.deepEqual(put("b", { owners: [owner("a")] }), []);
  assert.deepEqual(remove("a"), ["examine b"]);
  assert.equal(graph.isKnownAbsent({ ...kind, namespace: "ns", name: "a", uid: "a" }), true);
});

test("graph: an owner nobody has seen is asked for later, and forgotten when it is seen", () => {
  assert.deepEqual(put("b", { owners: [owner("a")] }), ["later a"]);
  assert.equal(graph.get("a")?.observed, false);
  assert.deepEqual(put("a"), []);
  assert.equal(graph.get("a")?.observed, true);
});

test("graph: an owner that was never there has its dependents examined and leaves the graph", () => {
  put("b", { owners: [owner("a")] });
  said = [];
  graph.absent({ ...kind, namespace: "ns", name: "a", uid: "a" });
  assert.deepEqual(said, ["examine b"]);
  assert.equal(graph.get("a"), undefined);
});

test("graph: claims under other coordinates are tried in turn, and only refuted ones lose their owner", () => {
  put("b", { owners: [owner("a")] });
  put("c", { owners: [owner("a", { name: "other" })] });
  said = [];
  graph.absent({ ...kind, namespace: "ns", name: "a", uid: "a" });
  assert.deepEqual(said, ["examine b", "later a"]);
  assert.equal(graph.get("a")?.identity.name, "other");
});

test("graph: an owner in another namespace is no owner, and said to be none", () => {
  put("a", { namespace: "elsewhere" });
  assert.deepEqual(put("b", { owners: [owner("a")] }), ["stray b of a", "examine b"]);
  put("c", { owners: [owner("d")] });
  assert.deepEqual(put("d", { namespace: "elsewhere" }), ["stray c of d", "examine c"]);
  put("cluster", { namespace: "" });
  assert.deepEqual(put("e", { owners: [owner("cluster")] }), []);
});

test("graph: foreground deletion examines dependents and owner, then the owner as each dependent goes", () => {
  put("a");
  put("b", { owners: [owner("a", { blockOwnerDeletion: true })] });
  put("c", { owners: [owner("a")] });
  const deleting = { deleting: true, finalizers: ["foregroundDeletion"] };
  assert.deepEqual(put("a", deleting), ["examine b", "examine c", "examine a"]);
  assert.deepEqual(put("a", deleting), []);
  const node = graph.get("a");
  assert.deepEqual(node && blockingDependents(node).map(({ identity }) => identity.uid), ["b"]);
  assert.deepEqual(put("d", { owners: [owner("a")] }), ["examine d"]);
  assert.deepEqual(remove("b"), ["examine a"]);
});

test("graph: an owner that no longer blocks, or is no longer named, has its owner examined", () => {
  put("a");
  put("b", { owners: [owner("a", { blockOwnerDeletion: true })] });
  assert.deepEqual(put("b", { owners: [owner("a")] }), ["examine a"]);
  put("b", { owners: [owner("a", { blockOwnerDeletion: true })] });
  assert.deepEqual(put("b"), ["examine a"]);
  assert.equal(graph.get("a")?.dependents.size, 0);
});

test("graph: deletion that orphans goes to the other queue", () => {
  put("a");
  assert.deepEqual(put("a", { deleting: true, finalizers: ["orphan"] }), ["orphan a"]);
});
