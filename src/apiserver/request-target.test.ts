import assert from "node:assert/strict";
import { test } from "node:test";
import { parseTarget, type ResourceTarget } from "./request-target.ts";

const cases: [path: string, expected: Partial<ResourceTarget>][] = [
  ["/api/v1/pods", { group: "", version: "v1", resource: "pods", namespace: "", name: "" }],
  ["/api/v1/namespaces/a/pods", { resource: "pods", namespace: "a", name: "", inNamespace: true }],
  ["/api/v1/namespaces/a/pods/b", { resource: "pods", namespace: "a", name: "b" }],
  ["/api/v1/namespaces/a/pods/b/log", { resource: "pods", name: "b", subresource: "log", rest: "" }],
  ["/api/v1/namespaces/a/pods/b/proxy/x/%2Fy", { subresource: "proxy", rest: "x/%2Fy" }],
  ["/api/v1/namespaces/a", { resource: "namespaces", namespace: "a", name: "a", inNamespace: false }],
  ["/api/v1/namespaces/a/finalize", { resource: "namespaces", name: "a", subresource: "finalize" }],
  ["/api/v1/namespaces/a/status", { resource: "namespaces", name: "a", subresource: "status" }],
  ["/api/v1/nodes/n/", { resource: "nodes", name: "n" }],
  ["/apis/apps/v1/deployments", { group: "apps", version: "v1", resource: "deployments" }],
  ["/apis/apps/v1/namespaces/a/deployments/d/scale", { group: "apps", name: "d", subresource: "scale" }],
  ["/api/v1/watch/namespaces/a/pods/b", { resource: "pods", namespace: "a", name: "b", legacyWatch: true }],
  ["/api/v1/namespaces//pods/b", { resource: "pods", namespace: "", name: "b", inNamespace: true }],
  ["/api/v1/namespaces/a/pods/..", { resource: "pods", name: ".." }],
  ["/api/v1/namespaces/a/pods//", { resource: "pods", name: "" }],
  ["/api/v1/namespaces/a/configm%61ps/b", { resource: "configmaps", name: "b" }],
];
for (const [path, expected] of cases) {
  test(`target: ${path}`, () => {
    const target = parseTarget(path);
    assert.equal(target?.type, "resource");
    for (const [key, value] of Object.entries(expected))
      assert.equal((target as unknown as Record<string, unknown>)[key], value, key);
  });
}

test("target: paths that nothing is served under", () => {
  const odd = [
    "//api/v1/pods",
    "/api/v1/./pods",
    "/api/v1/../x/pods",
    "/api/v1/pods/a%2Fb",
    "/api/v1/pods/%00",
    "/api/v1/watch",
  ];
  for (const path of odd) assert.equal(parseTarget(path)?.type, "odd", path);
  assert.equal(parseTarget("/api/v1/pods/%zz"), undefined);
});

test("target: paths that are no resources", () => {
  for (const path of ["/", "/api", "/apis/apps/v1", "/healthz/etcd", "/version/"])
    assert.equal(parseTarget(path)?.type, "path", path);
});
