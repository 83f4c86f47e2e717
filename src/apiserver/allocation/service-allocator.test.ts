import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isStatusError, type StatusError } from "#machinery";
import { startTestServer, type TestServer } from "../test-server.ts";
import { AddressRange } from "./address-range.ts";

let api: TestServer;
before(async () => {
  api = await startTestServer();
});
after(() => api.close());

const services = "/api/v1/namespaces/default/services";
const addresses = "/apis/networking.k8s.io/v1/ipaddresses";
const service = (name: string, spec: object = {}) => ({ metadata: { name }, spec: { ports: [{ port: 80 }], ...spec } });

async function refused(work: Promise<unknown>): Promise<StatusError> {
  try {
    await work;
  } catch (error) {
    if (isStatusError(error)) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: "was not refused" });
}

test("addresses: the server's own is the first", async () => {
  const { spec } = await api.call("GET", `${services}/kubernetes`);
  assert.equal(spec.clusterIP, "10.96.0.1");
  const { spec: held } = await api.call("GET", `${addresses}/10.96.0.1`);
  assert.deepEqual(held.parentRef, { resource: "services", namespace: "default", name: "kubernetes" });
});

test("addresses: each is given out once, and again after its Service is gone", async () => {
  const names = Array.from({ length: 30 }, (_, i) => `s${i}`);
  const made = await Promise.all(names.map((name) => api.call("POST", services, service(name))));
  const given = made.map(({ spec }) => spec.clusterIP);
  assert.equal(new Set(given).size, names.length);
  const clusterIP = given[0] as string;
  assert.match(
    (await refused(api.call("POST", services, service("x", { clusterIP })))).message,
    /provided IP is already allocated$/,
  );
  await api.call("DELETE", `${services}/s0`);
  assert.equal((await api.call("POST", services, service("x", { clusterIP }))).spec.clusterIP, clusterIP);
});

test("addresses: of two that ask for the same at once, one gets it", async () => {
  const ask = (name: string) => api.call("POST", services, service(name, { clusterIP: "10.96.0.50" }));
  const outcomes = await Promise.allSettled([ask("both-a"), ask("both-b")]);
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
});

test("addresses: outside of the range there are none", async () => {
  const error = await refused(api.call("POST", services, service("out", { clusterIP: "10.97.0.1" })));
  assert.match(
    error.message,
    /failed to allocate IP 10\.97\.0\.1: the provided network does not match the current range$/,
  );
});

test("node ports: shared by TCP and UDP of a port, kept by updates, released with the type", async () => {
  const ports = [
    { name: "t", port: 53, protocol: "TCP" },
    { name: "u", port: 53, protocol: "UDP" },
  ];
  const made = await api.call("POST", services, service("np", { type: "NodePort", ports }));
  const [tcp, udp] = made.spec.ports as { nodePort: number }[];
  assert.equal(tcp?.nodePort, udp?.nodePort);
  const merge = { contentType: "application/merge-patch+json" };
  const patched = await api.call("PATCH", `${services}/np`, { metadata: { labels: { a: "b" } } }, merge);
  assert.deepEqual(patched.spec.ports, made.spec.ports);
  const nodePort = tcp?.nodePort ?? 0;
  const wanted = service("np2", { type: "NodePort", ports: [{ port: 1, nodePort }] });
  assert.match((await refused(api.call("POST", services, wanted))).message, /provided port is already allocated$/);
  await api.call("PATCH", `${services}/np`, { spec: { type: "ClusterIP" } }, merge);
  const next = await api.call("POST", services, wanted);
  assert.equal((next.spec.ports as { nodePort: number }[])[0]?.nodePort, nodePort);
});

test("range: chosen addresses come last when the server looks for one", () => {
  const range = new AddressRange("10.0.0.0/24");
  const all = [...range.candidates(() => 0)];
  assert.equal(all.length, 254);
  assert.equal(all[0], "10.0.0.17");
  assert.equal(all.at(-1), "10.0.0.16");
  assert.equal(range.contains("10.0.0.0"), false);
  assert.equal(range.contains("10.0.0.255"), false);
  assert.equal(range.first(), "10.0.0.1");
});
