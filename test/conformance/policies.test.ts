/** Validating admission policies as Kubernetes' conformance suite asks for them (test/e2e/apimachinery/validatingadmissionpolicy.go). */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startTestServer, type TestServer } from "../../src/apiserver/test-server.ts";
import { assertDiscovered, mergePatch, refusal, watch } from "./server.ts";

let api: TestServer;
before(async () => {
  api = await startTestServer();
});
after(() => api.close());

const root = "/apis/admissionregistration.k8s.io/v1";
const deployments = {
  operations: ["CREATE", "UPDATE"],
  apiGroups: ["apps"],
  apiVersions: ["v1"],
  resources: ["deployments"],
};

/** A namespace of its own, and a policy bound to it alone. */
async function bind(name: string, spec: object): Promise<string> {
  await api.call("POST", "/api/v1/namespaces", { metadata: { name, labels: { [name]: "true" } } });
  const namespaceSelector = { matchLabels: { [name]: "true" } };
  await api.call("POST", `${root}/validatingadmissionpolicies`, {
    metadata: { name: `${name}.policy.example.com` },
    spec: { matchConstraints: { namespaceSelector, resourceRules: [deployments] }, ...spec },
  });
  await api.call("POST", `${root}/validatingadmissionpolicybindings`, {
    metadata: { name: `${name}.binding.example.com` },
    spec: {
      policyName: `${name}.policy.example.com`,
      validationActions: ["Deny"],
      matchResources: { namespaceSelector },
    },
  });
  return `/apis/apps/v1/namespaces/${name}`;
}

const workload = (name: string, replicas: number) => ({
  metadata: { name },
  spec: {
    replicas,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: "c", image: "example.com/c:1" }] } },
  },
});

