import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import type { Node } from "#api";
import { FakeClock, MetricRegistry, silentLogger } from "#base";
import { createProxyHealth, nodeEligible } from "./proxy-health.ts";
import { listen } from "./health-server.ts";
import { serveProxy, type ServeProxyOptions } from "./serve-proxy.ts";

const start = Date.UTC(2026, 0, 1);

test("proxy health: before its first rules a proxy is well; a change that waits too long makes it ill until it is written", () => {
  const clock = new FakeClock(start);
  const health = createProxyHealth(clock, 60_000);
  assert.deepEqual(health.body(), {
    lastUpdated: "2026-01-01T00:00:00Z",
    currentTime: "2026-01-01T00:00:00Z",
    healthy: true,
  });
  health.queued("IPv4");
  clock.advance(120_000);
  assert.equal(health.healthy(), true, "it starts");
  health.updated("IPv4");
  health.updated("IPv6");
  health.queued("IPv4");
  clock.advance(59_999);
  health.queued("IPv4");
  assert.equal(health.healthy(), true);
  clock.advance(1);
  const ill = health.body(true);
  assert.deepEqual(ill, {
    lastUpdated: "2026-01-01T00:02:00Z",
    currentTime: "2026-01-01T00:03:00Z",
    nodeEligible: true,
    healthy: false,
    status: {
      IPv4: { lastUpdated: "2026-01-01T00:02:00Z", healthy: false },
      IPv6: { lastUpdated: "2026-01-01T00:02:00Z", healthy: true },
    },
  });
  assert.deepEqual(Object.keys(ill), ["lastUpdated", "currentTime", "nodeEligible", "healthy", "status"]);
  health.updated("IPv4");
  assert.equal(health.healthy(), true);
});

test("proxy health: a node that is deleted, gone or about to be removed by an autoscaler is not eligible", () => {
  const node = (fields: Partial<Node>): Node => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "n" },
    ...fields,
  });
  assert.equal(nodeEligible(node({})), true);
  assert.equal(nodeEligible(node({ spec: { taints: [{ key: "other", effect: "NoSchedule" }] } })), true);
  assert.equal(
    nodeEligible(node({ spec: { taints: [{ key: "ToBeDeletedByClusterAutoscaler", effect: "NoSchedule" }] } })),
    false,
  );
  assert.equal(nodeEligible(node({ metadata: { name: "n", deletionTimestamp: "2026-01-01T00:00:00Z" } })), false);
  assert.equal(nodeEligible(undefined), false);
});

