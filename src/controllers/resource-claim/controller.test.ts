import assert from "node:assert/strict";
import { test } from "node:test";
import { allocationFinalizer, type Pod, type ResourceClaim, type ResourceClaimTemplate } from "#api";
import { FakeTransport } from "#testing";
import { runController } from "../lib/fixture.ts";
import { resourceClaimController } from "./controller.ts";
import { generateNameOf } from "./reconcile.ts";

const podsPath = "/api/v1/namespaces/default/pods";
const claimsPath = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims";
const templatesPath = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaimtemplates";

const pod = (
  change: { spec?: Partial<Pod["spec"]>; status?: Pod["status"]; metadata?: Pod["metadata"] } = {},
): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "default", uid: "p1", ...change.metadata },
  spec: {
    containers: [{ name: "c" }],
    resourceClaims: [{ name: "gpu", resourceClaimTemplateName: "t" }],
    ...change.spec,
  },
  status: change.status ?? {},
});
const template: ResourceClaimTemplate = {
  apiVersion: "resource.k8s.io/v1",
  kind: "ResourceClaimTemplate",
  metadata: { name: "t", namespace: "default", uid: "t1" },
  spec: {
    metadata: { labels: { a: "b" }, annotations: { c: "d" } },
    spec: { devices: { requests: [{ name: "r", exactly: { deviceClassName: "k" } }] } },
  },
};
const claim = (change: Partial<ResourceClaim> = {}): ResourceClaim => ({
  apiVersion: "resource.k8s.io/v1",
  kind: "ResourceClaim",
  spec: {},
  ...change,
  metadata: { name: "x", namespace: "default", uid: "x1", ...change.metadata },
});
const user = (name: string, uid: string) => ({ resource: "pods", name, uid });
const allocation = { devices: { results: [{ request: "r", driver: "d", pool: "p", device: "1" }] } };
const ownedByPod = [{ apiVersion: "v1", kind: "Pod", name: "p", uid: "p1", controller: true }];
const get = <T>(transport: FakeTransport, path: string) => transport.objects.get(path) as T | undefined;

test("resource claims: a pod's claim is made from its template once, and named in the pod's status", async () => {
  const transport = new FakeTransport();
  const running = runController(resourceClaimController, transport);
  transport.create(podsPath, pod());
  await running.until(() => running.events.length > 0);
  assert.equal(running.events[0]?.reason, "FailedResourceClaimCreation");
  assert.equal(
    running.events[0]?.message,
    'PodResourceClaim gpu: resource claim template "t": resourceclaimtemplate.resource.k8s.io "t" not found',
  );
  transport.create(templatesPath, template);
  await running.until(() => get<Pod>(transport, `${podsPath}/p`)?.status?.resourceClaimStatuses);
  const made = [...transport.objects.values()].filter(({ kind }) => kind === "ResourceClaim");
  assert.equal(made.length, 1);
  const { metadata, spec } = made[0] as ResourceClaim;
  assert.equal(metadata.generateName, "p-gpu-");
  assert.deepEqual(metadata.annotations, { c: "d", "resource.kubernetes.io/pod-claim-name": "gpu" });
  assert.deepEqual(metadata.labels, { a: "b" });
  assert.deepEqual(metadata.ownerReferences, ownedByPod);
  assert.deepEqual(spec, template.spec.spec);
  assert.deepEqual(get<Pod>(transport, `${podsPath}/p`)?.status?.resourceClaimStatuses, [
    { name: "gpu", resourceClaimName: metadata.name },
  ]);
  await running.stop();
});

test("resource claims: a claim made before a restart is found again", async () => {
  const transport = new FakeTransport();
  transport.create(templatesPath, template);
  const annotations = { "resource.kubernetes.io/pod-claim-name": "gpu" };
  transport.create(
    claimsPath,
    claim({ metadata: { name: "x", namespace: "default", uid: "x1", annotations, ownerReferences: ownedByPod } }),
  );
  transport.create(podsPath, pod());
  const running = runController(resourceClaimController, transport);
  await running.until(() => get<Pod>(transport, `${podsPath}/p`)?.status?.resourceClaimStatuses);
  assert.equal(get<Pod>(transport, `${podsPath}/p`)?.status?.resourceClaimStatuses?.[0]?.resourceClaimName, "x");
  await running.stop();
});

