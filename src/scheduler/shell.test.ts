import assert from "node:assert/strict";
import { test } from "node:test";
import type { Binding, Event, Node, PersistentVolume, PersistentVolumeClaim, Pod } from "#api";
import { FakeClock } from "#base";
import { createClient, createInformers } from "#client";
import { type ApiRequest, statusError } from "#machinery";
import { FakeTransport } from "#testing";
import { defaultProfile } from "./core/default-plugins.ts";
import { makeNode, makePod } from "./core/fixtures.ts";
import type { Profile } from "./core/framework.ts";
import { createScheduler } from "./shell.ts";

const podPath = (name: string) => `/api/v1/namespaces/ns/pods/${name}`;
const settle = async () => {
  for (let turn = 0; turn < 10; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
};

/** A scheduler on a server that knows bindings. */
function startScheduler(
  options: { nodes?: Node[]; refuse?: (request: ApiRequest) => Error | undefined; profiles?: readonly Profile[] } = {},
) {
  const transport = new FakeTransport();
  const clock = new FakeClock();
  transport.intercept = (request) => {
    const refused = options.refuse?.(request);
    if (refused) throw refused;
    if (!request.path.endsWith("/binding")) return undefined;
    const path = request.path.slice(0, -"/binding".length);
    const pod = transport.objects.get(path) as Pod | undefined; // pods live at pod paths
    if (!pod) throw statusError.notFound({ group: "", resource: "pods" }, "gone");
    const { target } = request.body as Binding;
    const spec = { containers: [], ...pod.spec, nodeName: target.name };
    transport.put(path, { ...pod, spec } as Pod);
    return {};
  };
  for (const node of options.nodes ?? []) transport.create("/api/v1/nodes", node);
  const client = createClient(transport);
  const informers = createInformers(client, { clock });
  const scheduler = createScheduler({ client, informers, clock, host: "m", profiles: options.profiles });
  const stop = new AbortController();
  const done = Promise.all([informers.run(stop.signal), scheduler.run(stop.signal)]);
  return {
    transport,
    clock,
    create: (pod: Pod) => transport.create("/api/v1/namespaces/ns/pods", pod),
    pod: (name: string) => transport.objects.get(podPath(name)) as Pod,
    events: () => [...transport.objects.values()].filter(({ kind }) => kind === "Event") as Event[],
    stop: async () => {
      stop.abort();
      await done;
    },
  };
}

test("scheduler: binds a pod and says so", async () => {
  const { create, pod, events, transport, stop } = startScheduler({ nodes: [makeNode("n1")] });
  create(makePod("p"));
  create(makePod("foreign", { spec: { schedulerName: "other" } }));
  await settle();
  assert.equal(pod("p").spec?.nodeName, "n1");
  assert.equal(pod("foreign").spec?.nodeName, undefined);
  const binding = transport.requests.find(({ path }) => path.endsWith("/binding"));
  assert.deepEqual(binding?.body, {
    kind: "Binding",
    apiVersion: "v1",
    metadata: { namespace: "ns", name: "p", uid: "uid-p" },
    target: { kind: "Node", name: "n1" },
  });
  const [event] = events();
  assert.equal(event?.type, "Normal");
  assert.equal(event?.reason, "Scheduled");
  assert.equal(event?.message, "Successfully assigned ns/p to n1");
  assert.equal(event?.reportingComponent, "default-scheduler");
  assert.equal(event?.reportingInstance, "default-scheduler-m");
  assert.equal(event?.action, "Binding");
  await stop();
});

test("scheduler: each pod is scheduled by its profile, under its name", async () => {
  const careless = { ...defaultProfile, schedulerName: "careless", filters: [], preempts: false };
  const { create, pod, events, stop } = startScheduler({
    nodes: [makeNode("n1", { spec: { unschedulable: true } })],
    profiles: [defaultProfile, careless],
  });
  for (const [name, schedulerName] of Object.entries({ a: "default-scheduler", b: "careless", c: "foreign" })) {
    create(makePod(name, { spec: { schedulerName } }));
  }
  await settle();
  assert.deepEqual(
    ["a", "b", "c"].map((name) => pod(name).spec?.nodeName),
    [undefined, "n1", undefined],
  );
  assert.deepEqual(
    events().map(({ reason, reportingComponent, involvedObject }) => [involvedObject.name, reason, reportingComponent]),
    [
      ["a", "FailedScheduling", "default-scheduler"],
      ["b", "Scheduled", "careless"],
    ],
  );
  await stop();
});

test("scheduler: a burst spreads over the nodes and never overfills one, before any binding is confirmed", async () => {
  const nodes = ["a", "b", "c"].map((name) => makeNode(name, { allocatable: { cpu: "4" } }));
  const { create, pod, stop } = startScheduler({ nodes });
  for (let index = 0; index < 13; index++) create(makePod(`p${index}`, { requests: { cpu: "1" } }));
  await settle();
  const placed = Array.from({ length: 13 }, (_, index) => pod(`p${index}`).spec?.nodeName);
  for (const name of ["a", "b", "c"]) assert.equal(placed.filter((node) => node === name).length, 4);
  assert.equal(placed.filter((node) => node === undefined).length, 1);
  await stop();
});

test("scheduler: an unschedulable pod gets condition and event, and a place when one becomes free", async () => {
  const { create, pod, events, transport, clock, stop } = startScheduler({
    nodes: [makeNode("n1", { allocatable: { cpu: "1" } })],
  });
  create(makePod("first", { requests: { cpu: "1" } }));
  await settle();
  create(makePod("second", { requests: { cpu: "1" } }));
  await settle();
  const message =
    "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";
  assert.deepEqual(pod("second").status?.conditions, [
    {
      type: "PodScheduled",
      status: "False",
      lastTransitionTime: "2026-01-01T00:00:00Z",
      reason: "Unschedulable",
      message,
    },
  ]);
  const failed = events().find(({ reason }) => reason === "FailedScheduling");
  assert.equal(failed?.type, "Warning");
  assert.equal(failed?.message, message);
  assert.equal(failed?.action, "Scheduling");
  const patches = () =>
    transport.requests.filter(({ method, path }) => method === "PATCH" && path.includes("/pods/")).length;
  assert.equal(patches(), 1, "its own patch is no reason to try again");
  transport.remove(podPath("first"));
  clock.advance(1_000);
  await settle();
  assert.equal(pod("second").spec?.nodeName, "n1");
  assert.equal(patches(), 1);
  await stop();
});

test("scheduler: pods that came before the first node are placed when it appears", async () => {
  const { create, pod, transport, clock, stop } = startScheduler();
  create(makePod("p"));
  await settle();
  assert.equal(pod("p").status?.conditions?.[0]?.message, "no nodes available to schedule pods");
  transport.create("/api/v1/nodes", makeNode("n1"));
  clock.advance(1_000);
  await settle();
  assert.equal(pod("p").spec?.nodeName, "n1");
  await stop();
});

test("scheduler: a failed binding frees the node and is tried again", async () => {
  let failures = 1;
  const { create, pod, events, clock, stop } = startScheduler({
    nodes: [makeNode("n1", { allocatable: { cpu: "1" } })],
    refuse: ({ path }) => (path.endsWith("/binding") && failures-- > 0 ? new Error("connection reset") : undefined),
  });
  create(makePod("p", { requests: { cpu: "1" } }));
  await settle();
  assert.equal(pod("p").spec?.nodeName, undefined);
  assert.equal(pod("p").status?.conditions?.[0]?.reason, "SchedulerError");
  assert.equal(events()[0]?.message, 'running Bind plugin "DefaultBinder": connection reset');
  clock.advance(1_000);
  await settle();
  assert.equal(pod("p").spec?.nodeName, "n1");
  await stop();
});

test("scheduler: a pod being deleted is not placed; a finished one frees its node", async () => {
  const { create, pod, events, transport, clock, stop } = startScheduler({
    nodes: [makeNode("n1", { allocatable: { cpu: "1" } })],
  });
  const dying = makePod("dying");
  create({ ...dying, metadata: { ...dying.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } });
  create(makePod("first", { requests: { cpu: "1" } }));
  await settle();
  assert.equal(pod("dying").spec?.nodeName, undefined);
  assert.equal(events()[0]?.message, "skip schedule deleting pod: ns/dying");
  create(makePod("second", { requests: { cpu: "1" } }));
  await settle();
  assert.equal(pod("second").spec?.nodeName, undefined);
  transport.patch(podPath("first"), { status: { phase: "Succeeded" } });
  clock.advance(1_000);
  await settle();
  assert.equal(pod("second").spec?.nodeName, "n1");
  await stop();
});

/** One node with 2 CPUs, one of them used by `low`; `boss` wants both. */
async function startPreemption(refuse?: (request: ApiRequest) => Error | undefined) {
  const started = startScheduler({ nodes: [makeNode("n1", { allocatable: { cpu: "2" } })], refuse });
  started.create(makePod("low", { requests: { cpu: "1" }, spec: { priority: 1 } }));
  await settle();
  assert.equal(started.pod("low").spec?.nodeName, "n1");
  started.transport.requests.length = 0;
  started.create(makePod("boss", { requests: { cpu: "2" }, spec: { priority: 10 } }));
  await settle();
  return started;
}

test("scheduler: makes room for a pod by removing a lower one, marked first, and places it there", async () => {
  const { pod, events, transport, clock, stop } = await startPreemption();
  assert.deepEqual(
    transport.requests
      .filter(({ path }) => path.startsWith(podPath("low")))
      .map(({ method, path, body }) => ({ method, path, body })),
    [
      {
        method: "PATCH",
        path: `${podPath("low")}/status`,
        body: {
          metadata: { uid: "uid-low" },
          status: {
            conditions: [
              {
                type: "DisruptionTarget",
                status: "True",
                reason: "PreemptionByScheduler",
                message: "default-scheduler: preempting to accommodate a higher priority pod",
                lastTransitionTime: "2026-01-01T00:00:00Z",
              },
            ],
          },
        },
      },
      {
        method: "DELETE",
        path: podPath("low"),
        body: { kind: "DeleteOptions", apiVersion: "v1", preconditions: { uid: "uid-low" } },
      },
    ],
  );
  const preempted = events().find(({ reason }) => reason === "Preempted");
  assert.equal(preempted?.type, "Normal");
  assert.equal(preempted?.action, "Preempting");
  assert.equal(preempted?.message, "Preempted by pod uid-boss on node n1");
  assert.equal(preempted?.involvedObject.name, "low");
  assert.equal(preempted?.related?.name, "boss");
  assert.equal(pod("boss").status?.nominatedNodeName, "n1");
  assert.equal(pod("boss").status?.conditions?.[0]?.message, "0/1 nodes are available: 1 Insufficient cpu.");
  clock.advance(1_000);
  await settle();
  assert.equal(pod("boss").spec?.nodeName, "n1");
  await stop();
});

test("scheduler: while victims take their time it removes no more, gives their room to nobody lesser, and a greater one may take it", async () => {
  const graceful = ({ method, path }: ApiRequest) => {
    if (method !== "DELETE") return undefined;
    const { transport } = started;
    transport.patch(path, { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } });
    return statusError.notFound({ group: "", resource: "pods" }, "as if it were told so");
  };
  const started = startScheduler({ nodes: [makeNode("n1", { allocatable: { cpu: "2" } })], refuse: graceful });
  const { create, pod, transport, clock, stop } = started;
  create(makePod("low", { requests: { cpu: "1" }, spec: { priority: 1 } }));
  await settle();
  create(makePod("boss", { requests: { cpu: "2" }, spec: { priority: 10 } }));
  await settle();
  const deletions = () => transport.requests.filter(({ method }) => method === "DELETE").length;
  assert.equal(deletions(), 1);
  create(makePod("lesser", { requests: { cpu: "1" }, spec: { priority: 5 } }));
  transport.create("/api/v1/nodes", makeNode("n2", { allocatable: { cpu: "500m" } }));
  transport.patch("/api/v1/nodes/n2", { status: { allocatable: { cpu: "1500m", pods: "110" } } });
  clock.advance(10_000);
  await settle();
  assert.equal(pod("lesser").spec?.nodeName, "n2", "there is room elsewhere");
  create(makePod("least", { requests: { cpu: "1" }, spec: { priority: 0 } }));
  await settle();
  assert.equal(pod("least").spec?.nodeName, undefined, "the room on n1 is promised");
  create(makePod("king", { requests: { cpu: "2" }, spec: { priority: 20 } }));
  await settle();
  assert.equal(pod("king").status?.nominatedNodeName, "n1");
  assert.ok(!pod("boss").status?.nominatedNodeName, "its nomination is gone");
  assert.equal(deletions(), 1, "who is going needs no second order to go");
  transport.remove(podPath("low"));
  clock.advance(10_000);
  await settle();
  assert.equal(pod("king").spec?.nodeName, "n1");
  assert.equal(pod("boss").spec?.nodeName, undefined);
  await stop();
});

