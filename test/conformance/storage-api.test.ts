/** Kinds of storage and immutable data, as Kubernetes' conformance suite asks for them (test/e2e/storage): the API server alone. */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { assertDiscovered, type Listening, mergePatch, refusal, startListening, watch } from "./server.ts";

const storage = "/apis/storage.k8s.io/v1";
const core = "/api/v1/namespaces/default";

suite("kinds of storage", () => {
  let api: Listening;
  before(async () => {
    api = await startListening();
    await api.call("POST", "/api/v1/namespaces", { metadata: { name: "default" } }).catch(() => undefined);
  });
  after(() => api.close());
  const notFound = async (path: string) => assert.equal((await refusal(api.call("GET", path))).code, 404);
  const listed = async (path: string, labelSelector: string) =>
    (await api.call("GET", path, undefined, { query: { labelSelector } })).items.map(({ metadata }) => metadata.name);
  const patchLabel = async (path: string, labels: Record<string, string>) => {
    const { metadata } = await api.call("PATCH", path, { metadata: { labels } }, mergePatch);
    for (const [name, value] of Object.entries(labels)) assert.equal(metadata.labels?.[name], value);
  };
  const updateLabel = async (path: string, labels: Record<string, string>) => {
    const { metadata: old, ...object } = await api.call("GET", path);
    const changed = { ...object, metadata: { ...old, labels: { ...old.labels, ...labels } } };
    const { metadata } = await api.call("PUT", path, changed);
    for (const [name, value] of Object.entries(labels)) assert.equal(metadata.labels?.[name], value);
  };

  /** Two objects, read, labelled and found in every way, one deleted by name and one by selector. */
  const lifecycle = (behaviour: string, resource: string, body: (name: string) => object) =>
    test(`conformance: ${behaviour}`, async () => {
      const path = `${storage}/${resource}`;
      const [first, second] = [`${resource}-one`, `${resource}-two`];
      for (const name of [first, second]) {
        const made = await api.call("POST", path, { metadata: { name }, ...body(name) });
        assert.equal((await api.call("GET", `${path}/${name}`)).metadata.uid, made.metadata.uid);
      }
      await patchLabel(`${path}/${first}`, { [resource]: "patched" });
      assert.deepEqual(await listed(path, `${resource}=patched`), [first]);
      await updateLabel(`${path}/${second}`, { [resource]: "updated" });
      assert.deepEqual(await listed(path, resource), [first, second]);
      await api.call("DELETE", `${path}/${first}`);
      await notFound(`${path}/${first}`);
      await api.call("DELETE", path, undefined, { query: { labelSelector: `${resource}=updated` } });
      assert.deepEqual(await listed(path, resource), []);
    });
  lifecycle("CSIInlineVolumes should run through the lifecycle of a CSIDriver", "csidrivers", () => ({
    spec: { attachRequired: false, podInfoOnMount: true, volumeLifecycleModes: ["Ephemeral"] },
  }));
  lifecycle("CSINodes CSI Conformance should run through the lifecycle of a csinode", "csinodes", (name) => ({
    spec: { drivers: [{ name: "driver.example.com", nodeID: name, topologyKeys: ["example.com/zone"] }] },
  }));
  lifecycle(
    "StorageClasses CSI Conformance should run through the lifecycle of a StorageClass",
    "storageclasses",
    () => ({
      provisioner: "driver.example.com",
      reclaimPolicy: "Delete",
      volumeBindingMode: "WaitForFirstConsumer",
    }),
  );

  test("conformance: CSIInlineVolumes should support CSIVolumeSource in Pod API", async () => {
    const csi = { driver: "e2e.example.com", volumeAttributes: { a: "b" } };
    const pod = (name: string) => ({
      metadata: { name, labels: { inline: "true" } },
      spec: {
        volumes: [{ name: "v", csi }],
        containers: [{ name: "c", image: "example.com/c:1", volumeMounts: [{ name: "v", mountPath: "/v" }] }],
      },
    });
    const path = `${core}/pods`;
    await api
      .call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } })
      .catch(() => undefined);
    await api.call("POST", path, pod("inline-one"));
    const { spec } = (await api.call("GET", `${path}/inline-one`)) as unknown as {
      spec: { volumes: { csi: object }[] };
    };
    assert.deepEqual(spec.volumes[0]?.csi, csi);
    assert.deepEqual(await listed(path, "inline=true"), ["inline-one"]);
    await patchLabel(`${path}/inline-one`, { patched: "true" });
    assert.deepEqual(await listed("/api/v1/pods", "patched=true"), ["inline-one"]);
    await api.call("DELETE", `${path}/inline-one`, { gracePeriodSeconds: 0 });
    await notFound(`${path}/inline-one`);
    await api.call("POST", path, pod("inline-two"));
    await api.call("DELETE", path, { gracePeriodSeconds: 0 }, { query: { labelSelector: "inline=true" } });
    assert.deepEqual(await listed(path, "inline=true"), []);
  });

  test("conformance: CSIStorageCapacity should support CSIStorageCapacities API operations", async () => {
    await assertDiscovered(api, "storage.k8s.io/v1", ["csistoragecapacities"]);
    const path = `${storage}/namespaces/default/csistoragecapacities`;
    const body = (name: string) => ({
      metadata: { name, labels: { test: "capacity" } },
      storageClassName: "a",
      capacity: "1Gi",
      maximumVolumeSize: "1Gi",
      nodeTopology: { matchLabels: { "example.com/zone": "z" } },
    });
    const seen = watch(api, path, { labelSelector: "test=capacity" });
    for (const name of ["c1", "c2", "c3"]) {
      await api.call("POST", path, body(name));
      assert.equal((await seen.next()).type, "ADDED");
    }
    assert.deepEqual(await listed(`${storage}/csistoragecapacities`, "test=capacity"), ["c1", "c2", "c3"]);
    await patchLabel(`${path}/c1`, { patched: "true" });
    const patched = await seen.next();
    assert.deepEqual([patched.type, patched.object.metadata.labels?.patched], ["MODIFIED", "true"]);
    await updateLabel(`${path}/c1`, { updated: "true" });
    assert.equal((await seen.next()).object.metadata.labels?.updated, "true");
    const { message } = await refusal(api.call("PATCH", `${path}/c1`, { storageClassName: "b" }, mergePatch));
    assert.match(message, /storageClassName: Invalid value: "b": field is immutable/);
    await api.call("DELETE", `${path}/c1`);
    assert.deepEqual([(await seen.next()).type, await listed(path, "test=capacity")], ["DELETED", ["c2", "c3"]]);
    await api.call("DELETE", path, undefined, { query: { labelSelector: "test=capacity" } });
    assert.deepEqual(await listed(path, "test=capacity"), []);
    await seen.stop();
  });

  interface Conditioned {
    readonly status: { phase: string; message?: string; reason?: string; conditions?: Record<string, string>[] };
  }
  test("conformance: PersistentVolumes CSI Conformance should apply changes to a pv/pvc status", async () => {
    const volumes = "/api/v1/persistentvolumes";
    const claims = `${core}/persistentvolumeclaims`;
    const size = { storage: "2Gi" };
    const accessModes = ["ReadWriteOnce"];
    const labels = { "status-test": "true" };
    await api.call("POST", volumes, {
      metadata: { name: "status-pv", labels },
      spec: { capacity: size, accessModes, csi: { driver: "d.example.com", volumeHandle: "h" }, storageClassName: "s" },
    });
    await api.call("POST", claims, {
      metadata: { name: "status-pvc", labels },
      spec: { accessModes, storageClassName: "s", resources: { requests: size } },
    });
    for (const [path, name] of [
      [volumes, "status-pv"],
      [claims, "status-pvc"],
    ] as const) {
      assert.deepEqual(await listed(path, "status-test=true"), [name]);
      const at = `${path}/${name}/status`;
      assert.equal(((await api.call("GET", at)) as unknown as Conditioned).status.phase, "Pending");
      const isClaim = path === claims;
      const change = (reason: string) => {
        const lastTransitionTime = "2026-01-31T12:00:00Z";
        const condition = { type: "StatusTest", status: "True", reason, message: "set by a test", lastTransitionTime };
        return isClaim ? { conditions: [condition] } : { reason, message: "set by a test" };
      };
      const said = ({ status }: Conditioned) => (isClaim ? status.conditions?.[0]?.reason : status.reason);
      await api.call("PATCH", at, { status: change("Patched") }, mergePatch);
      const object = (await api.call("GET", at)) as unknown as Conditioned;
      assert.equal(said(object), "Patched");
      await api.call("PUT", at, { ...object, status: { ...object.status, ...change("Updated") } });
      assert.equal(said((await api.call("GET", at)) as unknown as Conditioned), "Updated");
    }
  });

  test("conformance: VolumeAttachment Conformance should apply changes to a volumeattachment status", async () => {
    const path = `${storage}/volumeattachments`;
    const spec = { attacher: "d.example.com", nodeName: "n", source: { persistentVolumeName: "pv" } };
    await api.call("POST", path, { metadata: { name: "va-status" }, spec });
    await patchLabel(`${path}/va-status`, { "va-status": "patched" });
    const at = `${path}/va-status/status`;
    const attached = async () => ((await api.call("GET", at)) as unknown as { status?: { attached: boolean } }).status;
    assert.equal((await attached())?.attached ?? false, false);
    await api.call("PATCH", at, { status: { attached: true } }, mergePatch);
    assert.equal((await attached())?.attached, true);
    await api.call("PUT", at, { ...(await api.call("GET", at)), status: { attached: false } });
    assert.equal((await attached())?.attached, false);
    await api.call("DELETE", `${path}/va-status`);
    await notFound(`${path}/va-status`);
  });

  const immutable = (behaviour: string, resource: string, data: (value: string) => object) =>
    test(`conformance: ${behaviour}`, async () => {
      const path = `${core}/${resource}`;
      const at = `${path}/immutable-${resource}`;
      await api.call("POST", path, { metadata: { name: `immutable-${resource}` }, ...data("dmFsdWUtMQ==") });
      const patch = (body: object) => api.call("PATCH", at, body, mergePatch);
      await patch(data("dmFsdWUtMg=="));
      await patch({ immutable: true });
      for (const [body, what] of [
        [data("dmFsdWUtMw=="), "data"],
        [{ immutable: null }, "immutable"],
        [{ immutable: false }, "immutable"],
      ] as const) {
        const { code, message } = await refusal(patch(body));
        assert.equal(code, 422);
        assert.match(message, new RegExp(`${what}: Forbidden: field is immutable when \`immutable\` is set`));
      }
      await patchLabel(at, { still: "labelled" });
      await api.call("DELETE", at);
    });
  immutable("ConfigMap should be immutable if `immutable` field is set", "configmaps", (value) => ({
    data: { "data-1": value },
  }));
  immutable("Secrets should be immutable if `immutable` field is set", "secrets", (value) => ({
    data: { "data-1": value },
  }));
});
