import assert from "node:assert/strict";
import { before, test } from "node:test";
import {
  type Binding,
  type DeviceClass,
  type Event,
  loadCel,
  type Pod,
  type ResourceClaim,
  type ResourceSlice,
} from "#api";
import { FakeClock } from "#base";
import { createClient, createInformers } from "#client";
import { FakeTransport } from "#testing";
import { makeNode, makePod } from "./core/fixtures.ts";
import { createScheduler } from "./shell.ts";

before(() => loadCel());

const group = "/apis/resource.k8s.io/v1";
const claimsPath = `${group}/namespaces/ns/resourceclaims`;
const podsPath = "/api/v1/namespaces/ns/pods";

function startScheduler() {
  const transport = new FakeTransport();
  const clock = new FakeClock();
  transport.intercept = (request) => {
    if (!request.path.endsWith("/binding")) return undefined;
    const path = request.path.slice(0, -"/binding".length);
    const pod = transport.objects.get(path) as Pod; // it was just scheduled
    transport.put(path, {
      ...pod,
      spec: { containers: [], ...pod.spec, nodeName: (request.body as Binding).target.name },
    } as Pod);
    return {};
  };
  const informers = createInformers(createClient(transport), { clock });
  const scheduler = createScheduler({ client: createClient(transport), informers, clock, host: "m" });
  const stop = new AbortController();
  const done = Promise.all([informers.run(stop.signal), scheduler.run(stop.signal)]);
  const get = <T>(path: string) => transport.objects.get(path) as T | undefined;
  return {
    transport,
    clock,
    node: (name: string) => transport.create("/api/v1/nodes", makeNode(name)),
    pod: (name: string) => get<Pod>(`${podsPath}/${name}`),
    claim: (name: string) => get<ResourceClaim>(`${claimsPath}/${name}`),
    create: (pod: Pod) => transport.create(podsPath, pod),
    events: () => [...transport.objects.values()].filter(({ kind }) => kind === "Event") as Event[],
    async until(condition: () => unknown) {
      for (let turn = 0; !condition(); turn++) {
        assert.ok(turn < 3000, `never: ${condition}`);
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    stop: async () => {
      stop.abort();
      await done;
    },
  };
}
type Running = ReturnType<typeof startScheduler>;

const makeClass = ({ transport }: Running, name: string, spec: DeviceClass["spec"] = {}) =>
  transport.create(`${group}/deviceclasses`, {
    kind: "DeviceClass",
    metadata: { name },
    spec,
  } as DeviceClass);
const makeSlice = ({ transport }: Running, nodeName: string, devices: NonNullable<ResourceSlice["spec"]["devices"]>) =>
  transport.create(`${group}/resourceslices`, {
    kind: "ResourceSlice",
    metadata: { name: `slice-${nodeName}` },
    spec: { driver: "d.io", nodeName, pool: { name: nodeName, generation: 1, resourceSliceCount: 1 }, devices },
  } as ResourceSlice);
const makeClaim = ({ transport }: Running, name: string, devices: ResourceClaim["spec"]["devices"] = one("any")) =>
  transport.create(claimsPath, {
    kind: "ResourceClaim",
    metadata: { name, namespace: "ns" },
    spec: { devices },
  } as ResourceClaim);
const one = (deviceClassName: string, expression?: string) => ({
  requests: [
    {
      name: "r",
      exactly: {
        deviceClassName,
        allocationMode: "ExactCount",
        count: 1,
        ...(expression ? { selectors: [{ cel: { expression } }] } : {}),
      },
    },
  ],
});
const user = (name: string, claim: string) =>
  makePod(name, { spec: { resourceClaims: [{ name: "c", resourceClaimName: claim }] } });
const scheduled = ({ pod }: Running, name: string) =>
  pod(name)?.status?.conditions?.find(({ type }) => type === "PodScheduled");

test("devices: a pod without claims starts no watch of devices", async () => {
  const running = startScheduler();
  running.node("n1");
  running.create(makePod("p"));
  await running.until(() => running.pod("p")?.spec?.nodeName);
  assert.ok(!running.transport.requests.some(({ path }) => path.startsWith(group)));
  await running.stop();
});

test("devices: a pod waits unseen for its claim, then gets devices where they are", async () => {
  const running = startScheduler();
  running.node("n1");
  running.node("n2");
  makeClass(running, "any");
  makeSlice(running, "n2", [{ name: "gpu" }]);
  running.create(user("p", "x"));
  await running.until(() => running.transport.requests.some(({ path }) => path === `${group}/resourceslices`));
  makeClaim(running, "x");
  await running.until(() => running.pod("p")?.spec?.nodeName);
  assert.equal(running.pod("p")?.spec?.nodeName, "n2");
  const { status, metadata } = running.claim("x") ?? { metadata: {} };
  assert.deepEqual(metadata.finalizers, ["resource.kubernetes.io/delete-protection"]);
  assert.deepEqual(status?.reservedFor, [{ resource: "pods", name: "p", uid: "uid-p" }]);
  assert.deepEqual(status?.allocation?.devices, {
    results: [{ request: "r", driver: "d.io", pool: "n2", device: "gpu" }],
  });
  assert.deepEqual(status?.allocation?.nodeSelector, {
    nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: ["n2"] }] }],
  });
  assert.equal(running.events().filter(({ reason }) => reason === "FailedScheduling").length, 0);
  await running.stop();
});