test("resource claims: a pod on a node reserves its allocated claims itself", async () => {
  const transport = new FakeTransport();
  const running = runController(resourceClaimController, transport);
  transport.create(claimsPath, claim({ status: { allocation } }));
  transport.create(
    podsPath,
    pod({ spec: { nodeName: "n", resourceClaims: [{ name: "gpu", resourceClaimName: "x" }] } }),
  );
  await running.until(() => get<ResourceClaim>(transport, `${claimsPath}/x`)?.status?.reservedFor);
  assert.deepEqual(get<ResourceClaim>(transport, `${claimsPath}/x`)?.status?.reservedFor, [user("p", "p1")]);
  await running.stop();
});

const cases: {
  title: string;
  claim: ResourceClaim;
  pods: Pod[];
  /** undefined: deleted. */
  after: { reservedFor?: string[]; isAllocated: boolean; isProtected: boolean } | undefined;
}[] = [
  {
    title: "of one that is done and one that runs, the one that runs stays",
    claim: claim({
      metadata: { finalizers: [allocationFinalizer] },
      status: { allocation, reservedFor: [user("p", "p1"), user("q", "q1")] },
    }),
    pods: [pod({ status: { phase: "Succeeded" } }), pod({ metadata: { name: "q", uid: "q1" } })],
    after: { reservedFor: ["q"], isAllocated: true, isProtected: true },
  },
  {
    title: "the last user frees the devices, then the claim",
    claim: claim({
      metadata: { finalizers: [allocationFinalizer] },
      status: { allocation, reservedFor: [user("p", "p1")] },
    }),
    pods: [],
    after: { isAllocated: false, isProtected: false },
  },
  {
    title: "a namesake of a user is another",
    claim: claim({
      metadata: { finalizers: [allocationFinalizer] },
      status: { allocation, reservedFor: [user("p", "p0")] },
    }),
    pods: [pod()],
    after: { isAllocated: false, isProtected: false },
  },
  {
    title: "without the finalizer somebody else allocated it",
    claim: claim({ status: { allocation, reservedFor: [user("p", "p1")] } }),
    pods: [],
    after: { isAllocated: true, isProtected: false },
  },
  {
    title: "what isn't a pod is left",
    claim: claim({ status: { allocation, reservedFor: [{ apiGroup: "a", resource: "bs", name: "c", uid: "d" }] } }),
    pods: [],
    after: { reservedFor: ["c"], isAllocated: true, isProtected: false },
  },
  {
    title: "one that is deleted and was never used goes",
    claim: claim({
      metadata: { finalizers: [allocationFinalizer, "other"], deletionTimestamp: "2026-01-01T00:00:00Z" },
      status: { allocation },
    }),
    pods: [],
    after: { isAllocated: false, isProtected: false },
  },
  {
    title: "one made for a pod that is done goes",
    claim: claim({
      metadata: { finalizers: [allocationFinalizer], ownerReferences: ownedByPod },
      status: { allocation, reservedFor: [user("p", "p1")] },
    }),
    pods: [pod({ status: { phase: "Failed", resourceClaimStatuses: [{ name: "gpu", resourceClaimName: "x" }] } })],
    after: undefined,
  },
];
for (const { title, claim: before, pods, after } of cases) {
  test(`resource claims: ${title}`, async () => {
    const transport = new FakeTransport();
    for (const each of pods) transport.create(podsPath, each);
    transport.create(claimsPath, before);
    const running = runController(resourceClaimController, transport);
    await running.until(() => {
      const now = get<ResourceClaim>(transport, `${claimsPath}/x`);
      if (!now || !after) return now === undefined && after === undefined;
      const { status, metadata } = now;
      return (
        String(status?.reservedFor?.map(({ name }) => name)) === String(after.reservedFor) &&
        Boolean(status?.allocation) === after.isAllocated &&
        (metadata.finalizers ?? []).includes(allocationFinalizer) === after.isProtected
      );
    });
    await running.stop();
  });
}

test("resource claims: names too long for a claim are cut in proportion", () => {
  assert.equal(generateNameOf("pod", "gpu"), "pod-gpu-");
  const long = generateNameOf("p".repeat(100), "c".repeat(20));
  assert.equal(long, `${"p".repeat(46)}-${"c".repeat(9)}`);
  assert.ok(long.length <= 57);
});
