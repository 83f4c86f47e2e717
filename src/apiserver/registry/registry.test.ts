import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isStatusError, type StatusError } from "#machinery";
import { configMap, configMaps, startTestServer, type TestServer } from "../test-server.ts";

let api: TestServer;
before(async () => {
  api = await startTestServer();
});
after(() => api.close());

async function refused(work: Promise<unknown>): Promise<StatusError> {
  try {
    await work;
  } catch (error) {
    if (isStatusError(error)) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: "was not refused" });
}

const merge = { contentType: "application/merge-patch+json" };
const apply = { contentType: "application/apply-patch+yaml" };

test("create: the server fills in what identifies the object, and gives back what it stored", async () => {
  const made = await api.call("POST", configMaps, configMap("made", { a: "1" }));
  assert.match(made.metadata.uid ?? "", /^[0-9a-f-]{36}$/);
  assert.match(made.metadata.resourceVersion ?? "", /^\d+$/);
  assert.equal(made.metadata.namespace, "default");
  assert.equal(made.metadata.managedFields?.[0]?.manager, "test");
  assert.deepEqual(await api.call("GET", `${configMaps}/made`), made);
});

test("create: a name is taken once", async () => {
  await api.call("POST", configMaps, configMap("once"));
  const error = await refused(api.call("POST", configMaps, configMap("once")));
  assert.equal(error.reason, "AlreadyExists");
});

test("create: many with one generateName get names of their own", async () => {
  const body = { metadata: { generateName: "many-" } };
  const made = await Promise.all(Array.from({ length: 50 }, () => api.call("POST", configMaps, body)));
  assert.equal(new Set(made.map(({ metadata }) => metadata.name)).size, 50);
});

test("create: a dry run stores nothing and has no revision", async () => {
  const made = await api.call("POST", configMaps, configMap("dry"), { query: { dryRun: "All" } });
  assert.equal(made.metadata.resourceVersion, undefined);
  assert.equal((await refused(api.call("GET", `${configMaps}/dry`))).code, 404);
});

// As the suite's "ValidatingAdmissionPolicy can restrict access by-node" needs it.
test("create: a revision is refused after all who have a say, by the storage alone", async () => {
  const body = { metadata: { name: "revised", resourceVersion: "1" } };
  const elsewhere = configMaps.replace("/default/", "/nowhere/");
  assert.equal((await refused(api.call("POST", elsewhere, body))).code, 404);
  const { message } = await refused(api.call("POST", configMaps, body));
  assert.equal(message, "resourceVersion should not be set on objects to be created");
  await api.call("POST", configMaps, body, { query: { dryRun: "All" } });
});

test("update: of two with the same revision one wins", async () => {
  const { metadata } = await api.call("POST", configMaps, configMap("lock"));
  const body = (value: string) => ({ ...configMap("lock", { value }), metadata });
  const outcomes = await Promise.allSettled([
    api.call("PUT", `${configMaps}/lock`, body("1")),
    api.call("PUT", `${configMaps}/lock`, body("2")),
  ]);
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  const lost = outcomes.find((each) => each.status === "rejected");
  assert.equal(isStatusError(lost?.reason, "Conflict"), true);
});

test("patch: those without a revision all come through, whoever is first", async () => {
  await api.call("POST", configMaps, configMap("busy"));
  const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
  await Promise.all(keys.map((key) => api.call("PATCH", `${configMaps}/busy`, { data: { [key]: "1" } }, merge)));
  const { data } = await api.call("GET", `${configMaps}/busy`);
  assert.deepEqual(Object.keys(data).sort(), [...keys].sort());
});

test("patch: one that changes nothing keeps the revision", async () => {
  const made = await api.call("POST", configMaps, configMap("still", { a: "1", b: "2" }));
  const patched = await api.call("PATCH", `${configMaps}/still`, { data: { b: "2" } }, merge);
  assert.equal(patched.metadata.resourceVersion, made.metadata.resourceVersion);
  const put = await api.call("PUT", `${configMaps}/still`, configMap("still", { b: "2", a: "1" }));
  assert.equal(put.metadata.resourceVersion, made.metadata.resourceVersion);
});

