/** When the proxy commits what, with informers, clock and kernel of the test's own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock, silentLogger } from "#base";
import type { KubernetesObject } from "#machinery";
import { createFakeInformers } from "#testing";
import type { Committed } from "./observer.ts";
import { createProxy } from "./proxy.ts";
import { type ProxySettings, proxySettings } from "./settings.ts";

const services = "v1/services";
const slices = "discovery.k8s.io/v1/endpointslices";
const ranges = "networking.k8s.io/v1/servicecidrs";
const object = (metadata: object, more: object): KubernetesObject => Object.assign({ metadata }, more);
const service = (name: string, address: string, spec: object = {}) =>
  object({ namespace: "ns", name }, { spec: { clusterIP: address, ports: [{ port: 80 }], ...spec } });
const slice = (name: string, endpoints: readonly object[], annotations: object = {}) =>
  object(
    { namespace: "ns", name: `${name}-x`, labels: { "kubernetes.io/service-name": name }, annotations },
    { addressType: "IPv4", ports: [{ name: "", port: 80, protocol: "TCP" }], endpoints },
  );
const node = (labels: object, ...addresses: string[]) =>
  object(
    { name: "n1", labels },
    { status: { addresses: addresses.map((address) => ({ type: "InternalIP", address })) } },
  );

async function start(settings: Partial<ProxySettings>, ...objects: [resource: string, object: KubernetesObject][]) {
  const clock = new FakeClock();
  const informers = createFakeInformers();
  for (const [resource, each] of objects) informers.set(resource, each);
  const kernel = { scripts: [] as string[], refuses: (_script: string) => false, hold: Promise.resolve() };
  const apply = async (script: string) => {
    await kernel.hold;
    if (kernel.refuses(script)) throw new Error("refused");
    kernel.scripts.push(script);
  };
  const told = { commits: [] as Committed[], failures: 0, queued: 0 };
  const proxy = createProxy({
    ...{ informers, nodeName: "n1", settings: proxySettings(settings), apply, clock, log: silentLogger },
    check: async (script) => {
      if (kernel.refuses(script)) throw new Error("refused");
    },
    observer: {
      committed: (result) => told.commits.push(result),
      failed: () => told.failures++,
      queued: () => told.queued++,
    },
  });
  const stop = new AbortController();
  const running = proxy.run(stop.signal);
  await turns();
  const close = async () => {
    stop.abort();
    await running;
  };
  return { clock, informers, kernel, told, proxy, close };
}
/** Enough for all that waits for nothing but promises and turns of the loop. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((next) => setImmediate(next));
}

test("flush: a hundred changes at once are one transaction, and so are those that come while one is under way", async () => {
  const { informers, kernel, told, close } = await start({}, [services, service("web", "10.96.0.1")]);
  assert.equal(told.commits.length, 1);
  let release: () => void = () => undefined;
  kernel.hold = new Promise((done) => (release = done));
  for (let at = 0; at < 100; at++) informers.set(slices, slice("web", [{ addresses: [`10.0.0.${at}`] }]));
  await turns();
  for (let at = 100; at < 200; at++) informers.set(slices, slice("web", [{ addresses: [`10.0.0.${at}`] }]));
  release();
  await turns();
  assert.equal(kernel.scripts.length, 3);
  assert.match(kernel.scripts.at(-1) ?? "", /add element .* 10\.0\.0\.199 /);
  await close();
});

test("flush: not more often than minSyncPeriod allows, the first at once", async () => {
  const { clock, informers, kernel, close } = await start({ minSyncPeriodMs: 1000 }, [
    services,
    service("a", "10.96.0.1"),
  ]);
  clock.advance(1000);
  informers.set(services, service("b", "10.96.0.2"));
  await turns();
  assert.equal(kernel.scripts.length, 2);
  informers.set(services, service("c", "10.96.0.3"));
  clock.advance(999);
  await turns();
  assert.equal(kernel.scripts.length, 2);
  clock.advance(1);
  await turns();
  assert.equal(kernel.scripts.length, 3);
  await close();
});

test("flush: events that change nothing for packets need no transaction", async () => {
  const { informers, kernel, told, close } = await start({}, [services, service("a", "10.96.0.1")]);
  informers.set(services, service("a", "10.96.0.1", { selector: { app: "b" } }));
  informers.set(services, service("headless", "None"));
  await turns();
  assert.equal(kernel.scripts.length, 1);
  assert.equal(told.commits.length, 1);
  await close();
});

test("flush: refused altogether, it is tried again later and later, with all that came meanwhile", async () => {
  const { clock, informers, kernel, told, close } = await start({}, [services, service("a", "10.96.0.1")]);
  kernel.refuses = () => true;
  informers.set(services, service("b", "10.96.0.2"));
  await turns();
  assert.equal(told.failures, 1);
  informers.set(services, service("c", "10.96.0.3"));
  await turns();
  assert.equal(told.failures, 1, "an event is no reason to hurry");
  kernel.refuses = () => false;
  clock.advance(200);
  await turns();
  assert.match(kernel.scripts.at(-1) ?? "", /cluster-ips \{ 10\.96\.0\.1, 10\.96\.0\.2, 10\.96\.0\.3 \}/);
  assert.equal(told.commits.at(-1)?.kind, "full");
  await close();
});

test("flush: a service that is refused alone is tried again by itself", async () => {
  const { clock, informers, kernel, close } = await start({}, [services, service("a", "10.96.0.1")]);
  kernel.refuses = (script) => script.includes("10.96.6.6");
  informers.set(services, service("bad", "10.96.6.6"));
  informers.set(services, service("good", "10.96.0.2"));
  await turns();
  assert.ok(kernel.scripts.some((script) => script.includes("10.96.0.2")));
  kernel.refuses = () => false;
  clock.advance(2000);
  await turns();
  assert.match(kernel.scripts.at(-1) ?? "", /^add element .* 10\.96\.6\.6 /);
  await close();
});

test("flush: the node's zone decides over endpoints, also when it is known or changed later", async () => {
  const endpoints = ["a", "b"].map((name, at) => ({ addresses: [`10.0.0.${at}`], hints: { forZones: [{ name }] } }));
  const zone = (name: string) => node({ "topology.kubernetes.io/zone": name }, "192.0.2.1");
  const { informers, kernel, close } = await start(
    {},
    [services, service("web", "10.96.0.1")],
    [slices, slice("web", endpoints)],
    ["v1/nodes", node({}, "192.0.2.1")],
  );
  assert.match(kernel.scripts.at(-1) ?? "", /goto tcp-spread-2/);
  informers.set("v1/nodes", zone("a"));
  await turns();
  assert.match(kernel.scripts.at(-1) ?? "", /delete element .* 10\.0\.0\.1 [\s\S]*goto tcp-spread-1/);
  informers.set("v1/nodes", zone("b"));
  await turns();
  assert.match(kernel.scripts.at(-1) ?? "", /: 10\.0\.0\.0 [\s\S]*: 10\.0\.0\.1 /);
  const count = kernel.scripts.length;
  informers.set("v1/nodes", zone("b"));
  await turns();
  assert.equal(kernel.scripts.length, count, "a node's other news are none");
  await close();
});

test("flush: ranges of Services and the node's addresses are taken when they come, in the middle of a transaction too", async () => {
  const { informers, kernel, close } = await start({ serviceCidrs: ["10.96.0.0/16"] }, [
    services,
    service("a", "10.96.0.1"),
  ]);
  assert.match(kernel.scripts[0] ?? "", /ip daddr \{ 10\.96\.0\.0\/16 \} goto reject-chain/);
  const range = (name: string, ...cidrs: string[]) => object({ name }, { spec: { cidrs } });
  let release: () => void = () => undefined;
  kernel.hold = new Promise((done) => (release = done));
  informers.set(services, service("b", "10.96.0.2"));
  await turns();
  informers.set(ranges, range("kubernetes", "10.96.0.0/16", "fd00::/112"));
  informers.set(ranges, range("more", "10.97.0.0/24"));
  informers.set("v1/nodes", node({}, "192.0.2.1"));
  release();
  await turns();
  const last = kernel.scripts.at(-1) ?? "";
  assert.match(last, /ip daddr \{ 10\.96\.0\.0\/16, 10\.97\.0\.0\/24 \} goto reject-chain/);
  assert.match(last, /nodeport-ips \{ 192\.0\.2\.1 \}/);
  assert.match(last, /cluster-ips \{ 10\.96\.0\.1, 10\.96\.0\.2 \}/);
  await close();
});

test("flush: programming is measured from the slices' times, but those before the start don't count", async () => {
  const at = (iso: string) => ({ "endpoints.kubernetes.io/last-change-trigger-time": iso });
  const { clock, informers, told, close } = await start(
    {},
    [services, service("web", "10.96.0.1")],
    [slices, slice("web", [], at("2025-12-31T23:59:59Z"))],
  );
  clock.advance(5000);
  informers.set(slices, slice("web", [{ addresses: ["10.0.0.1"] }], at("2026-01-01T00:00:03.5Z")));
  await turns();
  assert.deepEqual(
    told.commits.map(({ kind, triggers, services: count }) => [kind, triggers, count]),
    [
      ["full", [], 1],
      ["partial", [Date.UTC(2026, 0, 1, 0, 0, 3, 500)], 1],
    ],
  );
  await close();
});

test("flush: a kernel without IPv6 is asked once, and IPv4 goes on", async () => {
  const dual = { clusterIPs: ["10.96.0.1", "fd00::1"] };
  const { informers, kernel, close } = await start({});
  kernel.refuses = (script) => script.includes("ip6");
  informers.set(services, service("a", "10.96.0.1", dual));
  await turns();
  assert.match(kernel.scripts.at(-1) ?? "", /10\.96\.0\.1/);
  assert.doesNotMatch(kernel.scripts.join(""), /ip6|fd00/);
  await close();
});

test("flush: the table is looked for now and then, and made anew when somebody took it", async () => {
  const { clock, kernel, told, close } = await start({ syncPeriodMs: 30_000 }, [services, service("a", "10.96.0.1")]);
  clock.advance(30_000);
  await turns();
  assert.equal(kernel.scripts.length, 1);
  kernel.refuses = (script) => script.includes("index");
  clock.advance(30_000);
  await turns();
  assert.equal(told.commits.length, 2);
  assert.equal(told.commits[1]?.kind, "full");
  await close();
});
