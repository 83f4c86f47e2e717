import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod, ReplicaSet } from "#api";
import { statusError } from "#machinery";
import { FakeTransport } from "#testing";
import { runController, testPod, testReplicaSet } from "../lib/fixture.ts";
import { replicaSetController } from "./controller.ts";

const setsPath = "/apis/apps/v1/namespaces/default/replicasets";
const podsPath = "/api/v1/namespaces/default/pods";

const podsOf = (transport: FakeTransport) =>
  [...transport.objects].filter(([path]) => path.startsWith(podsPath)).map(([, object]) => object as Pod);
const setOf = (transport: FakeTransport) => transport.objects.get(`${setsPath}/rs`) as ReplicaSet;

test("replica set controller: makes pods, reports, and makes exactly one for each that goes", async () => {
  const transport = new FakeTransport();
  const running = runController(replicaSetController, transport);
  transport.create(setsPath, testReplicaSet("rs", { replicas: 3 }));
  await running.until(() => setOf(transport).status?.replicas === 3);
  const [pod] = podsOf(transport);
  assert.deepEqual(pod?.metadata.ownerReferences, [
    {
      apiVersion: "apps/v1",
      kind: "ReplicaSet",
      name: "rs",
      uid: "uid-rs",
      controller: true,
      blockOwnerDeletion: true,
    },
  ]);
  assert.equal(pod?.metadata.generateName, "rs-");
  assert.deepEqual(running.events[0], {
    about: "ReplicaSet/rs",
    type: "Normal",
    reason: "SuccessfulCreate",
    message: `Created pod: ${pod?.metadata.name}`,
  });
  transport.remove(`${podsPath}/${pod?.metadata.name}`);
  await running.until(() => running.events.length === 4 && podsOf(transport).length === 3);
  await running.stop();
  assert.equal(transport.requests.filter(({ method }) => method === "POST").length, 4);
});

test("replica set controller: scales down, and a refused creation shows in status and event", async () => {
  const transport = new FakeTransport();
  for (const name of ["a", "b", "c"]) {
    transport.create(podsPath, testPod({ name, owner: { kind: "ReplicaSet", name: "rs", uid: "uid-rs" } }));
  }
  transport.create(setsPath, testReplicaSet("rs", { replicas: 1 }));
  const running = runController(replicaSetController, transport);
  await running.until(() => setOf(transport).status?.replicas === 1);
  assert.equal(running.events.filter(({ reason }) => reason === "SuccessfulDelete").length, 2);

  transport.intercept = ({ method, path }) => {
    if (method === "POST" && path === podsPath) {
      throw statusError.forbidden({ group: "", resource: "pods" }, "rs-", "exceeded quota: q");
    }
    return undefined;
  };
  transport.put(`${setsPath}/rs`, {
    ...setOf(transport),
    spec: { ...setOf(transport).spec, replicas: 5 },
  } as ReplicaSet);
  await running.until(() => setOf(transport).status?.conditions?.length === 1);
  assert.equal(setOf(transport).status?.conditions?.[0]?.message, 'pods "rs-" is forbidden: exceeded quota: q');
  assert.equal(running.events.at(-1)?.message, 'Error creating: pods "rs-" is forbidden: exceeded quota: q');
  await running.stop();
});

test("replica set controller: adopts an orphan after reading the set afresh, releases a stray", async () => {
  const transport = new FakeTransport();
  transport.create(podsPath, testPod({ name: "orphan" }));
  transport.create(
    podsPath,
    testPod({ name: "stray", labels: { app: "db" }, owner: { kind: "ReplicaSet", name: "rs", uid: "uid-rs" } }),
  );
  transport.create(setsPath, testReplicaSet("rs", { replicas: 1 }));
  const running = runController(replicaSetController, transport);
  await running.until(() => setOf(transport).status?.replicas === 1);
  const patches = transport.requests.filter(({ method }) => method === "PATCH");
  assert.deepEqual(
    patches.map(({ path, body }) => [path, body]).sort(),
    [
      [
        `${podsPath}/orphan`,
        {
          metadata: {
            uid: "uid-orphan",
            ownerReferences: [
              {
                apiVersion: "apps/v1",
                kind: "ReplicaSet",
                name: "rs",
                uid: "uid-rs",
                controller: true,
                blockOwnerDeletion: true,
              },
            ],
          },
        },
      ],
      [`${podsPath}/stray`, { metadata: { uid: "uid-stray", ownerReferences: [{ $patch: "delete", uid: "uid-rs" }] } }],
    ].sort(),
  );
  const order = transport.requests.map(({ method, path }) => `${method} ${path}`);
  assert.ok(order.indexOf(`GET ${setsPath}/rs`) < order.indexOf(`PATCH ${podsPath}/orphan`));
  await running.stop();
});
