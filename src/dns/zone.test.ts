import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endpoint, EndpointSlice, Service } from "#api";
import { createFakeInformers } from "#testing";
import { createZone } from "./zone.ts";

const service = (name: string, spec: Service["spec"]): Service => ({ metadata: { name, namespace: "ns" }, spec });
const slice = (name: string, of: string, endpoints: Endpoint[]): EndpointSlice => ({
  metadata: { name, namespace: "ns", labels: { "kubernetes.io/service-name": of } },
  ...{ addressType: "IPv4", endpoints, ports: [{ name: "http", port: 80, protocol: "TCP" }, { name: "all" }] },
});
const at = (address: string, more: Partial<Endpoint> = {}): Endpoint => ({ addresses: [address], ...more });

function zoneOf() {
  const informers = createFakeInformers();
  const live = createZone(informers);
  const changed: string[] = [];
  live.onChange((owner) => changed.push(owner));
  const put = (object: Service | EndpointSlice) => informers.set(resourceOf(object), object);
  const drop = (object: Service | EndpointSlice) => informers.remove(resourceOf(object), object);
  const resourceOf = (object: object) => ("spec" in object ? "v1/services" : "discovery.k8s.io/v1/endpointslices");
  const names = (name: string) => live.zone.endpoints("ns", name).map(({ hostname }) => hostname);
  return { ...live, put, drop, names, changed };
}

test("zone: endpoints of all slices that take traffic, by their names", () => {
  const { zone, put, names } = zoneOf();
  put(service("db", { clusterIP: "None" }));
  put(slice("db-1", "db", [at("10.0.0.1", { hostname: "DB-0" }), at("10.0.0.2", { conditions: { ready: false } })]));
  put(slice("db-2", "db", [at("10.0.0.3"), at("10.0.0.4", { conditions: { serving: true } })]));
  put(slice("other-1", "other", [at("10.0.0.9")]));
  assert.deepEqual(names("db"), ["db-0", "10-0-0-3", "10-0-0-4"]);
  assert.deepEqual(zone.endpoints("ns", "db")[0]?.ports, [{ name: "http", port: 80, protocol: "TCP" }]);
});

test("zone: publishNotReadyAddresses shows all, also by address", () => {
  const { zone, put, names } = zoneOf();
  const notReady = [at("10.0.0.2", { conditions: { ready: false } })];
  put(service("db", { clusterIP: "None" }));
  put(slice("db-1", "db", notReady));
  assert.deepEqual([names("db"), zone.endpointsByAddress("10.0.0.2")], [[], []]);
  put(service("db", { clusterIP: "None", publishNotReadyAddresses: true }));
  assert.deepEqual(names("db"), ["10-0-0-2"]);
  assert.equal(zone.endpointsByAddress("10.0.0.2")[0]?.service, "db");
});

test("zone: addresses follow Services and slices as they come, change and go", () => {
  const { zone, put, drop, names } = zoneOf();
  const web = (address: string) => service("web", { clusterIP: address, clusterIPs: [address, "fd00::1"] });
  put(web("10.96.0.1"));
  put(web("10.96.0.2"));
  assert.equal(zone.serviceByAddress("10.96.0.1"), undefined);
  for (const address of ["10.96.0.2", "fd00::1"]) assert.equal(zone.serviceByAddress(address)?.metadata.name, "web");
  // Handed from one Service to the next, in either order.
  put(service("next", { clusterIP: "10.96.0.2" }));
  drop(web("10.96.0.2"));
  assert.equal(zone.serviceByAddress("10.96.0.2")?.metadata.name, "next");
  put(slice("s", "web", [at("10.0.0.1")]));
  put(slice("s", "next", [at("10.0.0.1"), at("10.0.0.2")]));
  assert.deepEqual([names("web"), names("next")], [[], ["10-0-0-1", "10-0-0-2"]]);
  assert.deepEqual(zone.endpointsByAddress("10.0.0.1"), [{ namespace: "ns", service: "next", hostname: "10-0-0-1" }]);
  drop(slice("s", "next", [at("10.0.0.1"), at("10.0.0.2")]));
  assert.deepEqual([names("next"), zone.endpointsByAddress("10.0.0.2")], [[], []]);
});

test("zone: the Service that changed is told, of a slice that moved both", () => {
  const { put, changed } = zoneOf();
  put(service("web", { clusterIP: "10.96.0.1" }));
  put(slice("s", "web", []));
  put(slice("s", "db", []));
  assert.deepEqual(changed, ["ns/web", "ns/web", "ns/web", "ns/db"]);
});