test("conformance: ValidatingAdmissionPolicy should validate against a Deployment", async () => {
  const apps = await bind("replicas", {
    validations: [
      {
        expression: "object.spec.replicas > 1",
        messageExpression: "'wants replicas > 1, got ' + object.spec.replicas",
      },
      { expression: "namespaceObject.metadata.name == 'replicas'", message: "another namespace" },
    ],
  });
  const denied = await refusal(api.call("POST", `${apps}/deployments`, workload("marker", 1)));
  assert.equal(denied.code, 422);
  assert.match(denied.message, /^deployments\.apps "marker" is forbidden: ValidatingAdmissionPolicy 'replicas\.policy/);
  await api.call("POST", `${apps}/deployments`, workload("replicated", 2));
  await api.call("POST", `${apps}/replicasets`, workload("non-replicated", 1));
  // Nobody else is held to it.
  await api.call("POST", "/apis/apps/v1/namespaces/default/deployments", workload("elsewhere", 1));
});

test("conformance: ValidatingAdmissionPolicy should allow expressions to refer variables.", async () => {
  const apps = await bind("variables", {
    variables: [
      { name: "replicas", expression: "object.spec.replicas" },
      { name: "oddReplicas", expression: "variables.replicas % 2 == 1" },
    ],
    validations: [{ expression: "variables.replicas > 1" }, { expression: "variables.oddReplicas" }],
  });
  for (const replicas of [1, 2]) {
    const { code } = await refusal(api.call("POST", `${apps}/deployments`, workload("marker", replicas)));
    assert.equal(code, 422);
  }
  await api.call("POST", `${apps}/deployments`, workload("replicated", 3));
  await api.call("POST", `${apps}/replicasets`, workload("non-replicated", 1));
});

/** Made thrice, then the last one read, listed, watched, changed and deleted, and the others deleted together. */
async function walk(resource: string, spec: object, change: readonly [field: string, from: unknown, to: unknown]) {
  await assertDiscovered(api, "admissionregistration.k8s.io/v1", [resource]);
  const path = `${root}/${resource}`;
  const [field, first, second] = change;
  const query = { labelSelector: `e2e=${resource}` };
  const template = { metadata: { generateName: "e2e-", labels: { e2e: resource } }, spec };
  await api.call("POST", path, template);
  await api.call("POST", path, template);
  const { name = "", uid } = (await api.call("POST", path, template)).metadata;
  const read = await api.call("GET", `${path}/${name}`);
  assert.equal(read.metadata.uid, uid);
  const list = await api.call("GET", path, undefined, { query });
  assert.equal(list.items.length, 3);
  const watching = watch(api, path, { ...query, resourceVersion: list.metadata.resourceVersion ?? "" });

  const annotated = { metadata: { annotations: { patched: "true" } }, spec: { [field]: first } };
  const patched = await api.call("PATCH", `${path}/${name}`, annotated, mergePatch);
  assert.equal(patched.metadata.annotations?.patched, "true");
  assert.deepEqual(patched.spec[field], first);
  assert.ok(Number(patched.metadata.resourceVersion) > Number(read.metadata.resourceVersion));
  const updated = await api.call("PUT", `${path}/${name}`, {
    ...patched,
    metadata: { ...patched.metadata, annotations: { patched: "true", updated: "true" } },
    spec: { ...patched.spec, [field]: second },
  });
  assert.equal(updated.metadata.annotations?.updated, "true");
  assert.deepEqual(updated.spec[field], second);
  for (const marks of [{ patched: "true" }, { patched: "true", updated: "true" }]) {
    const { type, object } = await watching.next();
    assert.deepEqual([type, object.metadata.name, object.metadata.annotations], ["MODIFIED", name, marks]);
  }
  await watching.stop();
  return {
    path: `${path}/${name}`,
    uid,
    async remove() {
      await api.call("DELETE", `${path}/${name}`);
      assert.equal((await refusal(api.call("GET", `${path}/${name}`))).code, 404);
      assert.equal((await api.call("GET", path, undefined, { query })).items.length, 2);
      await api.call("DELETE", path, undefined, { query });
      assert.equal((await api.call("GET", path, undefined, { query })).items.length, 0);
    },
  };
}

test("conformance: ValidatingAdmissionPolicy should support ValidatingAdmissionPolicy API operations", async () => {
  await assertDiscovered(api, "admissionregistration.k8s.io/v1", ["validatingadmissionpolicies/status"]);
  const validations = [{ expression: "object.spec.replicas <= 100" }];
  const spec = { validations, matchConstraints: { resourceRules: [deployments] } };
  const { path, uid, remove } = await walk("validatingadmissionpolicies", spec, ["failurePolicy", "Ignore", "Fail"]);
  const read = await api.call("GET", `${path}/status`);
  assert.deepEqual(
    [read.apiVersion, read.kind, read.metadata.uid],
    ["admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", uid],
  );
  const condition = (type: string) => ({
    type,
    status: "False",
    reason: "e2e",
    message: "Set from an e2e test",
    lastTransitionTime: "2026-01-02T03:04:05Z",
  });
  const conditions = [condition("PatchStatusFailed")];
  const patched = await api.call("PATCH", `${path}/status`, { status: { conditions } }, mergePatch);
  assert.deepEqual(patched.status.conditions, conditions);
  const more = [...conditions, condition("StatusUpdateFailed")];
  const put = { ...patched, spec: { ...patched.spec, failurePolicy: "Ignore" }, status: { conditions: more } };
  const updated = await api.call("PUT", `${path}/status`, put);
  assert.deepEqual([updated.status.conditions, updated.spec.failurePolicy], [more, "Fail"]);
  await remove();
});

test("conformance: ValidatingAdmissionPolicy should support ValidatingAdmissionPolicyBinding API operations", async () => {
  const spec = { policyName: "replicalimit-policy.example.com", validationActions: ["Deny"] };
  const { remove } = await walk("validatingadmissionpolicybindings", spec, ["validationActions", ["Warn"], ["Deny"]]);
  await remove();
});
