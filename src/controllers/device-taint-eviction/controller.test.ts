import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeviceTaint, DeviceToleration, Pod, ResourceClaim, ResourceSlice } from "#api";
import { FakeTransport } from "#testing";
import { ago, runController, testNow } from "../lib/fixture.ts";
import { deviceTaintEvictionController } from "./controller.ts";
import { evictionTime } from "./reconcile.ts";

const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "default", uid: "p1" },
  spec: { nodeName: "n", containers: [{ name: "c" }], resourceClaims: [{ name: "a", resourceClaimName: "x" }] },
};
const claim = (tolerations: DeviceToleration[] = []): ResourceClaim => ({
  apiVersion: "resource.k8s.io/v1",
  kind: "ResourceClaim",
  metadata: { name: "x", namespace: "default", uid: "x1" },
  spec: {},
  status: {
    reservedFor: [{ resource: "pods", name: "p", uid: "p1" }],
    allocation: { devices: { results: [{ request: "r", driver: "d", pool: "q", device: "gpu", tolerations }] } },
  },
});
const taint = (change: Partial<DeviceTaint> = {}): DeviceTaint => ({
  key: "k",
  effect: "NoExecute",
  timeAdded: ago(10),
  ...change,
});
const slice = (taints: DeviceTaint[], generation = 1): ResourceSlice => ({
  apiVersion: "resource.k8s.io/v1",
  kind: "ResourceSlice",
  metadata: { name: "s" },
  spec: {
    driver: "d",
    nodeName: "n",
    pool: { name: "q", generation, resourceSliceCount: 1 },
    devices: [{ name: "gpu", taints }],
  },
});
const always: DeviceToleration = { operator: "Exists", effect: "NoExecute" };

test("device taints: when a pod must go", () => {
  const when = (of: ResourceClaim, slices: ResourceSlice[], which = pod) => {
    const at = evictionTime(which, { claim: () => of, slicesOf: () => slices });
    return at === undefined ? undefined : (at - testNow) / 1000;
  };
  assert.equal(when(claim(), [slice([taint()])]), -10);
  assert.equal(when(claim(), [slice([taint({ effect: "NoSchedule" })])]), undefined);
  assert.equal(when(claim([always]), [slice([taint()])]), undefined);
  assert.equal(
    when(
      claim([
        { ...always, tolerationSeconds: 30 },
        { ...always, tolerationSeconds: 60 },
      ]),
      [slice([taint()])],
    ),
    20,
  );
  assert.equal(when(claim([{ ...always, effect: "NoSchedule" }]), [slice([taint()])]), -10);
  assert.equal(when(claim([{ ...always, key: "other" }]), [slice([taint()])]), -10);
  assert.equal(when(claim(), [slice([taint()]), slice([], 2)]), undefined);
  assert.equal(when({ ...claim(), status: { ...claim().status, reservedFor: [] } }, [slice([taint()])]), undefined);
  assert.equal(
    when(claim(), [slice([taint()])], { ...pod, spec: { ...pod.spec, containers: [], nodeName: "" } }),
    undefined,
  );
});

test("device taints: a pod stays as long as it tolerates a taint, and is told when the taint goes", async () => {
  const transport = new FakeTransport();
  const running = runController(deviceTaintEvictionController, transport);
  const podPath = "/api/v1/namespaces/default/pods/p";
  const slicePath = "/apis/resource.k8s.io/v1/resourceslices";
  transport.create("/api/v1/namespaces/default/pods", pod);
  await running.until(() => transport.watching > 1);
  assert.ok(!transport.requests.some(({ path }) => path === slicePath));
  transport.create(
    "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims",
    claim([{ ...always, tolerationSeconds: 40 }]),
  );
  transport.create(slicePath, slice([taint()]));
  await running.until(() => transport.watching > 2);
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  transport.put(`${slicePath}/s`, slice([]));
  await running.until(() => running.events.length > 0);
  assert.equal(running.events[0]?.message, "Cancelling deletion");
  transport.put(`${slicePath}/s`, slice([taint()]));
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(transport.objects.has(podPath));
  running.clock.advance(31_000);
  await running.until(() => !transport.objects.has(podPath));
  assert.deepEqual(
    running.events.map(({ reason, message }) => `${reason}: ${message}`),
    ["DeviceTaintManagerEviction: Cancelling deletion", "DeviceTaintManagerEviction: Marking for deletion"],
  );
  await running.stop();
});
