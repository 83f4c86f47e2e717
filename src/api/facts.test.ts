import assert from "node:assert/strict";
import { test } from "node:test";
import { facts } from "./facts.ts";

test("facts: resources carry what discovery prints", () => {
  const deployments = facts.resource("apps/v1", "deployments");
  assert.deepEqual(
    {
      ...deployments,
      subresources: deployments?.subresources.map((each) => `${each.name} ${each.group}/${each.kind}`),
    },
    {
      group: "apps",
      version: "v1",
      groupVersion: "apps/v1",
      plural: "deployments",
      singular: "deployment",
      kind: "Deployment",
      listKind: "DeploymentList",
      namespaced: true,
      verbs: ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
      shortNames: ["deploy"],
      categories: ["all"],
      subresources: ["scale autoscaling/Scale", "status apps/Deployment"],
      servedByDefault: true,
    },
  );
  assert.deepEqual(facts.resource("v1", "bindings")?.verbs, ["create"]);
  assert.deepEqual(
    facts.resource("v1", "pods")?.subresources.map((each) => each.name),
    ["attach", "binding", "ephemeralcontainers", "eviction", "exec", "log", "portforward", "proxy", "resize", "status"],
  );
  assert.equal(facts.resource("v1", "nodes")?.namespaced, false);
  assert.equal(facts.resourceOfKind("networking.k8s.io/v1", "Ingress")?.plural, "ingresses");
});

test("facts: groups come in the order of /apis", () => {
  const served = facts.groupVersions().filter((each) => each.servedByDefault);
  const groups = [...new Set(served.map((each) => each.group))];
  assert.deepEqual(groups.slice(0, 8), [
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
  ]);
  assert.deepEqual(
    served.filter((each) => each.group === "autoscaling").map((each) => each.version),
    ["v2", "v1"],
  );
  assert.ok(served.every((each) => !/alpha|beta/.test(each.version)));
});

test("facts: types know fields, merge keys, protobuf numbers and embedded structs", () => {
  const container = facts.type("io.k8s.api.core.v1.Container");
  const ports = container?.fields.get("ports");
  assert.equal(ports?.number, 6);
  assert.equal(ports?.patchMergeKey, "containerPort");
  assert.deepEqual(ports?.patchStrategy, ["merge"]);
  assert.ok(ports?.value.kind === "list");
  assert.equal(ports.value.listType, "map");
  assert.deepEqual(ports.value.mapKeys, ["containerPort", "protocol"]);
  const volume = facts.type("io.k8s.api.core.v1.Volume");
  assert.deepEqual([...(volume?.fields.keys() ?? [])].slice(0, 3), ["name", "hostPath", "emptyDir"]);
  assert.equal(volume?.fields.get("hostPath")?.embedded, 2);
  assert.equal(facts.type("api.core.v1.LocalObjectReference")?.atomic, true);
  assert.equal(facts.type("api.core.v1.ServicePort")?.fields.get("protocol")?.default, "TCP");
});

test("facts: every type and all it refers to can be built", () => {
  for (const { groupVersion, kinds } of facts.groupVersions())
    for (const kind of kinds) {
      const type = facts.typeOf(groupVersion, kind);
      assert.ok(type, `${groupVersion} ${kind}`);
      assert.ok(type.fields.size > 0, type.name);
    }
  const schema = facts.type("apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps");
  const items = schema?.fields.get("items")?.value;
  assert.ok(items?.kind === "any" && items.form === "schema-or-list");
  assert.equal(items.type, schema);
});

test("facts: kinds without a resource are known", () => {
  for (const kind of ["Status", "DeleteOptions", "WatchEvent", "PodExecOptions", "APIVersions"])
    assert.ok(facts.typeOf("v1", kind), kind);
  assert.ok(facts.typeOf("apps/v1", "DeleteOptions"));
  assert.ok(facts.typeOf("admission.k8s.io/v1", "AdmissionReview"));
  assert.ok(facts.typeOf("apiextensions.k8s.io/v1", "ConversionReview"));
  assert.ok(facts.typeOf("autoscaling/v1", "Scale"));
  assert.ok(facts.typeOf("policy/v1", "Eviction"));
  assert.equal(facts.typeOf("apps/v1", "Pod"), undefined);
});