test("scheduler: a victim that can't be removed has the pod tried again after its back-off", async () => {
  let refusals = 1;
  const { pod, transport, clock, stop } = await startPreemption(({ method }) =>
    method === "DELETE" && refusals-- > 0 ? new Error("connection reset") : undefined,
  );
  const deletions = () => transport.requests.filter(({ method }) => method === "DELETE").length;
  assert.equal(deletions(), 1);
  assert.ok(pod("low"));
  for (let second = 0; second < 3; second++) {
    clock.advance(1_000);
    await settle();
  }
  assert.equal(deletions(), 2);
  assert.equal(pod("boss").spec?.nodeName, "n1");
  await stop();
});

const claimPath = "/api/v1/namespaces/ns/persistentvolumeclaims/c";
const claimsPath = claimPath.slice(0, -2);
const bound = { "pv.kubernetes.io/bind-completed": "yes" };

/** The same with a class whose claims wait for their pod. */
function startWithStorage(provisioner: string) {
  const started = startScheduler({ nodes: [makeNode("n1")] });
  const { transport, create } = started;
  transport.create("/apis/storage.k8s.io/v1/storageclasses", {
    kind: "StorageClass",
    apiVersion: "storage.k8s.io/v1",
    metadata: { name: "later" },
    provisioner,
    volumeBindingMode: "WaitForFirstConsumer",
  } as never); // a kind of its own
  const claim: PersistentVolumeClaim = {
    kind: "PersistentVolumeClaim",
    apiVersion: "v1",
    metadata: { name: "c", namespace: "ns", uid: "uid-c" },
    spec: { storageClassName: "later", resources: { requests: { storage: "1Gi" } } },
  };
  const createVolume = () =>
    transport.create("/api/v1/persistentvolumes", {
      kind: "PersistentVolume",
      apiVersion: "v1",
      metadata: { name: "v" },
      spec: { storageClassName: "later", capacity: { storage: "1Gi" } },
      status: { phase: "Available" },
    } as PersistentVolume as never);
  return {
    ...started,
    createVolume,
    createClaim: () => transport.create(claimsPath, claim as never),
    createPod: () =>
      create(makePod("p", { spec: { volumes: [{ name: "v", persistentVolumeClaim: { claimName: "c" } }] } })),
    claim: () => transport.objects.get(claimPath) as PersistentVolumeClaim,
  };
}

