import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointSlice, Service } from "#api";
import { judgeService, passedVerdict, withVerdict } from "./availability-rules.ts";

const remote = { namespace: "ns", name: "s", port: 443, caBundle: "", insecure: false };
const service: Service = { metadata: {}, spec: { type: "ClusterIP", ports: [{ port: 443, name: "https" }] } };
const slice: EndpointSlice = {
  metadata: {},
  addressType: "IPv4",
  endpoints: [{ addresses: ["10.1.0.2"] }],
  ports: [{ name: "https", port: 8443 }],
};

for (const [reason, message, found] of [
  ["ServiceNotFound", 'service/s in "ns" is not present', { service: undefined, slices: [] }],
  [
    "ServicePortError",
    'service/s in "ns" is not listening on port 443',
    { service: { ...service, spec: { ports: [{ port: 80 }] } }, slices: [slice] },
  ],
  ["EndpointsNotFound", 'cannot find endpointslices for service/s in "ns"', { service, slices: [] }],
  [
    "MissingEndpoints",
    'endpointslices for service/s in "ns" have no addresses with port name "https"',
    { service, slices: [{ ...slice, ports: [] }] },
  ],
] as const)
  test(`availability: ${reason}`, () => {
    assert.deepEqual(judgeService(remote, found), { status: "False", reason, message });
  });

test("availability: everything in place is asked, and so is what has no endpoints of its own", () => {
  assert.equal(judgeService(remote, { service, slices: [slice] }), undefined);
  const external = { ...service, spec: { type: "ExternalName" } };
  assert.equal(judgeService(remote, { service: external, slices: [] }), undefined);
});

test("availability: the time of a condition moves when its status does", () => {
  const before = { type: "Available", status: "True", reason: "Local", message: "x", lastTransitionTime: "then" };
  const other = { type: "Other", status: "True" };
  const [same, kept] = withVerdict([before, other], passedVerdict, "now");
  assert.deepEqual(same, { type: "Available", ...passedVerdict, lastTransitionTime: "then" });
  assert.deepEqual(kept, other);
  const [moved] = withVerdict([before], { ...passedVerdict, status: "False" }, "now");
  assert.equal(moved?.lastTransitionTime, "now");
});
