/** The garbage collector on a tiny server: owners that are named wrongly, in the orders in which upstream's TestConflictingData names them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { OwnerReference } from "#api";
import { type KubernetesObject, statusError } from "#machinery";
import { FakeTransport } from "#testing";
import { runController } from "../lib/fixture.ts";
import { garbageCollector } from "./controller.ts";

const verbs = ["get", "list", "watch", "delete"];
const discovery: Record<string, unknown> = {
  "/api": { versions: ["v1"] },
  "/apis": {
    groups: [
      {
        name: "batch",
        versions: ["v1", "v1beta1"].map((version) => ({ version, groupVersion: `batch/${version}` })),
        preferredVersion: { version: "v1" },
      },
    ],
  },
  "/api/v1": {
    resources: [
      { name: "pods", kind: "Pod", namespaced: true, verbs },
      { name: "nodes", kind: "Node", namespaced: false, verbs },
    ],
  },
  "/apis/batch/v1": { resources: [{ name: "jobs", kind: "Job", namespaced: true, verbs }] },
  "/apis/batch/v1beta1": { resources: [{ name: "jobs", kind: "Job", namespaced: true, verbs }] },
};
const paths: Readonly<Record<string, string>> = {
  Pod: "/api/v1/*pods",
  Node: "/api/v1/nodes",
  Job: "/apis/batch/v1/*jobs",
};

/** `Job ns1/a` in its namespace, `Node a` in none. */
function placed(text: string) {
  const [kind = "", at = ""] = text.split(" ");
  const [namespace, name = ""] = at.includes("/") ? at.split("/") : ["", at];
  return { kind, namespace, name, collection: (paths[kind] ?? "").replace("*", `namespaces/${namespace}/`) };
}
const owner = (text: string, uid: string, apiVersion = text.startsWith("Job") ? "batch/v1" : "v1"): OwnerReference => {
  const { kind, name } = placed(text);
  return { apiVersion, kind, name, uid };
};

function setUp() {
  const transport = new FakeTransport();
  transport.intercept = ({ method, path }) => {
    if (method !== "GET") return undefined;
    return discovery[path] ?? transport.objects.get(path.replace("/batch/v1beta1/", "/batch/v1/"));
  };
  const put = (text: string, ...ownerReferences: OwnerReference[]) => {
    const { kind, name, collection } = placed(text);
    const apiVersion = kind === "Job" ? "batch/v1" : "v1";
    const metadata = { name, uid: name, ...(ownerReferences.length > 0 ? { ownerReferences } : {}) };
    transport.create(collection, { apiVersion, kind, metadata } as KubernetesObject);
  };
  const running = runController(garbageCollector, transport);
  const settle = async () => {
    for (let round = 0; round < 8; round++) {
      for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => setImmediate(resolve));
      running.clock.advance(600);
    }
  };
  const left = () => [...transport.objects.values()].map(({ metadata }) => metadata?.name).sort();
  return { transport, running, put, settle, left };
}

interface Step {
  put?: [text: string, ...owners: OwnerReference[]];
  remove?: string;
}