test("scheduler: tells the provisioner the node, waits for the volume, then binds", async () => {
  const { createClaim, createPod, createVolume, claim, pod, transport, clock, stop } = startWithStorage("disk.example");
  createPod();
  await settle();
  assert.equal(
    pod("p").status?.conditions?.[0]?.message,
    '0/1 nodes are available: persistentvolumeclaim "c" not found. not found',
  );
  createClaim();
  clock.advance(1_000);
  await settle();
  assert.equal(claim().metadata.annotations?.["volume.kubernetes.io/selected-node"], "n1");
  assert.equal(pod("p").spec?.nodeName, undefined);
  createVolume();
  transport.patch(claimPath, { metadata: { annotations: bound }, spec: { volumeName: "v" } });
  await settle();
  assert.equal(pod("p").spec?.nodeName, "n1");
  await stop();
});

test("scheduler: a provisioner that gives up has the pod tried again", async () => {
  const { createClaim, createPod, claim, pod, events, transport, clock, stop } = startWithStorage("disk.example");
  createClaim();
  createPod();
  await settle();
  transport.patch(claimPath, { metadata: { annotations: null } });
  await settle();
  const message = 'running PreBind plugin "VolumeBinding": binding volumes: provisioning failed for PVC "c"';
  assert.equal(pod("p").status?.conditions?.[0]?.reason, "SchedulerError");
  assert.ok(events().some((event) => event.reason === "FailedScheduling" && event.message === message));
  clock.advance(1_000);
  await settle();
  assert.equal(claim().metadata.annotations?.["volume.kubernetes.io/selected-node"], "n1");
  await stop();
});

