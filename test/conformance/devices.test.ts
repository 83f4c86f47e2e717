/** Devices on a whole cluster with simulated nodes: from a template to a pod and back, and the kinds as Kubernetes' conformance suite uses them. */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { scaledClock } from "#testing";
import { type Loops, startLoops } from "./loops.ts";

const group = "/apis/resource.k8s.io/v1";
const ns = "/namespaces/default";
const devices = { requests: [{ name: "r", exactly: { deviceClassName: "gpus" } }] };
const slice = (name: string, driver: string) => ({
  metadata: { name },
  spec: {
    driver,
    allNodes: true,
    pool: { name, generation: 1, resourceSliceCount: 1 },
    devices: [{ name: "gpu", attributes: { model: { string: "a" } } }],
  },
});

suite("devices", () => {
  let loops: Loops;
  before(async () => {
    loops = await startLoops({ nodes: { count: 1 }, clock: scaledClock(10) });
  });
  after(() => loops.close());

  test("devices: a claim made from a template is allocated for its pod and gone when the pod is done; then the next pod has its turn", async () => {
    const expression = 'device.driver == "d.io" && device.attributes["d.io"].model == "a"';
    const selectors = [{ cel: { expression } }];
    await loops.call("POST", `${group}/deviceclasses`, { metadata: { name: "gpus" }, spec: { selectors } });
    await loops.call("POST", `${group}/resourceslices`, slice("s", "d.io"));
    await loops.call("POST", `${group}${ns}/resourceclaimtemplates`, {
      metadata: { name: "t" },
      spec: { spec: { devices } },
    });
    const pod = (name: string) => ({
      metadata: { name },
      spec: {
        restartPolicy: "Never",
        containers: [{ name: "c", image: "i", command: ["sleep", "5"], resources: { claims: [{ name: "gpu" }] } }],
        resourceClaims: [{ name: "gpu", resourceClaimTemplateName: "t" }],
      },
    });
    const find = (name: string) => loops.call("GET", `/api/v1${ns}/pods/${name}`);
    const claims = async () => (await loops.call("GET", `${group}${ns}/resourceclaims`)).items;
    await loops.call("POST", `/api/v1${ns}/pods`, pod("first"));
    await loops.until("the first pod runs", async () => (await find("first")).status.phase === "Running");
    const [claim] = await claims();
    assert.match(claim?.metadata?.name ?? "", /^first-gpu-/);
    assert.deepEqual(
      ((claim?.status.reservedFor ?? []) as { name: string }[]).map(({ name }) => name),
      ["first"],
    );
    assert.deepEqual((await find("first")).status.resourceClaimStatuses, [
      { name: "gpu", resourceClaimName: claim?.metadata?.name },
    ]);
    await loops.call("POST", `/api/v1${ns}/pods`, pod("second"));
    await loops.until("the second pod is told that there is no device left", async () => {
      const conditions = ((await find("second")).status.conditions ?? []) as { message?: string }[];
      return conditions.some(({ message }) => message?.includes("1 cannot allocate all claims. still not schedulable"));
    });
    await loops.until("the second pod is done", async () => (await find("second")).status.phase === "Succeeded");
    await loops.until("no claim is left", async () => (await claims()).length === 0);
  });

  const kinds: [title: string, path: string, object: object][] = [
    ["DeviceClass", `${group}/deviceclasses`, { spec: {} }],
    ["ResourceClaim", `${group}${ns}/resourceclaims`, { spec: { devices } }],
    ["ResourceClaimTemplate", `${group}${ns}/resourceclaimtemplates`, { spec: { spec: { devices } } }],
    ["ResourceSlice", `${group}/resourceslices`, { spec: slice("crud", "crud.io").spec }],
  ];
  for (const [kind, path, object] of kinds) {
    test(`conformance: [sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ${kind} [Conformance]`, async () => {
      const labels = { crud: kind };
      const create = (name: string) => loops.call("POST", path, { ...object, metadata: { name, labels } });
      for (const name of ["crud-a", "crud-b", "crud-c"]) await create(name);
      const list = async () => (await loops.call("GET", `${path}?labelSelector=crud%3D${kind}`)).items;
      assert.equal((await list()).length, 3);
      const read = await loops.call("GET", `${path}/crud-a`);
      const changed = { ...read, metadata: { ...read.metadata, labels: { ...labels, more: "1" } } };
      assert.equal((await loops.call("PUT", `${path}/crud-a`, changed)).metadata?.labels?.more, "1");
      const patched = await loops.merge(`${path}/crud-a`, { metadata: { annotations: { patched: "yes" } } });
      assert.equal(patched.metadata?.annotations?.patched, "yes");
      if (kind === "ResourceClaim") {
        const results = [{ request: "r", driver: "crud.io", pool: "p", device: "gpu" }];
        const status = { allocation: { devices: { results } } };
        const allocated = await loops.call("PUT", `${path}/crud-a/status`, { ...patched, status });
        assert.deepEqual(allocated.status, status);
        assert.deepEqual((await loops.call("GET", `${path}/crud-a/status`)).status, status);
      }
      await loops.call("DELETE", `${path}/crud-a`);
      await loops.until("it is gone", async () => (await loops.find(`${path}/crud-a`)) === undefined);
      await loops.call("DELETE", `${path}?labelSelector=crud%3D${kind}`);
      assert.equal((await list()).length, 0);
    });
  }
});
