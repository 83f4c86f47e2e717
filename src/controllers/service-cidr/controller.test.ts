import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServiceCIDR } from "#api";
import type { KubernetesObject } from "#machinery";
import { FakeTransport } from "#testing";
import { ago, runController } from "../lib/fixture.ts";
import type { Seen } from "../lib/objects.ts";
import { serviceCidrController } from "./controller.ts";
import { containing, mayGo, overlapping } from "./reconcile.ts";

const range = (name: string, ...cidrs: string[]): Seen<ServiceCIDR> => ({ metadata: { name }, spec: { cidrs } });
const names = (ranges: readonly Seen<ServiceCIDR>[]) => ranges.map(({ metadata }) => metadata.name).join();

for (const [what, others, addresses, wanted] of [
  ["nothing is there", [], [], true],
  ["an address of it", [], ["10.1.0.5"], false],
  ["an address of another family's range", [], ["fd00::5"], true],
  ["an address elsewhere", [], ["10.2.0.5"], true],
  ["its own network address", [], ["10.1.0.0"], true],
  ["its broadcast address", [], ["10.1.0.255"], true],
  ["a range that holds it", [range("b", "10.1.0.0/16")], ["10.1.0.5"], true],
  ["the same range again", [range("b", "10.1.0.0/24")], ["10.1.0.5"], true],
  ["a part that holds the address", [range("b", "10.1.0.0/28")], ["10.1.0.5"], true],
  ["a part beside the address", [range("b", "10.1.0.0/28")], ["10.1.0.5", "10.1.0.99"], false],
  ["a part whose broadcast address it is", [range("b", "10.1.0.0/28")], ["10.1.0.15"], false],
] as const)
  test(`service range: may ${wanted ? "" : "not "}go with ${what}`, () => {
    const own = range("a", "10.1.0.0/24");
    assert.equal(mayGo(own, [own, ...others], addresses), wanted);
  });

test("service range: both families have to be free", () => {
  const own = range("a", "10.1.0.0/24", "fd00::/120");
  const wider = range("b", "10.0.0.0/8");
  assert.equal(mayGo(own, [own, wider], ["10.1.0.5"]), true);
  assert.equal(mayGo(own, [own, wider], ["fd00::ff"]), false);
  assert.equal(mayGo(own, [own, wider, range("c", "fd00::/64")], ["fd00::ff"]), true);
});

test("service range: which ones a change concerns", () => {
  const all = [range("a", "10.0.0.0/8"), range("b", "10.1.0.0/24"), range("c", "fd00::/64"), range("d", "10.2.0.0/24")];
  assert.equal(names(overlapping(range("e", "10.1.0.0/16"), all)), "a,b");
  assert.equal(names(containing("10.1.0.1", all)), "a,b");
  assert.equal(names(containing("10.1.0.0", all)), "a");
  assert.equal(names(containing("fd00::1", all)), "c");
});

const ranges = "/apis/networking.k8s.io/v1/servicecidrs";
const addresses = "/apis/networking.k8s.io/v1/ipaddresses";

test("service range: ready with a finalizer, held while an address needs it, gone ten seconds after", async () => {
  const transport = new FakeTransport();
  transport.create(ranges, { metadata: { name: "a" }, spec: { cidrs: ["10.1.0.0/24"] } } as KubernetesObject);
  transport.create(addresses, { metadata: { name: "10.1.0.7" } });
  const last = "$deleteFromPrimitiveList/finalizers";
  transport.intercept = ({ body, path }) =>
    typeof body === "object" && JSON.stringify(body).includes(last) ? transport.remove(path) : undefined;
  const { until, stop, clock } = runController(serviceCidrController, transport);
  const found = () => transport.objects.get(`${ranges}/a`) as ServiceCIDR;
  const condition = () => found().status?.conditions?.[0];
  const writes = () => transport.requests.filter(({ method }) => method === "PATCH");
  await until(() => condition()?.status === "True");
  assert.equal(condition()?.message, "Kubernetes Service CIDR is ready");
  assert.deepEqual(found().metadata?.finalizers, ["networking.k8s.io/service-cidr-finalizer"]);
  assert.deepEqual(
    writes().map(({ path, query }) => [path, query?.fieldManager]),
    [
      [`${ranges}/a`, undefined],
      [`${ranges}/a/status`, "service-cidr-controller"],
    ],
  );
  const deleted = { ...found().metadata, deletionTimestamp: ago(0) };
  transport.put(`${ranges}/a`, { ...found(), metadata: deleted });
  await until(() => condition()?.reason === "Terminating");
  assert.match(condition()?.message ?? "", /^There are still IPAddresses referencing the ServiceCIDR/);
  transport.remove(`${addresses}/10.1.0.7`);
  const before = writes().length;
  for (let i = 0; i < 50; i++) await new Promise(setImmediate);
  assert.equal(writes().length, before, "servers may not have heard of it yet");
  clock.advance(10_000);
  await until(() => transport.objects.size === 0);
  assert.deepEqual(writes().at(-1)?.body, {
    metadata: { [last]: ["networking.k8s.io/service-cidr-finalizer"] },
  });
  await stop();
});
