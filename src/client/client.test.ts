import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeTransport } from "#testing";
import { createClient, parseResourceName, resourcePath } from "./client.ts";

const widgets = { group: "example.com", version: "v1", resource: "widgets", namespaced: true };

test("client: names and references become paths", () => {
  assert.deepEqual(parseResourceName("v1/pods"), { group: "", version: "v1", resource: "pods" });
  assert.deepEqual(parseResourceName("apps/v1/deployments"), { group: "apps", version: "v1", resource: "deployments" });
  assert.throws(() => parseResourceName("pods"), TypeError);
  assert.equal(resourcePath(parseResourceName("v1/nodes")), "/api/v1/nodes");
  assert.equal(
    resourcePath(widgets, { namespace: "a b", name: "x/y", subresource: "status" }),
    "/apis/example.com/v1/namespaces/a%20b/widgets/x%2Fy/status",
  );
});

test("client: each verb sends what the API expects", async () => {
  const transport = new FakeTransport();
  transport.intercept = () => ({});
  const pods = createClient(transport).resource(widgets, "default");
  await pods.get("a");
  await pods.list({ limit: 5, labelSelector: "x=y" });
  await pods.create({ metadata: { name: "a" } });
  await pods.update({ metadata: { name: "a" } });
  await pods.updateStatus({ metadata: { name: "a" } });
  await pods.patch("a", { metadata: {} }, { type: "apply", subresource: "status", fieldManager: "me", force: true });
  await pods.delete("a", { gracePeriodSeconds: 0, preconditions: { uid: "u" } });
  await pods.deleteCollection({}, { labelSelector: "x=y" });
  await pods.createSubresource("a", "binding", { kind: "Binding" });
  const base = "/apis/example.com/v1/namespaces/default/widgets";
  assert.deepEqual(
    transport.requests.map(({ method, path }) => `${method} ${path.slice(base.length)}`),
    [
      "GET /a",
      "GET ",
      "POST ",
      "PUT /a",
      "PUT /a/status",
      "PATCH /a/status",
      "DELETE /a",
      "DELETE ",
      "POST /a/binding",
    ],
  );
  assert.deepEqual(transport.requests[1]?.query, { limit: 5, labelSelector: "x=y" });
  assert.equal(transport.requests[5]?.contentType, "application/apply-patch+yaml");
  assert.deepEqual(transport.requests[5]?.query, { fieldManager: "me", force: true });
  assert.deepEqual(transport.requests[6]?.body, {
    kind: "DeleteOptions",
    apiVersion: "v1",
    gracePeriodSeconds: 0,
    preconditions: { uid: "u" },
  });
});

test("client: an object's own namespace is used where the client has none", async () => {
  const transport = new FakeTransport();
  await createClient(transport)
    .resource(widgets)
    .create({ metadata: { name: "a", namespace: "ns" } });
  assert.equal(transport.requests[0]?.path, "/apis/example.com/v1/namespaces/ns/widgets");
  await assert.rejects(createClient(transport).resource(widgets).update({ metadata: {} }), /no metadata.name/);
});
