import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startTestServer, type TestServer } from "../test-server.ts";

let api: TestServer;
before(async () => {
  api = await startTestServer();
});
after(() => api.close());

const merge = { contentType: "application/merge-patch+json" };
const configMap = (name: string) => ({ metadata: { name } });

/** As the quota controller leaves it. */
async function quota(namespace: string, name: string, hard: object, used: object = {}): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/resourcequotas`;
  await api.call("POST", path, { metadata: { name }, spec: { hard } });
  await api.call("PATCH", `${path}/${name}/status`, { status: { hard, used } }, merge);
  return `${path}/${name}`;
}

async function namespace(name: string): Promise<string> {
  await api.call("POST", "/api/v1/namespaces", { metadata: { name } });
  return `/api/v1/namespaces/${name}`;
}

test("quota: many writers at once get what there is, no more", async () => {
  const path = await namespace("many");
  const limits = [
    await quota("many", "a", { configmaps: "7" }, { configmaps: "2" }),
    await quota("many", "b", { "count/configmaps": "100" }, { "count/configmaps": "2" }),
  ];
  const writes = Array.from({ length: 20 }, (_, i) => api.call("POST", `${path}/configmaps`, configMap(`c${i}`)));
  const results = await Promise.allSettled(writes);
  const refused = results.filter((result) => result.status === "rejected");
  assert.equal(results.length - refused.length, 5);
  assert.match(
    String(refused[0]?.reason.message),
    /^configmaps "c\d+" is forbidden: exceeded quota: a, requested: configmaps=1, used: configmaps=7, limited: configmaps=7$/,
  );
  const [first, second] = await Promise.all(limits.map((each) => api.call("GET", each)));
  assert.deepEqual(first?.status.used, { configmaps: "7" });
  assert.deepEqual(
    second?.status.used,
    { "count/configmaps": "7" },
    "what one quota refuses costs nothing in the other",
  );
});

test("quota: dry runs cost nothing, updates the difference", async () => {
  const path = await namespace("changes");
  const own = await quota("changes", "q", { "services.nodeports": "2" }, { "services.nodeports": "0" });
  const used = async () => (await api.call("GET", own)).status.used as object;
  const service = (type: string) => ({ metadata: { name: "s" }, spec: { type, ports: [{ port: 80 }] } });
  await api.call("POST", `${path}/services`, service("NodePort"), { query: { dryRun: "All" } });
  assert.deepEqual(await used(), { "services.nodeports": "0" });
  await api.call("POST", `${path}/services`, service("NodePort"));
  assert.deepEqual(await used(), { "services.nodeports": "1" });
  await api.call(
    "PATCH",
    `${path}/services/s`,
    { spec: { type: "ClusterIP", ports: [{ port: 80, nodePort: null }] } },
    merge,
  );
  assert.deepEqual(await used(), { "services.nodeports": "0" });
});

// The suite's "ResourceQuota should verify ResourceQuota with terminating scopes through scope selectors."
test("quota: a pod that gets a deadline counts for the other scope at once", async () => {
  const path = await namespace("scopes");
  await api.call("POST", `${path}/serviceaccounts`, { metadata: { name: "default" } });
  const own = `${path}/resourcequotas/q`;
  const hard = { pods: "1" };
  await api.call("POST", `${path}/resourcequotas`, {
    metadata: { name: "q" },
    spec: { hard, scopes: ["Terminating"] },
  });
  await api.call("PATCH", `${own}/status`, { status: { hard, used: { pods: "0" } } }, merge);
  const pod = (name: string, spec: object = {}) => ({
    metadata: { name },
    spec: { containers: [{ name: "c", image: "i" }], ...spec },
  });
  await api.call("POST", `${path}/pods`, pod("a"));
  assert.deepEqual((await api.call("GET", own)).status.used, { pods: "0" });
  await api.call("PATCH", `${path}/pods/a`, { spec: { activeDeadlineSeconds: 60 } }, merge);
  assert.deepEqual((await api.call("GET", own)).status.used, { pods: "1" });
  await assert.rejects(api.call("POST", `${path}/pods`, pod("b", { activeDeadlineSeconds: 60 })), {
    message: 'pods "b" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
  });
});

test("quota: refuses what can't be counted", async () => {
  const path = await namespace("unknown");
  await quota("unknown", "q", { secrets: "1" });
  await assert.rejects(api.call("POST", `${path}/secrets`, configMap("s")), {
    message: 'secrets "s" is forbidden: status unknown for quota: q, resources: secrets',
  });
});
