/** Garbage collection as Kubernetes' conformance suite asks for it (test/e2e/apimachinery/garbage_collector.go). */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { type Loops, startLoops } from "./loops.ts";

const core = "/api/v1/namespaces/default";
const apps = "/apis/apps/v1/namespaces/default";

suite("garbage collector", () => {
  let loops: Loops;
  before(async () => {
    loops = await startLoops();
  });
  after(() => loops.close());

  const template = (name: string) => ({
    metadata: { labels: { app: name } },
    spec: { containers: [{ name: "c", image: "example.com/c:1" }] },
  });
  const podsOf = async (name: string) => (await loops.call("GET", `${core}/pods?labelSelector=app=${name}`)).items;
  const startController = async (name: string, replicas: number) => {
    const spec = { replicas, selector: { app: name }, template: template(name) };
    const made = await loops.call("POST", `${core}/replicationcontrollers`, { metadata: { name }, spec });
    await loops.until("its pods", async () => (await podsOf(name)).length === replicas);
    return made;
  };
  const startDeployment = async (name: string) => {
    const spec = { replicas: 2, selector: { matchLabels: { app: name } }, template: template(name) };
    await loops.call("POST", `${apps}/deployments`, { metadata: { name }, spec });
    return loops.until("its replica set and pods", async () => {
      const sets = (await loops.call("GET", `${apps}/replicasets?labelSelector=app=${name}`)).items;
      return (await podsOf(name)).length === 2 && sets[0];
    });
  };

  test("conformance: Garbage collector should delete pods created by rc when not orphaning", async () => {
    const { metadata } = await startController("background", 2);
    const body = { propagationPolicy: "Background", preconditions: { uid: metadata?.uid } };
    await loops.call("DELETE", `${core}/replicationcontrollers/background`, body);
    await loops.until("no pods", async () => (await podsOf("background")).length === 0);
  });

  test("conformance: Garbage collector should orphan pods created by rc if delete options say so", async () => {
    await startController("orphan", 3);
    await loops.call("DELETE", `${core}/replicationcontrollers/orphan`, { propagationPolicy: "Orphan" });
    await loops.until("no controller", async () => !(await loops.find(`${core}/replicationcontrollers/orphan`)));
    const left = await podsOf("orphan");
    assert.deepEqual(
      left.map(({ metadata }) => metadata?.ownerReferences),
      [undefined, undefined, undefined],
    );
  });

  test("conformance: Garbage collector should delete RS created by deployment when not orphaning", async () => {
    const { metadata } = await startDeployment("whole");
    await loops.call("DELETE", `${apps}/deployments/whole`, { propagationPolicy: "Background" });
    await loops.until("no replica set", async () => !(await loops.find(`${apps}/replicasets/${metadata?.name}`)));
    await loops.until("no pods", async () => (await podsOf("whole")).length === 0);
  });

  test("conformance: Garbage collector should orphan RS created by deployment when deleteOptions.PropagationPolicy is Orphan", async () => {
    const { metadata } = await startDeployment("parted");
    await loops.call("DELETE", `${apps}/deployments/parted`, { propagationPolicy: "Orphan" });
    await loops.until("no deployment", async () => !(await loops.find(`${apps}/deployments/parted`)));
    const set = await loops.find(`${apps}/replicasets/${metadata?.name}`);
    assert.ok(set);
    assert.equal(set.metadata?.ownerReferences, undefined);
  });

  test("conformance: Garbage collector should keep the rc around until all its pods are deleted if the deleteOptions says so", async () => {
    await startController("foreground", 2);
    const [first] = await podsOf("foreground");
    const name = first?.metadata?.name;
    await loops.merge(`${core}/pods/${name}`, { metadata: { finalizers: ["example.com/held"] } });
    await loops.call("DELETE", `${core}/replicationcontrollers/foreground`, { propagationPolicy: "Foreground" });
    await loops.until("only the held pod", async () => (await podsOf("foreground")).length === 1);
    const waiting = await loops.find(`${core}/replicationcontrollers/foreground`);
    assert.deepEqual(waiting?.metadata?.finalizers, ["foregroundDeletion"]);
    await loops.merge(`${core}/pods/${name}`, { metadata: { finalizers: null } });
    await loops.until("no controller", async () => !(await loops.find(`${core}/replicationcontrollers/foreground`)));
  });

  test("conformance: Garbage collector should not delete dependents that have both valid owner and owner that's waiting for dependents to be deleted", async () => {
    await startController("goes", 4);
    const stays = await startController("stays", 0);
    const reference = { apiVersion: "v1", kind: "ReplicationController", name: "stays", uid: stays.metadata?.uid };
    const all = await podsOf("goes");
    const shared = all.slice(0, 2).map(({ metadata }) => metadata?.name);
    for (const { metadata } of all.slice(0, 2))
      await loops.merge(`${core}/pods/${metadata?.name}`, {
        metadata: { ownerReferences: [...(metadata?.ownerReferences ?? []), reference] },
      });
    await loops.call("DELETE", `${core}/replicationcontrollers/goes`, { propagationPolicy: "Foreground" });
    await loops.until("no controller", async () => !(await loops.find(`${core}/replicationcontrollers/goes`)));
    const left = await podsOf("goes");
    assert.deepEqual(left.map(({ metadata }) => metadata?.name).sort(), shared.sort());
    for (const { metadata } of left)
      assert.deepEqual(
        metadata?.ownerReferences?.map(({ name }) => name),
        ["stays"],
      );
  });

  test("conformance: Garbage collector should not be blocked by dependency circle", async () => {
    const names = ["one", "two", "three"];
    const pods = [];
    for (const name of names)
      pods.push(await loops.call("POST", `${core}/pods`, { ...template(name), metadata: { name } }));
    for (const [index, name] of names.entries()) {
      const owner = pods[(index + 2) % 3]?.metadata;
      const reference = {
        apiVersion: "v1",
        kind: "Pod",
        name: owner?.name,
        uid: owner?.uid,
        controller: true,
        blockOwnerDeletion: true,
      };
      await loops.merge(`${core}/pods/${name}`, { metadata: { ownerReferences: [reference] } });
    }
    await loops.call("DELETE", `${core}/pods/one`, { propagationPolicy: "Foreground" });
    for (const name of names)
      await loops.until(`no pod ${name}`, async () => !(await loops.find(`${core}/pods/${name}`)));
  });
});