for (const [why, steps, expected, stray] of [
  [
    "an owner without a namespace counts from anywhere",
    [{ put: ["Node n"] }, { put: ["Pod ns1/p", owner("Node n", "n")] }],
    ["n", "p"],
    0,
  ],
  [
    "an owner in another namespace is none, its dependent seen first",
    [{ put: ["Pod ns1/p", owner("Job ns2/j", "j")] }, { put: ["Job ns2/j"] }],
    ["j"],
    0,
  ],
  [
    "an owner in another namespace is none, seen first",
    [{ put: ["Job ns2/j"] }, { put: ["Pod ns1/p", owner("Job ns2/j", "j")] }],
    ["j"],
    1,
  ],
  [
    "what has no namespace can't have an owner that has one, and stays: seen first",
    [{ put: ["Node n", owner("Job ns1/j", "j")] }, { put: ["Job ns1/j"] }],
    ["j", "n"],
    undefined,
  ],
  [
    "what has no namespace can't have an owner that has one, and stays: seen later",
    [{ put: ["Job ns1/j"] }, { put: ["Node n", owner("Job ns1/j", "j")] }],
    ["j", "n"],
    undefined,
  ],
  [
    "an owner by another version that is served",
    [{ put: ["Job ns1/j"] }, { put: ["Pod ns1/p", owner("Job ns1/j", "j", "batch/v1beta1")] }],
    ["j", "p"],
    0,
  ],
  [
    "an owner by a version that isn't served: nothing is known, so nothing goes",
    [{ put: ["Pod ns1/p", owner("Job ns1/j", "j", "batch/v0")] }, { put: ["Job ns1/j"] }],
    ["j", "p"],
    0,
  ],
  [
    "no owner, by a version that isn't served and by one that is: the second goes",
    [{ put: ["Pod ns1/p", owner("Job ns1/j", "j", "batch/v0")] }, { put: ["Pod ns1/q", owner("Job ns1/j", "j")] }],
    ["p"],
    0,
  ],
  [
    "the other way round",
    [{ put: ["Pod ns1/q", owner("Job ns1/j", "j")] }, { put: ["Pod ns1/p", owner("Job ns1/j", "j", "batch/v0")] }],
    ["p"],
    0,
  ],
  [
    "an owner by a wrong kind: only that dependent goes",
    [
      { put: ["Job ns1/j"] },
      { put: ["Pod ns1/p", owner("Job ns1/j", "j")] },
      { put: ["Pod ns1/q", owner("Pod ns1/j", "j")] },
    ],
    ["j", "p"],
    0,
  ],
  [
    "no owner, named from a namespace and from none: the first goes",
    [{ put: ["Node n", owner("Job ns1/j", "j")] }, { put: ["Pod ns1/p", owner("Job ns1/j", "j")] }],
    ["n"],
    0,
  ],
  [
    "no owner, named from none and from a namespace: the second goes",
    [{ put: ["Pod ns1/p", owner("Job ns1/j", "j")] }, { put: ["Node n", owner("Job ns1/j", "j")] }],
    ["n"],
    0,
  ],
  [
    "an owner that goes takes its dependents, and theirs",
    [
      { put: ["Job ns1/j"] },
      { put: ["Pod ns1/p", owner("Job ns1/j", "j")] },
      { put: ["Pod ns1/q", owner("Pod ns1/p", "p")] },
      { remove: "Job ns1/j" },
    ],
    [],
    0,
  ],
  [
    "one owner of two goes",
    [
      { put: ["Job ns1/j"] },
      { put: ["Job ns1/k"] },
      { put: ["Pod ns1/p", owner("Job ns1/j", "j"), owner("Job ns1/k", "k")] },
      { remove: "Job ns1/j" },
    ],
    ["k", "p"],
    0,
  ],
  [
    "another object of the owner's name",
    [{ put: ["Job ns1/j"] }, { put: ["Pod ns1/p", owner("Job ns1/j", "old")] }],
    ["j"],
    0,
  ],
] satisfies [string, Step[], string[], number | undefined][])
  test(`garbage: ${why}`, async () => {
    const { transport, running, put, settle, left } = setUp();
    await settle();
    for (const step of steps as Step[]) {
      if (step.put) put(...step.put);
      if (step.remove) {
        await settle();
        const { collection, name } = placed(step.remove);
        transport.remove(`${collection}/${name}`);
      }
    }
    await settle();
    assert.deepEqual(left(), expected);
    if (stray !== undefined)
      assert.equal(
        running.events.filter(({ reason }) => reason === "OwnerRefInvalidNamespace").length > 0,
        stray > 0 || running.events.length > 0,
      );
    await running.stop();
  });

for (const [why, change, expected] of [
  ["gets another owner stays", { ownerReferences: [owner("Job ns1/k", "k")] }, ["k", "p"]],
  ["changes otherwise goes", { labels: { a: "b" } }, ["k"]],
] as const)
  test(`garbage: what ${why}, between the look and the deletion`, async () => {
    const { transport, running, put, settle, left } = setUp();
    await settle();
    put("Job ns1/k");
    const path = "/api/v1/namespaces/ns1/pods/p";
    const before = transport.intercept;
    let tries = 0;
    transport.intercept = (request) => {
      if (request.method === "DELETE" && request.path === path) {
        const { preconditions } = request.body as { preconditions: { resourceVersion?: string } };
        if (tries++ === 0) transport.patch(path, { metadata: change });
        const { resourceVersion = transport.objects.get(path)?.metadata?.resourceVersion } = preconditions;
        if (resourceVersion !== transport.objects.get(path)?.metadata?.resourceVersion)
          throw statusError.modified({ group: "", resource: "pods" }, "p");
      }
      return before?.(request);
    };
    put("Pod ns1/p", owner("Job ns1/j", "j"));
    await settle();
    assert.deepEqual([left(), tries], [expected, expected.length === 2 ? 1 : 2]);
    await running.stop();
  });