test("apply: creates, merges, and names who owns what is in conflict", async () => {
  const path = `${configMaps}/applied`;
  const of = (fieldManager: string, force?: boolean) => ({ ...apply, query: { fieldManager, force } });
  await api.call("PATCH", path, configMap("applied", { a: "1" }), of("one"));
  await api.call("PATCH", path, configMap("applied", { b: "1" }), of("two"));
  const error = await refused(api.call("PATCH", path, configMap("applied", { a: "2", b: "1" }), of("two")));
  assert.equal(error.status.details?.causes?.[0]?.message, 'conflict with "one"');
  const forced = await api.call("PATCH", path, configMap("applied", { a: "2", b: "1" }), of("two", true));
  assert.deepEqual(forced.data, { a: "2", b: "1" });
  const left = await api.call("PATCH", path, configMap("applied"), of("two"));
  assert.deepEqual(left.data ?? {}, {});
  assert.equal(left.metadata.name, "applied");
});

test("delete: finalizers hold an object until the last is gone", async () => {
  const body = { ...configMap("held"), metadata: { name: "held", finalizers: ["example.com/x"] } };
  await api.call("POST", configMaps, body);
  const going = await api.call("DELETE", `${configMaps}/held`);
  assert.equal(typeof going.metadata.deletionTimestamp, "string");
  assert.equal(going.metadata.deletionGracePeriodSeconds, 0);
  const again = await refused(api.call("POST", configMaps, configMap("held")));
  assert.match(again.message, /^object is being deleted: /);
  await api.call("PATCH", `${configMaps}/held`, { metadata: { finalizers: null } }, merge);
  assert.equal((await refused(api.call("GET", `${configMaps}/held`))).code, 404);
});

test("delete: preconditions, and the garbage collector's finalizers", async () => {
  await api.call("POST", configMaps, configMap("checked"));
  const wrong = { preconditions: { uid: "no" } };
  assert.equal((await refused(api.call("DELETE", `${configMaps}/checked`, wrong))).reason, "Conflict");
  const going = await api.call("DELETE", `${configMaps}/checked`, { propagationPolicy: "Foreground" });
  assert.deepEqual(going.metadata.finalizers, ["foregroundDeletion"]);
});

test("delete collection: by label, and nothing else", async () => {
  for (const [name, group] of [
    ["c1", "x"],
    ["c2", "x"],
    ["c3", "y"],
  ] as const) {
    await api.call("POST", configMaps, configMap(name, {}, { group }));
  }
  await api.call("DELETE", configMaps, undefined, { query: { labelSelector: "group=x" } });
  const { items } = await api.call("GET", configMaps, undefined, { query: { labelSelector: "group" } });
  assert.deepEqual(
    items.map(({ metadata }) => metadata.name),
    ["c3"],
  );
});

test("namespace: ends only after its finalizer", async () => {
  await api.call("POST", "/api/v1/namespaces", { metadata: { name: "ending" } });
  const inside = "/api/v1/namespaces/ending/configmaps";
  await api.call("POST", inside, configMap("in"));
  const going = await api.call("DELETE", "/api/v1/namespaces/ending");
  assert.equal(going.status.phase, "Terminating");
  const error = await refused(api.call("POST", inside, configMap("late")));
  assert.equal(error.status.details?.causes?.[0]?.reason, "NamespaceTerminating");
  await api.call("DELETE", `${inside}/in`);
  const body = { apiVersion: "v1", kind: "Namespace", metadata: { name: "ending" }, spec: { finalizers: [] } };
  await api.call("PUT", "/api/v1/namespaces/ending/finalize", body);
  assert.equal((await refused(api.call("GET", "/api/v1/namespaces/ending"))).code, 404);
});

test("body: what the caller changes afterwards is not what is stored", async () => {
  const body = configMap("copied", { a: "1" });
  await api.call("POST", configMaps, body);
  body.data.a = "2";
  assert.deepEqual((await api.call("GET", `${configMaps}/copied`)).data, { a: "1" });
});
