import assert from "node:assert/strict";
import { test } from "node:test";
import { createHealthChecks } from "./health-checks.ts";
import type { ServicePort } from "./service-port.ts";

const port = (given: Partial<ServicePort>): ServicePort => ({
  ...{ id: "ns/web/tcp/", family: "IPv4", protocol: "tcp", port: 80, clusterAddress: "10.96.0.5" },
  ...{ externalAddresses: [], balancerAddresses: [], sourceRanges: [], nodePort: 0, affinitySeconds: 0 },
  ...{ internalLocal: false, externalLocal: false, healthCheckNodePort: 0, serving: [], localReady: [] },
  ...{ clusterEndpoints: [], localEndpoints: [], hasEndpoints: true },
  ...given,
});

test("observed services: ports that have endpoints, but none here where their policy wants them, are counted by policy and family", () => {
  const told: unknown[] = [];
  const { update } = createHealthChecks({
    committed: () => undefined,
    failed: () => undefined,
    queued: () => undefined,
    withoutLocal: (ports) => told.push(ports),
  });
  update(new Map([["ns/a", [port({})]]]));
  assert.deepEqual(told, []);
  update(
    new Map([
      ["ns/b", [port({ internalLocal: true, externalLocal: true }), port({ family: "IPv6", externalLocal: true })]],
      ["ns/c", [port({ internalLocal: true, hasEndpoints: false })]],
    ]),
  );
  assert.deepEqual(told.at(-1), { internal: { IPv4: 1, IPv6: 0 }, external: { IPv4: 1, IPv6: 1 } });
  update(new Map([["ns/c", [port({})]]]));
  assert.equal(told.length, 1);
  update(new Map([["ns/b", []]]));
  assert.deepEqual(told.at(-1), { internal: { IPv4: 0, IPv6: 0 }, external: { IPv4: 0, IPv6: 0 } });
});
