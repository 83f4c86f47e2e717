import assert from "node:assert/strict";
import { test } from "node:test";
import type { Deployment, ReplicaSet } from "#api";
import { statusError } from "#machinery";
import { FakeTransport } from "#testing";
import { runController, testDeployment } from "../lib/fixture.ts";
import { deploymentController } from "./controller.ts";

const path = "/apis/apps/v1/namespaces/default/deployments";
const setsPath = "/apis/apps/v1/namespaces/default/replicasets";

const deploymentIn = (transport: FakeTransport) => transport.objects.get(`${path}/web`) as Deployment;
const setsIn = (transport: FakeTransport) =>
  [...transport.objects].filter(([at]) => at.startsWith(setsPath)).map(([, object]) => object as ReplicaSet);

/** What the ReplicaSet controller and working pods would report. */
function satisfy(transport: FakeTransport): void {
  for (const set of setsIn(transport)) {
    const replicas = set.spec?.replicas ?? 0;
    if (set.status?.availableReplicas === replicas) continue;
    const status = { replicas, readyReplicas: replicas, availableReplicas: replicas, observedGeneration: 1 };
    transport.put(`${setsPath}/${set.metadata.name}`, { ...set, status } as ReplicaSet);
  }
}

test("deployment controller: from nothing to a finished roll-out of a second version", async () => {
  const transport = new FakeTransport();
  const running = runController(deploymentController, transport);
  transport.create(path, testDeployment("web", { replicas: 4 }));
  const isDone = (revision: string) => () => {
    satisfy(transport);
    const { metadata, status } = deploymentIn(transport);
    return (
      metadata.annotations?.["deployment.kubernetes.io/revision"] === revision &&
      status?.conditions?.some(({ reason }) => reason === "NewReplicaSetAvailable") &&
      status.replicas === 4 &&
      status.updatedReplicas === 4
    );
  };
  await running.until(isDone("1"));
  const before = deploymentIn(transport);
  const template = { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "web", image: "web:2" }] } };
  transport.put(`${path}/web`, { ...before, spec: { ...before.spec, template } } as Deployment);
  await running.until(isDone("2"));
  assert.deepEqual(
    setsIn(transport).map((set) => set.spec?.replicas),
    [0, 4],
  );
  const [first = "", second = ""] = setsIn(transport).map((set) => set.metadata.name);
  const said = running.events.map(({ message }) => message.replace(first, "v1").replace(second, "v2"));
  // How large the steps between are depends on when the statuses arrive.
  assert.deepEqual(said.slice(0, 3), [
    "Scaled up replica set v1 from 0 to 4",
    "Scaled up replica set v2 from 0 to 1",
    "Scaled down replica set v1 from 4 to 3",
  ]);
  assert.match(said.at(-1) ?? "", /^Scaled down replica set v1 from \d to 0$/);
  await running.stop();
});

test("deployment controller: a taken hash counts as a collision and gets another name", async () => {
  const transport = new FakeTransport();
  const running = runController(deploymentController, transport);
  let taken: string | undefined;
  transport.intercept = ({ method, path: at, body }) => {
    const { name } = (body as ReplicaSet | undefined)?.metadata ?? {};
    if (method !== "POST" || at !== setsPath || taken) return undefined;
    taken = name;
    // Of somebody else.
    const { ownerReferences: _none, ...metadata } = (body as ReplicaSet).metadata;
    transport.create(setsPath, { ...(body as ReplicaSet), metadata: { ...metadata, labels: { app: "other" } } });
    return undefined;
  };
  transport.create(path, testDeployment("web"));
  await running.until(() => setsIn(transport).length === 2);
  assert.equal(deploymentIn(transport).status?.collisionCount, 1);
  await running.stop();
});

test("deployment controller: a refused set shows in condition and event", async () => {
  const transport = new FakeTransport();
  const running = runController(deploymentController, transport);
  transport.intercept = ({ method, path: at }) => {
    if (method === "POST" && at === setsPath) {
      throw statusError.forbidden({ group: "apps", resource: "replicasets" }, "web-x", "no");
    }
    return undefined;
  };
  transport.create(path, testDeployment("web"));
  await running.until(() => deploymentIn(transport).status?.conditions?.length === 1);
  const [shown] = deploymentIn(transport).status?.conditions ?? [];
  assert.equal(shown?.reason, "ReplicaSetCreateError");
  assert.match(
    shown?.message ?? "",
    /^Failed to create new replica set "web-\w+": replicasets.apps "web-x" is forbidden: no$/,
  );
  assert.equal(running.events[0]?.reason, "ReplicaSetCreateError");
  await running.stop();
});