/** Ports that are free now; those of a test's own moment. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => listen({ host: "127.0.0.1", port: 0 }, () => undefined, silentLogger)),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port); // it listens on TCP
  for (const server of servers) server.close();
  return ports;
}

async function withServers(
  given: Partial<ServeProxyOptions>,
  run: (at: {
    readonly proxy: ReturnType<typeof serveProxy>;
    readonly get: (port: number, path: string) => Promise<Response>;
    readonly ports: readonly [number, number, number];
    readonly clock: FakeClock;
    readonly failures: string[];
  }) => Promise<void>,
): Promise<void> {
  const [health = 0, metrics = 0, service = 0] = await freePorts(3);
  const clock = new FakeClock(start);
  const failures: string[] = [];
  const stop = new AbortController();
  const proxy = serveProxy({
    mode: () => "nftables",
    families: ["IPv4"],
    metrics: new MetricRegistry(),
    healthAddress: { host: "127.0.0.1", port: health },
    metricsAddress: { host: "127.0.0.1", port: metrics },
    syncPeriodMs: 30_000,
    node: async () => ({ metadata: { name: "n" } }),
    configuration: () => ({ mode: "nftables" }),
    nodePortHosts: () => ["127.0.0.1"],
    healthCheckFailed: ({ namespace, name }, port) => failures.push(`${namespace}/${name} ${port}`),
    clock,
    log: silentLogger,
    ...given,
  });
  const running = proxy.run(stop.signal);
  const get = (port: number, path: string) => fetch(`http://127.0.0.1:${port}/${path}`);
  try {
    await run({ proxy, get, ports: [health, metrics, service], clock, failures });
  } finally {
    stop.abort();
    await running;
  }
}

test("proxy servers: health tells load balancers of the node too, metrics tell the mode, the configuration and what was counted", () =>
  withServers({ node: async () => undefined }, async ({ proxy, get, ports: [health, metrics], clock }) => {
    proxy.observer.queued();
    proxy.observer.committed({ services: 1, durationMs: 3, kind: "full", triggers: [start - 700] });
    const healthz = await get(health, "healthz");
    assert.equal(healthz.status, 503);
    assert.equal(healthz.headers.get("content-type"), "application/json");
    assert.equal(healthz.headers.get("x-content-type-options"), "nosniff");
    assert.equal(
      await healthz.text(),
      '{"lastUpdated":"2026-01-01T00:00:00Z","currentTime":"2026-01-01T00:00:00Z","nodeEligible":false,"healthy":true,"status":{"IPv4":{"lastUpdated":"2026-01-01T00:00:00Z","healthy":true}}}',
    );
    assert.equal((await get(health, "livez")).status, 200);
    assert.equal((await get(health, "other")).status, 404);
    proxy.observer.queued();
    clock.advance(60_000);
    assert.equal((await get(health, "livez")).status, 503);
    assert.equal(await (await get(metrics, "healthz")).text(), "ok");
    assert.equal(await (await get(metrics, "proxyMode")).text(), "nftables");
    assert.deepEqual(await (await get(metrics, "configz")).json(), { "kubeproxy.config.k8s.io": { mode: "nftables" } });
    proxy.observer.failed(new Error("refused"));
    proxy.observer.unchanged?.();
    proxy.observer.withoutLocal?.({ internal: { IPv4: 2, IPv6: 0 }, external: { IPv4: 1, IPv6: 0 } });
    assert.equal((await get(health, "livez")).status, 200, "nothing is waited for any more");
    const text = await (await get(metrics, "metrics")).text();
    for (const line of [
      'kubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family="IPv4",le="0.004"} 1',
      'kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family="IPv4"} 1',
      'kubeproxy_network_programming_duration_seconds_bucket{ip_family="IPv4",le="0.5"} 0',
      'kubeproxy_network_programming_duration_seconds_bucket{ip_family="IPv4",le="1"} 1',
      'kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family="IPv4"} 1',
      `kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv4"} ${start / 1000}`,
      'kubeproxy_proxy_healthz_total{code="503"} 1',
      'kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy="internal",ip_family="IPv4"} 2',
      'kubeproxy_proxy_livez_total{code="200"} 2',
    ])
      assert.ok(text.includes(`${line}\n`), `${line}\nnot in\n${text}`);
  }));

test("proxy servers: a health-check node port tells how many of a Service's endpoints are here, and goes with the Service", () =>
  withServers({}, async ({ proxy, get, ports: [, , port] }) => {
    const check = (local: number) =>
      proxy.observer.localEndpoints?.(new Map([["ns/web", { namespace: "ns", name: "web", port, local }]]));
    check(2);
    // It listens when a socket of its own gets an answer.
    const answer = await until(() => get(port, ""));
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("x-load-balancing-endpoint-weight"), "2");
    assert.equal(
      await answer.text(),
      '{\n\t"service": {\n\t\t"namespace": "ns",\n\t\t"name": "web"\n\t},\n\t"localEndpoints": 2,\n\t"serviceProxyHealthy": true\n}',
    );
    check(0);
    assert.equal((await get(port, "any/path")).status, 503);
    proxy.observer.localEndpoints?.(new Map());
    await until(async () => {
      await assert.rejects(get(port, ""));
    });
  }));

test("proxy servers: a health-check node port that is somebody else's is told, tried again, and nothing else suffers", () =>
  withServers({}, async ({ proxy, get, ports: [health, , port], failures, clock }) => {
    const other = createServer();
    await new Promise<void>((done) => other.listen(port, "127.0.0.1", done));
    proxy.observer.localEndpoints?.(new Map([["ns/web", { namespace: "ns", name: "web", port, local: 1 }]]));
    await until(async () => assert.deepEqual(failures, [`ns/web ${port}`]));
    assert.equal((await get(health, "livez")).status, 200);
    await new Promise((done) => other.close(done));
    clock.advance(30_000);
    assert.equal((await until(() => get(port, ""))).status, 200);
  }));

/** Asks until it doesn't fail: what it waits for comes by the event loop. */
async function until<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch {
      await new Promise((next) => setImmediate(next));
    }
  }
}
