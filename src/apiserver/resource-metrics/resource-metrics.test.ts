import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { facts } from "#api";
import { startTestServer, type TestObject } from "../test-server.ts";
import { resourceMetricsHandlers, type SimulatedUsage } from "./handlers.ts";
import { metricKinds, withResourceMetrics } from "./kinds.ts";
import type { ContainerPoint } from "#api";

const at = "/apis/metrics.k8s.io/v1beta1";
const startMs = 1_000_000;

/** A node `n1` with pods `a` (two containers) and `young`, a pod without metrics, and a simulated node `s1` with `s`. */
async function start(context: TestContext) {
  let looks = 0;
  const simulated: SimulatedUsage = {
    has: (node) => node === "s1",
    usage: ({ name }, container) =>
      name === "s" && container === "c" ? { cpuMilli: 250, memoryBytes: 2 ** 20 } : undefined,
  };
  const api = await startTestServer({
    more: { facts: withResourceMetrics(facts), kinds: [...metricKinds] },
    handlers: resourceMetricsHandlers({
      // Waits for nothing.
      clock: {
        now: () => startMs + looks * 500,
        after(_, run) {
          queueMicrotask(run);
          return () => undefined;
        },
      },
      simulated: () => simulated,
      async fetch(node) {
        assert.equal(node.name, "n1");
        const timeMs = startMs + ++looks * 1000;
        const point = (pod: string, container: string, cores: number, startedMs = 0): ContainerPoint => {
          const cpuNanoSeconds = (timeMs - startedMs) * cores * 1e6;
          return { namespace: "default", pod, container, startedMs, timeMs, cpuNanoSeconds, memoryBytes: 300 * 1024 };
        };
        return {
          node: { timeMs, cpuNanoSeconds: timeMs * 1.5e6, memoryBytes: 2 ** 30 },
          containers: [point("a", "c", 0.1), point("a", "d", 0.000_123), point("young", "c", 1, timeMs - 100)],
        };
      },
    }),
  });
  context.after(() => api.close());
  await api.call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
  for (const name of ["n1", "s1"])
    await api.call("POST", "/api/v1/nodes", { metadata: { name, labels: { zone: name } } });
  for (const [name, nodeName] of [
    ["a", "n1"],
    ["young", "n1"],
    ["none", "n1"],
    ["s", "s1"],
  ]) {
    const containers = [{ name: "c", image: "i" }];
    const spec = { nodeName, containers, serviceAccountName: "default", automountServiceAccountToken: false };
    await api.call("POST", "/api/v1/namespaces/default/pods", { metadata: { name, labels: { app: name } }, spec });
  }
  return api;
}

const namesOf = ({ items }: TestObject) => items.map(({ metadata }) => metadata.name);

test("resource metrics: of nodes and pods, as metrics-server tells them", async (context) => {
  const api = await start(context);
  const nodes = await api.call("GET", `${at}/nodes`);
  assert.deepEqual(namesOf(nodes), ["n1", "s1"]);
  const { metadata, ...rest } = nodes.items[0] as TestObject & object;
  assert.deepEqual(metadata.labels, { zone: "n1" });
  assert.deepEqual(rest, {
    kind: "NodeMetrics",
    apiVersion: "metrics.k8s.io/v1beta1",
    timestamp: "1970-01-01T00:16:42Z",
    window: "1s",
    usage: { cpu: "1500m", memory: "1Gi" },
  });
  assert.deepEqual((nodes.items[1] as unknown as { usage: object }).usage, { cpu: "250m", memory: "1Mi" });
  const pods = await api.call("GET", `${at}/namespaces/default/pods`);
  assert.deepEqual(namesOf(pods), ["a", "s"]);
  const [pod] = pods.items as unknown as { containers: object[] }[];
  assert.deepEqual(pod?.containers, [
    { name: "c", usage: { cpu: "100m", memory: "300Ki" } },
    { name: "d", usage: { cpu: "123u", memory: "300Ki" } },
  ]);
});

test("resource metrics: selected by label and name, one at a time, and those that aren't there", async (context) => {
  const api = await start(context);
  const list = (path: string, query: Record<string, string>) => api.call("GET", at + path, undefined, { query });
  assert.deepEqual(namesOf(await list("/pods", { labelSelector: "app in (s,none)" })), ["s"]);
  assert.deepEqual(namesOf(await list("/pods", { fieldSelector: "metadata.name=a" })), ["a"]);
  assert.deepEqual(namesOf(await list("/nodes", { labelSelector: "zone=s1" })), ["s1"]);
  assert.equal((await api.call("GET", `${at}/namespaces/default/pods/a`)).metadata.name, "a");
  const fails = (path: string, message: string) => assert.rejects(api.call("GET", at + path), { code: 404, message });
  await fails("/namespaces/default/pods/none", 'podmetrics.metrics.k8s.io "default/none" not found');
  await fails("/namespaces/default/pods/gone", 'pods "gone" not found');
  await fails("/nodes/gone", 'nodes "gone" not found');
  await assert.rejects(list("/pods", { labelSelector: "a b" }), { code: 400 });
  await assert.rejects(api.call("DELETE", `${at}/nodes/n1`), { code: 405 });
});

test("resource metrics: told in discovery and in OpenAPI, behind everything else", async (context) => {
  const api = await start(context);
  const { resources } = (await api.call("GET", at)) as unknown as { resources: object[] };
  const verbs = ["get", "list"];
  assert.deepEqual(resources, [
    { name: "nodes", singularName: "", namespaced: false, kind: "NodeMetrics", verbs },
    { name: "pods", singularName: "", namespaced: true, kind: "PodMetrics", verbs },
  ]);
  const { groups } = (await api.call("GET", "/apis")) as unknown as { groups: { name: string }[] };
  assert.equal(groups.at(-1)?.name, "metrics.k8s.io");
  const document = JSON.stringify(await api.call("GET", "/openapi/v3/apis/metrics.k8s.io/v1beta1"));
  assert.match(document, /io\.k8s\.metrics\.pkg\.apis\.metrics\.v1beta1\.PodMetrics/);
});

test("resource metrics: whoever registers a metrics-server takes over; when it goes, ours is back", async (context) => {
  const api = await start(context);
  const services = "/apis/apiregistration.k8s.io/v1/apiservices";
  const name = "v1beta1.metrics.k8s.io";
  const ours = await api.call("GET", `${services}/${name}`);
  assert.equal(ours.metadata.labels, undefined);
  assert.deepEqual(ours.spec, {
    group: "metrics.k8s.io",
    version: "v1beta1",
    groupPriorityMinimum: 100,
    versionPriority: 100,
  });
  const service = { namespace: "kube-system", name: "metrics-server", port: 443 };
  const patch = { spec: { service, insecureSkipTLSVerify: true } };
  const seen = async (type: string, wanted: (object: TestObject) => boolean) => {
    const stop = new AbortController();
    const query = { fieldSelector: `metadata.name=${name}` };
    await api.transport.watch({ method: "GET", path: services, query, signal: stop.signal }, (event) => {
      if (event.type === type && wanted(event.object as TestObject)) stop.abort();
    });
  };
  await api.call("PATCH", `${services}/${name}`, patch, { contentType: "application/merge-patch+json" });
  await seen("ADDED", ({ spec }) => "service" in spec);
  await assert.rejects(api.call("GET", `${at}/nodes`));
  const back = seen("ADDED", ({ spec }) => !("service" in spec));
  await api.call("DELETE", `${services}/${name}`);
  await back;
  assert.deepEqual(namesOf(await api.call("GET", `${at}/nodes`)), ["n1", "s1"]);
});
