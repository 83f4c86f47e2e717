import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServicePort } from "../core/service-port.ts";
import { clientsMax, createBalancer } from "./balancer.ts";
import { portalsOf } from "./portal.ts";

const at = (last: number, local = false) => ({ address: `10.0.0.${last}`, port: 80, local });

test("user-space balancer: endpoints in turn; a change that changes nothing doesn't begin anew", () => {
  let random = 0;
  const balancer = createBalancer(() => random++);
  assert.equal(balancer.next("c", 0), undefined);
  balancer.update([at(1), at(2), at(3)], 0);
  const asked = (count: number) => Array.from({ length: count }, () => balancer.next("c", 0)?.address.at(-1)).join("");
  assert.equal(asked(4), "1231");
  balancer.update([at(3), at(2), at(1)], 0);
  assert.equal(asked(2), "23");
  balancer.update([at(2)], 0);
  assert.equal(asked(2), "22");
});

test("user-space balancer: a client keeps its endpoint while it comes back in time, and gets another when that is gone or fails", () => {
  let random = 0;
  const balancer = createBalancer(() => random++);
  balancer.update([at(1), at(2), at(3)], 10);
  const next = (client: string, seconds: number, failed = false) =>
    balancer.next(client, seconds * 1000, failed)?.address.at(-1);
  assert.equal(next("a", 0), "1");
  assert.equal(next("b", 0), "2");
  assert.equal(next("a", 9), "1");
  assert.equal(next("a", 18), "1", "the time begins anew with each connection");
  assert.equal(next("b", 18), "3", "silent for too long");
  assert.equal(next("a", 19, true), "1", "next in turn");
  assert.equal(next("b", 20, true), "2");
  assert.equal(next("b", 21), "2");
  balancer.update([at(1), at(3)], 10);
  assert.equal(next("a", 22), "1");
  assert.notEqual(next("b", 22), "2");
});

test("user-space balancer: remembers so many clients and no more", () => {
  const balancer = createBalancer(() => 0);
  balancer.update([at(1), at(2)], 1000);
  const first = balancer.next("first", 0);
  for (let client = 0; client < clientsMax + 1; client++) balancer.next(`c${client}`, 0);
  const again = [balancer.next("first", 0), balancer.next("other", 0), balancer.next("first", 0)];
  assert.deepEqual(again[0], again[2]);
  assert.ok(first);
});

const service = (given: Partial<ServicePort>): ServicePort => ({
  ...{ id: "ns/web/tcp/", family: "IPv4", protocol: "tcp", port: 80, clusterAddress: "10.96.0.5" },
  ...{ externalAddresses: [], balancerAddresses: [], sourceRanges: [], nodePort: 0, affinitySeconds: 0 },
  ...{ internalLocal: false, externalLocal: false, healthCheckNodePort: 0, serving: [], localReady: [] },
  ...{ clusterEndpoints: [at(1), at(2, true)], localEndpoints: [], hasEndpoints: true },
  ...given,
});
const shown = (given: Partial<ServicePort>) =>
  portalsOf(service(given)).map(({ key, inside, outside, sourceRanges }) =>
    [key, inside, outside, ...sourceRanges].join(" "),
  );

test("user-space portals: where a port is listened for, and who gets what there", () => {
  assert.deepEqual(shown({}), ["tcp IPv4 10.96.0.5 80 cluster cluster"]);
  assert.deepEqual(shown({ clusterEndpoints: [] }), [], "nobody: the kernel refuses");
  assert.deepEqual(shown({ protocol: "sctp" }), []);
  assert.deepEqual(shown({ internalLocal: true }), [], "nobody here");
  assert.deepEqual(
    shown({
      ...{ nodePort: 30_080, externalAddresses: ["1.2.3.4"], balancerAddresses: ["1.2.3.4", "5.6.7.8"] },
      ...{ sourceRanges: ["9.0.0.0/8"], externalLocal: true, localEndpoints: [at(2, true)] },
    }),
    [
      "tcp IPv4 10.96.0.5 80 cluster cluster",
      "tcp IPv4 1.2.3.4 80 cluster local",
      "tcp IPv4 5.6.7.8 80 cluster local 9.0.0.0/8",
      "tcp IPv4 * 30080 cluster local",
    ],
  );
});
