import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointSlice, Endpoints } from "#api";
import { planMirror, shouldMirror } from "./reconcile.ts";

const endpoints = (subsets: Endpoints["subsets"] & object, labels: Record<string, string> = {}): Endpoints => ({
  apiVersion: "v1",
  kind: "Endpoints",
  metadata: { name: "db", namespace: "default", uid: "uid-db", labels, annotations: { note: "x" } },
  subsets,
});

const named = (slices: readonly EndpointSlice[]) =>
  slices.map((slice, index) => ({ ...slice, metadata: { ...slice.metadata, name: `db-${index}` } }));

test("mirroring: a slice for each subset and family, with labels and annotations of the Endpoints", () => {
  const of = endpoints(
    [
      {
        addresses: [{ ip: "192.0.2.1" }, { ip: "2001:db8::1" }],
        notReadyAddresses: [{ ip: "192.0.2.2" }],
        ports: [{ port: 5432 }],
      },
    ],
    { tier: "data" },
  );
  const { create } = planMirror(of, []);
  assert.deepEqual(
    create.map(({ addressType, endpoints: list, ports }) => [
      addressType,
      list?.map(({ addresses, conditions }) => [addresses[0], conditions]),
      ports,
    ]),
    [
      [
        "IPv4",
        [
          ["192.0.2.1", { ready: true }],
          ["192.0.2.2", { ready: false }],
        ],
        [{ name: "", port: 5432, protocol: "TCP" }],
      ],
      ["IPv6", [["2001:db8::1", { ready: true }]], [{ name: "", port: 5432, protocol: "TCP" }]],
    ],
  );
  assert.deepEqual(create[0]?.metadata.labels, {
    tier: "data",
    "kubernetes.io/service-name": "db",
    "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
  });
  assert.deepEqual(create[0]?.metadata.annotations, { note: "x" });
  const again = planMirror(of, named(create));
  assert.deepEqual([again.create, again.update, again.delete], [[], [], []]);
});

test("mirroring: a port that changes reuses the slice", () => {
  const before = planMirror(endpoints([{ addresses: [{ ip: "192.0.2.1" }], ports: [{ port: 1 }] }]), []);
  const after = planMirror(
    endpoints([{ addresses: [{ ip: "192.0.2.1" }], ports: [{ port: 2 }] }]),
    named(before.create),
  );
  assert.deepEqual([after.create.length, after.update[0]?.metadata.name, after.delete.length], [0, "db-0", 0]);
});

test("mirroring: bad addresses are left out and said", () => {
  const { create, warnings } = planMirror(endpoints([{ addresses: [{ ip: "nope" }], ports: [{ port: 1 }] }]), []);
  assert.equal(create.length, 0);
  assert.deepEqual(warnings, [
    { reason: "InvalidIPAddress", message: "Skipped 1 invalid IP addresses when mirroring to EndpointSlices" },
  ]);
});

test("mirroring: not for those who ask not to", () => {
  assert.equal(shouldMirror(endpoints([], { "endpointslice.kubernetes.io/skip-mirror": "true" })), false);
  assert.equal(shouldMirror(endpoints([])), true);
});
