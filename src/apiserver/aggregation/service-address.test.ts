import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointSlice, Service } from "#api";
import { hasReadyEndpoint, serviceAddress } from "./service-address.ts";

const service = (spec: object): Service => ({
  metadata: { name: "s" },
  spec: { type: "ClusterIP", clusterIP: "10.96.0.9", ports: [{ port: 443, name: "https" }], ...spec },
});
const slice = (more: object): EndpointSlice => ({
  metadata: {},
  addressType: "IPv4",
  endpoints: [{ addresses: ["10.1.0.2"] }],
  ports: [{ name: "https", port: 8443 }],
  ...more,
});
const at = (found: Service | undefined, slices?: EndpointSlice[]) => () =>
  serviceAddress({ name: "s", port: 443, service: found, slices });

test("service address: the cluster's, or the external name as it is", () => {
  assert.deepEqual(at(service({}))(), { host: "10.96.0.9", port: 443 });
  assert.deepEqual(at(service({ type: "LoadBalancer" }))(), { host: "10.96.0.9", port: 443 });
  assert.deepEqual(at(service({ type: "ExternalName", externalName: "x.org", ports: [] }))(), {
    host: "x.org",
    port: 443,
  });
});

test("service address: why there is none", () => {
  assert.throws(at(undefined), /^Error: service "s" not found$/);
  assert.throws(at(service({ clusterIP: "None" })), { message: 'cannot route to service with ClusterIP "None"' });
  assert.throws(at(service({ ports: [{ port: 80 }] })), {
    message: 'no service port 443 found for service "s"',
    code: 503,
  });
  assert.throws(at(service({ type: "ExternalName" }), []), { message: 'unsupported service type "ExternalName"' });
  const none = { message: 'no endpoints available for service "s"', code: 503 };
  assert.throws(at(service({}), []), none);
  assert.throws(
    at(service({}), [slice({ endpoints: [{ addresses: ["10.1.0.2"], conditions: { ready: false } }] })]),
    none,
  );
  assert.throws(at(service({}), [slice({ ports: [{ name: "other", port: 8443 }] })]), none);
});

test("service address: endpoints of the primary family first", () => {
  const six = slice({ addressType: "IPv6", endpoints: [{ addresses: ["fd00::2"] }] });
  const families = service({ ipFamilies: ["IPv6", "IPv4"], clusterIP: "None" });
  assert.deepEqual(at(families, [slice({}), six])(), { host: "fd00::2", port: 8443 });
  assert.deepEqual(at(families, [slice({})])(), { host: "10.1.0.2", port: 8443 });
});

test("service address: ready endpoints for the availability check", () => {
  assert.equal(hasReadyEndpoint([slice({})], "https"), true);
  assert.equal(hasReadyEndpoint([slice({})], "other"), false);
  assert.equal(hasReadyEndpoint([slice({ endpoints: [] })], "https"), false);
});
