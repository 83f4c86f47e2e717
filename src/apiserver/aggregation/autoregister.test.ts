import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestServer, type TestObject, type TestServer } from "../test-server.ts";

const apiServices = "/apis/apiregistration.k8s.io/v1/apiservices";
const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const definition = (name: string) => ({
  metadata: { name: `${name}s.example.com` },
  spec: {
    group: "example.com",
    scope: "Namespaced",
    names: { plural: `${name}s`, singular: name, kind: name[0]?.toUpperCase() + name.slice(1) },
    versions: [
      { name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object" } } },
      { name: "v1beta1", served: false, storage: false, schema: { openAPIV3Schema: { type: "object" } } },
    ],
  },
});

/** Resolves with the first event of this type about the API service. */
async function event(api: TestServer, type: string, name: string): Promise<TestObject> {
  const stop = new AbortController();
  let found: TestObject | undefined;
  const query = { fieldSelector: `metadata.name=${name}` };
  await api.transport.watch({ method: "GET", path: apiServices, query, signal: stop.signal }, (each) => {
    if (each.type === type) found ??= each.object as TestObject;
    if (each.type === type) stop.abort();
  });
  assert.ok(found);
  return found;
}

test("autoregister: versions of custom resources have an API service as long as one definition serves them", async () => {
  const api = await startTestServer();
  try {
    await api.call("POST", definitions, definition("one"));
    await api.call("POST", definitions, definition("two"));
    const { metadata, spec } = await event(api, "ADDED", "v1.example.com");
    assert.deepEqual(metadata.labels, { "kube-aggregator.kubernetes.io/automanaged": "true" });
    const priorities = { groupPriorityMinimum: 1000, versionPriority: 100 };
    assert.deepEqual(spec, { group: "example.com", version: "v1", ...priorities });
    await assert.rejects(api.call("GET", `${apiServices}/v1beta1.example.com`), { code: 404 });
    // Nobody may keep it away or change it.
    const merge = { contentType: "application/merge-patch+json" };
    await api.call("PATCH", `${apiServices}/v1.example.com`, { spec: { versionPriority: 7 } }, merge);
    assert.deepEqual((await event(api, "MODIFIED", "v1.example.com")).spec.versionPriority, 100);
    await api.call("DELETE", `${definitions}/ones.example.com`);
    await api.call("DELETE", `${apiServices}/v1.example.com`);
    await event(api, "ADDED", "v1.example.com");
    const gone = event(api, "DELETED", "v1.example.com");
    await api.call("DELETE", `${definitions}/twos.example.com`);
    await gone;
    const { groups } = (await api.call("GET", "/apis")) as unknown as { groups: { name: string }[] };
    assert.ok(!groups.some(({ name }) => name === "example.com"));
  } finally {
    await api.close();
  }
});

test("autoregister: one without the label is somebody's own", async () => {
  const api = await startTestServer();
  try {
    const spec = { group: "example.com", version: "v1", groupPriorityMinimum: 5, versionPriority: 6 };
    await api.call("POST", apiServices, { metadata: { name: "v1.example.com" }, spec });
    await api.call("POST", definitions, definition("one"));
    await api.call("DELETE", `${definitions}/ones.example.com`);
    assert.deepEqual((await api.call("GET", `${apiServices}/v1.example.com`)).spec, spec);
  } finally {
    await api.close();
  }
});