test("devices: no device is given twice; one that becomes free goes to who waits", async () => {
  const running = startScheduler();
  running.node("n1");
  makeClass(running, "any");
  makeSlice(running, "n1", [{ name: "gpu" }]);
  for (const name of ["a", "b"]) {
    makeClaim(running, name);
    running.create(user(name, name));
  }
  await running.until(() => scheduled(running, "b"));
  assert.equal(running.pod("a")?.spec?.nodeName, "n1");
  assert.equal(
    scheduled(running, "b")?.message,
    "0/1 nodes are available: 1 cannot allocate all claims. still not schedulable, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
  );
  const { status: _, ...freed } = running.claim("a") as ResourceClaim; // it was made above
  running.transport.put(`${claimsPath}/a`, freed);
  running.clock.advance(1_000);
  await running.until(() => running.pod("b")?.spec?.nodeName);
  await running.stop();
});

test("devices: a class that is missing, and an expression that fails, are told of and tried again", async () => {
  const running = startScheduler();
  running.node("n1");
  makeSlice(running, "n1", [{ name: "gpu" }]);
  makeClaim(running, "x", one("any", 'device.attributes["d.io"].nope'));
  running.create(user("p", "x"));
  await running.until(() => scheduled(running, "p"));
  assert.match(
    scheduled(running, "p")?.message ?? "",
    /^0\/1 nodes are available: request r: device class any does not exist\. /,
  );
  makeClass(running, "any");
  running.clock.advance(1_000);
  await running.until(() => scheduled(running, "p")?.reason === "SchedulerError");
  assert.match(
    scheduled(running, "p")?.message ?? "",
    /^running "DynamicResources" filter plugin: claim ns\/x: selector #0: CEL runtime error: no such key: nope/,
  );
  await running.stop();
});

test("devices: a claim that is allocated elsewhere is taken back when nobody uses it", async () => {
  const running = startScheduler();
  running.node("n1");
  makeClass(running, "any");
  makeSlice(running, "n1", [{ name: "gpu" }]);
  makeClaim(running, "x");
  const nodeSelector = {
    nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: ["n0"] }] }],
  };
  const claim = running.claim("x") as ResourceClaim; // just made
  running.transport.put(`${claimsPath}/x`, { ...claim, status: { allocation: { nodeSelector } } } as ResourceClaim);
  running.create(user("p", "x"));
  await running.until(() => scheduled(running, "p"));
  assert.match(
    scheduled(running, "p")?.message ?? "",
    /1 resourceclaim not available on the node\. deallocation of ResourceClaim completed, preemption: /,
  );
  running.clock.advance(1_000);
  await running.until(() => running.pod("p")?.spec?.nodeName === "n1");
  await running.stop();
});

