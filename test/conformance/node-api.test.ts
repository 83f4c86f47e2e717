/** Kinds that nodes and pods use, as Kubernetes' conformance suite asks for them (test/e2e/common/node): the API server alone. */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { assertDiscovered, type Listening, mergePatch, refusal, startListening, watch } from "./server.ts";

suite("kinds of the node", () => {
  let api: Listening;
  before(async () => {
    api = await startListening();
    await api.call("POST", "/api/v1/namespaces", { metadata: { name: "default" } }).catch(() => undefined);
  });
  after(() => api.close());
  const core = "/api/v1/namespaces/default";
  const notFound = async (path: string) => assert.equal((await refusal(api.call("GET", path))).code, 404);
  const listed = async (path: string, labelSelector: string) =>
    (await api.call("GET", path, undefined, { query: { labelSelector } })).items.map(({ metadata }) => metadata.name);
  const removeAll = (path: string, labelSelector: string) =>
    api.call("DELETE", path, undefined, { query: { labelSelector } });

  test("conformance: Node Lifecycle should run through the lifecycle of a node", async () => {
    const nodes = "/api/v1/nodes";
    const made = await api.call("POST", nodes, { metadata: { name: "e2e-fake-node" } });
    assert.equal((await api.call("GET", `${nodes}/e2e-fake-node`)).metadata.uid, made.metadata.uid);
    const labels = { "e2e-fake-node": "patched" };
    const patched = await api.call("PATCH", `${nodes}/e2e-fake-node`, { metadata: { labels } }, mergePatch);
    assert.deepEqual(patched.metadata.labels, labels);
    assert.deepEqual(await listed(nodes, "e2e-fake-node=patched"), ["e2e-fake-node"]);
    const metadata = { ...patched.metadata, labels: { "e2e-fake-node": "updated" } };
    const updated = await api.call("PUT", `${nodes}/e2e-fake-node`, { ...patched, metadata });
    assert.deepEqual(updated.metadata.labels, { "e2e-fake-node": "updated" });
    await api.call("DELETE", `${nodes}/e2e-fake-node`);
    await notFound(`${nodes}/e2e-fake-node`);
  });

  const template = (name: string, labels: object) => ({
    metadata: { name, labels },
    template: { spec: { containers: [{ name: "nginx", image: "example.com/nginx:1" }] } },
  });
  const templates = `${core}/podtemplates`;
  test("conformance: PodTemplates should run the lifecycle of PodTemplates", async () => {
    await api.call("POST", templates, template("nginx", { "podtemplate-static": "true" }));
    const labels = { podtemplate: "patched" };
    await api.call("PATCH", `${templates}/nginx`, { metadata: { labels } }, mergePatch);
    assert.equal((await api.call("GET", `${templates}/nginx`)).metadata.labels?.podtemplate, "patched");
    assert.deepEqual(await listed("/api/v1/podtemplates", "podtemplate=patched,podtemplate-static=true"), ["nginx"]);
    await api.call("DELETE", `${templates}/nginx`);
    assert.deepEqual(await listed(templates, "podtemplate-static=true"), []);
  });
  test("conformance: PodTemplates should delete a collection of pod templates", async () => {
    const names = ["test-podtemplate-1", "test-podtemplate-2", "test-podtemplate-3"];
    for (const name of names) await api.call("POST", templates, template(name, { "podtemplate-set": "true" }));
    assert.deepEqual(await listed(templates, "podtemplate-set=true"), names);
    await removeAll(templates, "podtemplate-set=true");
    assert.deepEqual(await listed(templates, "podtemplate-set=true"), []);
  });
  test("conformance: PodTemplates should replace a pod template", async () => {
    const made = await api.call("POST", templates, template("replaced", {}));
    const metadata = { ...made.metadata, annotations: { updated: "true" } };
    const updated = await api.call("PUT", `${templates}/replaced`, { ...made, metadata });
    assert.deepEqual(updated.metadata.annotations, { updated: "true" });
  });

  test("conformance: ConfigMap should fail to create ConfigMap with empty key", async () => {
    const { code, message } = await refusal(
      api.call("POST", `${core}/configmaps`, { metadata: { name: "empty-key" }, data: { "": "value-1" } }),
    );
    assert.equal(code, 422);
    assert.match(
      message,
      /^ConfigMap "empty-key" is invalid: data\[\]: Invalid value: "": a valid config key must consist of/,
    );
  });
  test("conformance: ConfigMap should run through a ConfigMap lifecycle", async () => {
    const path = `${core}/configmaps`;
    const seen = watch(api, path, { labelSelector: "test-configmap-static=true" });
    const labels = { "test-configmap-static": "true" };
    await api.call("POST", path, { metadata: { name: "test-configmap", labels }, data: { valueName: "value" } });
    assert.equal((await seen.next()).type, "ADDED");
    const body = { metadata: { labels: { "test-configmap": "patched" } }, data: { valueName: "value1" } };
    await api.call("PATCH", `${path}/test-configmap`, body, mergePatch);
    assert.equal((await seen.next()).type, "MODIFIED");
    const found = await api.call("GET", `${path}/test-configmap`);
    assert.equal(found.data.valueName, "value1");
    assert.equal(found.metadata.labels?.["test-configmap"], "patched");
    assert.deepEqual(await listed("/api/v1/configmaps", "test-configmap-static=true"), ["test-configmap"]);
    await removeAll(path, "test-configmap-static=true");
    assert.equal((await seen.next()).type, "DELETED");
    await seen.stop();
    assert.deepEqual(await listed(path, "test-configmap-static=true"), []);
  });

  test("conformance: Secrets should fail to create secret due to empty secret key", async () => {
    const { code, message } = await refusal(
      api.call("POST", `${core}/secrets`, { metadata: { name: "empty-key" }, data: { "": "dmFsdWUtMQ==" } }),
    );
    assert.equal(code, 422);
    assert.match(
      message,
      /^Secret "empty-key" is invalid: data\[\]: Invalid value: "": a valid config key must consist of/,
    );
  });
  test("conformance: Secrets should patch a secret", async () => {
    const path = `${core}/secrets`;
    const labels = { testsecret: "true" };
    await api.call("POST", path, { metadata: { name: "patched", labels }, data: { key: "dmFsdWU=" }, type: "Opaque" });
    assert.deepEqual(await listed("/api/v1/secrets", "testsecret=true"), ["patched"]);
    const body = { metadata: { labels: { testsecret: "false" } }, data: { key: "dmFsdWUx" } };
    await api.call("PATCH", `${path}/patched`, body, mergePatch);
    const found = await api.call("GET", `${path}/patched`);
    assert.equal(found.data.key, "dmFsdWUx");
    assert.deepEqual(found.metadata.labels, { testsecret: "false" });
    await removeAll(path, "testsecret=false");
    assert.deepEqual(await listed("/api/v1/secrets", "testsecret=false"), []);
  });

  test("conformance: Lease lease API should be available", async () => {
    const path = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    const time = (second: number) => `2026-01-01T00:00:0${second}.000000Z`;
    const spec = {
      holderIdentity: "holder",
      leaseDurationSeconds: 30,
      acquireTime: time(0),
      renewTime: time(5),
      leaseTransitions: 0,
    };
    await api.call("POST", path, { metadata: { name: "lease" }, spec });
    const lease = await api.call("GET", `${path}/lease`);
    assert.deepEqual(lease.spec, spec);
    const changed = {
      holderIdentity: "holder2",
      leaseDurationSeconds: 60,
      acquireTime: time(1),
      renewTime: time(6),
      leaseTransitions: 1,
    };
    await api.call("PUT", `${path}/lease`, { ...lease, spec: changed });
    assert.deepEqual((await api.call("GET", `${path}/lease`)).spec, changed);
    const change = { holderIdentity: "holder3", leaseDurationSeconds: 50, leaseTransitions: 2 };
    await api.call("PATCH", `${path}/lease`, { spec: change }, mergePatch);
    assert.deepEqual((await api.call("GET", `${path}/lease`)).spec, { ...changed, ...change });
    await api.call("POST", path, { metadata: { name: "lease2", labels: { deletecollection: "true" } }, spec });
    const all = async () => (await api.call("GET", path)).items.map(({ metadata }) => metadata.name);
    assert.deepEqual(await all(), ["lease", "lease2"]);
    await removeAll(path, "deletecollection=true");
    assert.deepEqual(await all(), ["lease"]);
    await api.call("DELETE", `${path}/lease`);
    await notFound(`${path}/lease`);
  });

  test("conformance: RuntimeClass should support RuntimeClasses API operations", async () => {
    await assertDiscovered(api, "node.k8s.io/v1", ["runtimeclasses"]);
    const path = "/apis/node.k8s.io/v1/runtimeclasses";
    const labels = { test: "operations" };
    const made = (name: string) => api.call("POST", path, { metadata: { name, labels }, handler: "handler" });
    const seen = watch(api, path, { labelSelector: "test=operations" });
    const first = await made("first");
    assert.equal((await refusal(made("first"))).code, 409);
    await made("second");
    await made("third");
    assert.equal((await api.call("GET", `${path}/first`)).metadata.uid, first.metadata.uid);
    assert.deepEqual(await listed(path, "test=operations"), ["first", "second", "third"]);
    const patched = await api.call(
      "PATCH",
      `${path}/first`,
      { metadata: { annotations: { patched: "true" } } },
      mergePatch,
    );
    assert.deepEqual(patched.metadata.annotations, { patched: "true" });
    const metadata = { ...patched.metadata, annotations: { updated: "true" } };
    const updated = await api.call("PUT", `${path}/first`, { ...patched, metadata });
    assert.deepEqual(updated.metadata.annotations, { updated: "true" });
    await api.call("DELETE", `${path}/first`);
    await notFound(`${path}/first`);
    const types: string[] = [];
    while (types.at(-1) !== "DELETED") types.push((await seen.next()).type);
    assert.deepEqual(types, ["ADDED", "ADDED", "ADDED", "MODIFIED", "MODIFIED", "DELETED"]);
    await seen.stop();
    await removeAll(path, "test=operations");
    assert.deepEqual(await listed(path, "test=operations"), []);
  });
});
