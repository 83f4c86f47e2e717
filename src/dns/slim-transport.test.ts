import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApiRequest, Transport, WatchEvent } from "#machinery";
import { slimTransport } from "./slim-transport.ts";

const service = (name: string) => ({
  metadata: { name, namespace: "ns", uid: name, resourceVersion: "7", annotations: { long: "x".repeat(999) } },
  spec: {
    ...{ type: "ClusterIP", clusterIP: "10.96.0.1", clusterIPs: ["10.96.0.1"], selector: { app: name } },
    ports: [{ name: "http", port: 80, protocol: "TCP", targetPort: 8080, nodePort: 30080 }],
  },
  status: { loadBalancer: {} },
});
const slim = (name: string) => ({
  metadata: { name, namespace: "ns", resourceVersion: "7" },
  spec: { clusterIP: "10.96.0.1", ports: [{ name: "http", port: 80, protocol: "TCP" }] },
});

function serve(answer: (request: ApiRequest) => unknown, events: readonly WatchEvent[] = []) {
  const asked: ApiRequest[] = [];
  const transport: Transport = {
    close: () => undefined,
    async request(request) {
      asked.push(request);
      return answer(request);
    },
    async watch(_request, onEvent) {
      for (const event of events) onEvent(event);
    },
  };
  return { slim: slimTransport(transport), asked };
}

test("slim transport: lists come in pages, without what names don't need", async () => {
  const { slim: transport, asked } = serve(({ query }) => ({
    ...{ kind: "ServiceList", apiVersion: "v1" },
    metadata: { resourceVersion: "9", ...(query?.continue === undefined && { continue: "more" }) },
    items: [service(query?.continue === undefined ? "a" : "b")],
  }));
  const list = await transport.request({ method: "GET", path: "/api/v1/services", query: { resourceVersion: "0" } });
  assert.deepEqual(list, { metadata: { resourceVersion: "9" }, items: [slim("a"), slim("b")] });
  assert.deepEqual(
    asked.map(({ query }) => query),
    [{ limit: 250 }, { limit: 250, continue: "more" }],
  );
});

test("slim transport: events likewise; what many share is there once; others' objects stay whole", async () => {
  const map = { metadata: { name: "kube-dns" }, data: { a: "b" } };
  const added = ["a", "b"].map((name) => ({ type: "ADDED" as const, object: service(name) }));
  const bookmark = { type: "BOOKMARK" as const, object: { metadata: { resourceVersion: "8" } } };
  const { slim: transport } = serve(() => map, [...added, bookmark]);
  const seen: WatchEvent[] = [];
  const request = { method: "GET", path: "/api/v1/services" } as const;
  await transport.watch(request, (event) => seen.push(event));
  assert.deepEqual(seen, [...["a", "b"].map((name) => ({ type: "ADDED", object: slim(name) })), bookmark]);
  const [first, second] = seen.map(({ object }) => object as ReturnType<typeof slim>);
  assert.equal(first?.spec.ports, second?.spec.ports);
  assert.equal(await transport.request({ method: "GET", path: "/api/v1/configmaps" }), map);
});

test("slim transport: endpoints keep names, addresses and whether they take traffic", async () => {
  const path = "/apis/discovery.k8s.io/v1/endpointslices";
  const labels = { "kubernetes.io/service-name": "db", other: "x" };
  const conditions = { ready: false, serving: true, terminating: false };
  const { slim: transport } = serve(() => ({
    metadata: { resourceVersion: "9" },
    items: [
      {
        ...{ metadata: { name: "db-1", namespace: "ns", resourceVersion: "7", labels }, addressType: "IPv4" },
        endpoints: [
          { addresses: ["10.0.0.1"], hostname: "db-0", conditions, nodeName: "n", targetRef: { kind: "Pod" } },
        ],
        ports: null,
      },
    ],
  }));
  const { items } = (await transport.request({ method: "GET", path })) as { items: unknown[] };
  assert.deepEqual(items, [
    {
      metadata: {
        ...{ name: "db-1", namespace: "ns", resourceVersion: "7" },
        labels: { "kubernetes.io/service-name": "db" },
      },
      endpoints: [{ addresses: ["10.0.0.1"], hostname: "db-0", conditions: { ready: false } }],
      ports: [],
    },
  ]);
});
