/** Kinds of the network, as Kubernetes' conformance suite asks for them (test/e2e/network): the API server alone. */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import {
  assertDiscovered,
  type Listening,
  mergePatch,
  refusal,
  startListening,
  type Watching,
  watch,
} from "./server.ts";

const core = "/api/v1/namespaces/default";
const networking = "/apis/networking.k8s.io/v1";
const discovery = "/apis/discovery.k8s.io/v1";

suite("kinds of the network", () => {
  let api: Listening;
  before(async () => {
    api = await startListening();
    await api.call("POST", "/api/v1/namespaces", { metadata: { name: "default" } }).catch(() => undefined);
  });
  after(() => api.close());
  const named = async (path: string, labelSelector: string) =>
    (await api.call("GET", path, undefined, { query: { labelSelector } })).items.map(({ metadata }) => metadata.name);
  const next = async (seen: Watching) => {
    const { type, object } = await seen.next();
    return [type, object.metadata.name];
  };

  interface Operations {
    /** Where objects are made, and where they are listed over all namespaces. */
    readonly path: string;
    readonly everywhere?: string;
    readonly prefix: string;
    readonly body: object;
    readonly label: string;
  }
  /** Three objects, listed everywhere, watched, patched, updated, deleted by name and by selector. */
  async function operations({ path, everywhere, prefix, body, label }: Operations) {
    const names = ["a", "b", "c"].map((end) => `${prefix}-${end}`);
    const [first = "", ...others] = names;
    const labelSelector = `special-label=${label}`;
    const seen = watch(api, path, { labelSelector });
    for (const name of names) {
      await api.call("POST", path, { metadata: { name, labels: { "special-label": label } }, ...body });
      assert.deepEqual(await next(seen), ["ADDED", name]);
    }
    assert.equal((await api.call("GET", `${path}/${first}`)).metadata.name, first);
    for (const at of everywhere ? [path, everywhere] : [path]) assert.deepEqual(await named(at, labelSelector), names);
    const patched = await api.call(
      "PATCH",
      `${path}/${first}`,
      { metadata: { annotations: { patched: "true" } } },
      mergePatch,
    );
    assert.equal(patched.metadata.annotations?.patched, "true");
    assert.deepEqual(await next(seen), ["MODIFIED", first]);
    const annotations = { ...patched.metadata.annotations, updated: "true" };
    await api.call("PUT", `${path}/${first}`, { ...patched, metadata: { ...patched.metadata, annotations } });
    assert.equal((await seen.next()).object.metadata.annotations?.updated, "true");
    await api.call("DELETE", `${path}/${first}`);
    assert.deepEqual(await next(seen), ["DELETED", first]);
    assert.equal((await refusal(api.call("GET", `${path}/${first}`))).code, 404);
    assert.deepEqual(await named(path, labelSelector), others);
    await api.call("DELETE", path, undefined, { query: { labelSelector } });
    assert.deepEqual(await named(path, labelSelector), []);
    await seen.stop();
  }

  const backend = { service: { name: "test-backend", port: { number: 80 } } };
  const rule = { host: "foo.bar.com", http: { paths: [{ path: "/", pathType: "Prefix", backend }] } };

  test("conformance: Ingress API should support creating Ingress API operations", async () => {
    await assertDiscovered(api, "networking.k8s.io/v1", ["ingresses", "ingresses/status"]);
    const path = `${networking}/namespaces/default/ingresses`;
    const body = { spec: { defaultBackend: { service: { name: "default", port: { number: 80 } } }, rules: [rule] } };
    await operations({ path, everywhere: `${networking}/ingresses`, prefix: "ingress", body, label: "ingress" });
    await api.call("POST", path, { metadata: { name: "status" }, ...body });
    const ingress = [{ ip: "169.1.1.1" }];
    const status = { loadBalancer: { ingress } };
    const change = { metadata: { annotations: { patchedstatus: "true" } }, status };
    const patched = await api.call("PATCH", `${path}/status/status`, change, mergePatch);
    assert.deepEqual([patched.status, patched.metadata.annotations?.patchedstatus], [status, "true"]);
    const updated = { loadBalancer: { ingress: [{ ip: "169.1.1.2" }] } };
    const { status: after } = await api.call("PUT", `${path}/status/status`, { ...patched, status: updated });
    assert.deepEqual(after, updated);
    const { status: got } = await api.call("GET", `${path}/status/status`);
    assert.deepEqual(got, updated);
  });

  test("conformance: IngressClass API should support creating IngressClass API operations", async () => {
    await assertDiscovered(api, "networking.k8s.io/v1", ["ingressclasses"]);
    const body = { spec: { controller: "example.com/controller" } };
    await operations({ path: `${networking}/ingressclasses`, prefix: "class", body, label: "class" });
  });

  test("conformance: EndpointSlice should support creating EndpointSlice API operations", async () => {
    await assertDiscovered(api, "discovery.k8s.io/v1", ["endpointslices"]);
    const body = {
      addressType: "IPv4",
      endpoints: [{ addresses: ["1.2.3.4", "5.6.7.8"], conditions: { ready: true }, nodeName: "n" }],
      ports: [{ name: "http", port: 80, protocol: "TCP" }],
    };
    const path = `${discovery}/namespaces/default/endpointslices`;
    await operations({ path, everywhere: `${discovery}/endpointslices`, prefix: "slice", body, label: "slice" });
  });

  test("conformance: Services should test the lifecycle of an Endpoint", async () => {
    const path = `${core}/endpoints`;
    const labels = { "test-endpoint-static": "true" };
    const seen = watch(api, path, { labelSelector: "test-endpoint-static=true" });
    const subsets = (ip: string, port: number) => [
      { addresses: [{ ip }], ports: [{ name: "http", port, protocol: "TCP" }] },
    ];
    await api.call("POST", path, { metadata: { name: "testservice", labels }, subsets: subsets("10.0.0.24", 80) });
    assert.deepEqual(await next(seen), ["ADDED", "testservice"]);
    const found = await api.call("GET", `${path}/testservice`);
    const relabelled = { ...found.metadata, labels: { ...labels, "test-service": "updated" } };
    await api.call("PUT", `${path}/testservice`, { ...found, metadata: relabelled });
    assert.equal((await seen.next()).object.metadata.labels?.["test-service"], "updated");
    const change = { metadata: { labels: { "test-service": "patched" } }, subsets: subsets("10.0.0.25", 8080) };
    await api.call("PATCH", `${path}/testservice`, change, mergePatch);
    const { object } = await seen.next();
    assert.deepEqual((object as unknown as { subsets: object }).subsets, change.subsets);
    await api.call("DELETE", path, undefined, { query: { labelSelector: "test-endpoint-static=true" } });
    assert.deepEqual(await next(seen), ["DELETED", "testservice"]);
    assert.equal((await refusal(api.call("GET", `${path}/testservice`))).code, 404);
    await seen.stop();
  });

  test("conformance: Services should complete a service status lifecycle", async () => {
    const path = `${core}/services`;
    const labels = { "test-service-static": "true" };
    const seen = watch(api, path, { labelSelector: "test-service-static=true" });
    const ports = [{ name: "http", protocol: "TCP", port: 80, targetPort: 80 }];
    const spec = { type: "LoadBalancer", ports, loadBalancerClass: "example.com/internal-vip" };
    await api.call("POST", path, { metadata: { name: "status", labels }, spec });
    assert.deepEqual(await next(seen), ["ADDED", "status"]);
    const fresh = await api.call("GET", `${path}/status/status`);
    assert.deepEqual(fresh.status, { loadBalancer: {} });
    const status = { loadBalancer: { ingress: [{ ip: "203.0.113.1", ipMode: "VIP" }] } };
    const change = {
      metadata: { annotations: { patchedstatus: "true" } },
      status: { loadBalancer: { ingress: [{ ip: "203.0.113.1" }] } },
    };
    const patched = await api.call("PATCH", `${path}/status/status`, change, mergePatch);
    assert.deepEqual([patched.status, patched.metadata.annotations?.patchedstatus], [status, "true"]);
    assert.deepEqual((await seen.next()).object.status, status);
    const condition = {
      ...{ type: "StatusUpdate", status: "True", reason: "E2E", message: "Set by a test" },
      lastTransitionTime: null,
    };
    await api.call("PUT", `${path}/status/status`, { ...patched, status: { ...status, conditions: [condition] } });
    const { conditions } = (await seen.next()).object.status as { conditions: object[] };
    assert.deepEqual(conditions, [condition]);
    await api.call("PATCH", `${path}/status`, { metadata: { labels: { "test-service": "patched" } } }, mergePatch);
    assert.equal((await seen.next()).object.metadata.labels?.["test-service"], "patched");
    await api.call("DELETE", `${path}/status`);
    assert.deepEqual(await next(seen), ["DELETED", "status"]);
    await seen.stop();
  });

  test("conformance: Services should delete a collection of services", async () => {
    const path = `${core}/services`;
    for (const [name, labels] of [
      ["first", { collection: "services", end: "yes" }],
      ["second", { collection: "services", end: "yes" }],
      ["third", { collection: "services", end: "no" }],
    ] as const)
      await api.call("POST", path, { metadata: { name, labels }, spec: { ports: [{ name: "http", port: 80 }] } });
    assert.deepEqual(await named(path, "collection=services"), ["first", "second", "third"]);
    await api.call("DELETE", path, undefined, { query: { labelSelector: "end=yes" } });
    assert.deepEqual(await named(path, "collection=services"), ["third"]);
  });
});