test("scheduler: reserves a volume that is there, for a claim that waits for its pod", async () => {
  const { createClaim, createPod, createVolume, pod, transport, stop } =
    startWithStorage("kubernetes.io/no-provisioner");
  createVolume();
  createClaim();
  createPod();
  await settle();
  const volume = transport.objects.get("/api/v1/persistentvolumes/v") as PersistentVolume;
  assert.equal(volume.spec?.claimRef?.uid, "uid-c");
  assert.equal(volume.metadata.annotations?.["pv.kubernetes.io/bound-by-controller"], "yes");
  assert.equal(pod("p").spec?.nodeName, undefined);
  transport.patch(claimPath, { metadata: { annotations: bound }, spec: { volumeName: "v" } });
  await settle();
  assert.equal(pod("p").spec?.nodeName, "n1");
  await stop();
});

test("scheduler: stops, and forgets pods that go, while volumes are being made", async () => {
  const { createClaim, createPod, pod, transport, events, stop } = startWithStorage("disk.example");
  createClaim();
  createPod();
  await settle();
  transport.remove("/api/v1/namespaces/ns/pods/p");
  await settle();
  assert.equal(events().length, 0);
  createPod();
  await settle();
  await stop();
  assert.equal(pod("p").spec?.nodeName, undefined);
  assert.deepEqual(events(), [], "stopping is no failure of the pod");
});