test("devices: the node that gives the better alternative is preferred", async () => {
  const running = startScheduler();
  for (const name of ["n1", "n2"]) running.node(name);
  makeClass(running, "big", { selectors: [{ cel: { expression: '"big" in device.attributes["d.io"]' } }] });
  makeClass(running, "any");
  makeSlice(running, "n1", [{ name: "gpu" }]);
  makeSlice(running, "n2", [{ name: "gpu", attributes: { big: { bool: true } } }]);
  const alternative = (name: string) => ({ name, deviceClassName: name, allocationMode: "ExactCount", count: 1 });
  makeClaim(running, "x", { requests: [{ name: "r", firstAvailable: [alternative("big"), alternative("any")] }] });
  running.create(user("p", "x"));
  await running.until(() => running.pod("p")?.spec?.nodeName);
  assert.equal(running.pod("p")?.spec?.nodeName, "n2");
  assert.equal(running.claim("x")?.status?.allocation?.devices?.results?.[0]?.request, "r/big");
  await running.stop();
});

test("devices: an extended resource that a class stands for gets a claim of its own", async () => {
  const running = startScheduler();
  running.node("n1");
  makeClass(running, "gpus", { extendedResourceName: "e.com/gpu" });
  makeSlice(running, "n1", [{ name: "a" }, { name: "b" }, { name: "c" }]);
  running.create(makePod("p", { requests: { "e.com/gpu": "2", cpu: "1" } }));
  await running.until(() => running.pod("p")?.spec?.nodeName);
  const claim = [...running.transport.objects.values()].find(({ kind }) => kind === "ResourceClaim") as ResourceClaim;
  assert.equal(claim.metadata.generateName, "p-extended-resources-");
  assert.deepEqual(claim.metadata.annotations, { "resource.kubernetes.io/extended-resource-claim": "true" });
  assert.equal(claim.status?.allocation?.devices?.results?.length, 2);
  assert.deepEqual(running.pod("p")?.status?.extendedResourceClaimStatus, {
    resourceClaimName: claim.metadata.name,
    requestMappings: [{ containerName: "c", resourceName: "e.com/gpu", requestName: "container-0-request-1" }],
  });
  running.create(makePod("q", { requests: { "e.com/gpu": "2" } }));
  await running.until(() => scheduled(running, "q"));
  assert.match(scheduled(running, "q")?.message ?? "", /1 cannot allocate all claims/);
  await running.stop();
});

test("devices: two pods at once don't get the same devices for their extended resources", async () => {
  const running = startScheduler();
  running.node("n1");
  makeClass(running, "gpus", { extendedResourceName: "e.com/gpu" });
  makeSlice(running, "n1", [{ name: "a" }, { name: "b" }, { name: "c" }]);
  for (const name of ["p", "q", "r"]) running.create(makePod(name, { requests: { "e.com/gpu": "1" } }));
  running.create(makePod("s", { requests: { "e.com/gpu": "1" } }));
  await running.until(
    () => scheduled(running, "s") && ["p", "q", "r"].every((name) => running.pod(name)?.spec?.nodeName),
  );
  const claims = [...running.transport.objects.values()].filter(
    ({ kind }) => kind === "ResourceClaim",
  ) as ResourceClaim[];
  const given = claims.flatMap(({ status }) => status?.allocation?.devices?.results ?? []).map(({ device }) => device);
  assert.deepEqual(given.sort(), ["a", "b", "c"]);
  await running.stop();
});

test("devices: a pod is bound when drivers have made its devices ready", async () => {
  const running = startScheduler();
  running.node("n1");
  makeClass(running, "any");
  makeSlice(running, "n1", [
    { name: "gpu", bindsToNode: true, bindingConditions: ["ready"], bindingFailureConditions: ["broken"] },
  ]);
  makeClaim(running, "x");
  running.create(user("p", "x"));
  await running.until(() => running.events().some(({ reason }) => reason === "BindingConditionsPending"));
  assert.equal(running.pod("p")?.spec?.nodeName, undefined);
  const tell = (type: string) => {
    const claim = running.claim("x") as ResourceClaim; // made above
    const condition = {
      type,
      status: "True",
      reason: "Because",
      message: "so",
      lastTransitionTime: "2026-01-01T00:00:00Z",
    };
    const devices = [{ driver: "d.io", pool: "n1", device: "gpu", conditions: [condition] }];
    running.transport.put(`${claimsPath}/x`, { ...claim, status: { ...claim.status, devices } } as ResourceClaim);
  };
  tell("broken");
  await running.until(() => scheduled(running, "p")?.reason === "SchedulerError");
  assert.equal(
    scheduled(running, "p")?.message,
    'running PreBind plugin "DynamicResources": device binding failed: claim=x, reason=Because, message="so"',
  );
  await running.stop();
});
