/** The node part of CSI against a driver on a real socket and a stand-in for the API server; nothing is mounted (test/csi.test.ts does). */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterEach, test } from "node:test";
import type { CSIDriver, Node, PersistentVolume, PersistentVolumeClaim, Pod } from "#api";
import { type Clock, realClock, silentLogger } from "#base";
import { createClient, createInformers } from "#client";
import { type KubernetesObject, statusError } from "#machinery";
import { type CsiDriver, type CsiDriverOptions, FakeTransport, startCsiDriver } from "#testing";
import { runPluginRegistry } from "../../plugins/registry.ts";
import { nodeLayout } from "../layout.ts";
import type { MountError, VolumeRequest } from "../plugin.ts";
import { createVolumePlugins } from "../plugins.ts";
import { createTokenSource } from "../tokens.ts";
import { attachmentName } from "./paths.ts";

const driverName = "d.example.com";
const unique = `kubernetes.io/csi/${driverName}^vol-1`;
const storage = "/apis/storage.k8s.io/v1";
const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

const podNamed = (name: string, spec: object = {}): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "ns", uid: `uid-${name}` },
  spec: { serviceAccountName: "sa", nodeName: "n1", containers: [], ...spec },
});
const kind = (spec: Partial<CSIDriver["spec"]> = {}): CSIDriver => ({
  apiVersion: "storage.k8s.io/v1",
  kind: "CSIDriver",
  metadata: { name: driverName },
  spec: { attachRequired: false, fsGroupPolicy: "File", volumeLifecycleModes: ["Persistent", "Ephemeral"], ...spec },
});
const volumeOf = (spec: Partial<PersistentVolume["spec"]> = {}, csi: object = {}): PersistentVolume => ({
  apiVersion: "v1",
  kind: "PersistentVolume",
  metadata: { name: "pv1" },
  spec: {
    accessModes: ["ReadWriteOnce"],
    capacity: { storage: "1Gi" },
    claimRef: { name: "c1", namespace: "ns" },
    csi: { driver: driverName, volumeHandle: "vol-1", fsType: "ext4", volumeAttributes: { a: "1" }, ...csi },
    ...spec,
  },
});
const claimOf = (
  status: PersistentVolumeClaim["status"] = { capacity: { storage: "1Gi" } },
): PersistentVolumeClaim => ({
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: { name: "c1", namespace: "ns" },
  spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "2Gi" } } },
  status,
});

interface Started {
  readonly clock?: Clock;
  readonly syncMs?: number;
  readonly kind?: CSIDriver | undefined;
}

async function start({ syncMs = 3_600_000, clock = realClock, kind: object = kind() }: Started = {}) {
  const folder = await mkdtemp(join(tmpdir(), "csi-"));
  endings.push(() => rm(folder, { recursive: true, force: true }));
  const transport = new FakeTransport();
  const put = (path: string, value: object) => {
    const object: KubernetesObject = value;
    const metadata = { ...object.metadata, resourceVersion: undefined };
    return transport.objects.has(path)
      ? transport.put(path, { ...object, metadata } as KubernetesObject) // without a revision it is no update of one
      : transport.create(dirname(path), object);
  };
  const waiters = new Set<() => void>();
  const look = () => setImmediate(() => [...waiters].map((each) => each()));
  transport.intercept = (request) => {
    look();
    if (request.path.includes("/volumeattachments/") && !transport.objects.has(request.path))
      throw statusError.notFound({ group: "storage.k8s.io", resource: "volumeattachments" }, basename(request.path));
    return request.path.endsWith("/token")
      ? { status: { token: "t", expirationTimestamp: "2030-01-01T00:00:00Z" } }
      : undefined;
  };
  put("/api/v1/nodes/n1", { apiVersion: "v1", kind: "Node", metadata: { name: "n1", uid: "node-uid" } });
  if (object) put(`${storage}/csidrivers/${driverName}`, object);
  put("/api/v1/namespaces/ns/persistentvolumeclaims/c1", claimOf());
  put("/api/v1/persistentvolumes/pv1", volumeOf());
  const client = createClient(transport);
  const told: string[] = [];
  const layout = nodeLayout({ root: folder, logs: join(folder, "logs") });

  async function startNode() {
    const stopper = new AbortController();
    const informers = createInformers(client);
    const nodes = informers.of("v1/nodes");
    const worker = (uid: string) => ({
      uid,
      pod: () => podNamed(uid.replace("uid-", "")),
      sourcesChanged() {
        told.push(`wake ${uid}`);
        look();
      },
      evict({ reason, message }: { reason: string; message: string }) {
        told.push(`reject ${uid} ${reason} ${message}`);
        look();
      },
    });
    const plugins = createVolumePlugins({
      client,
      informers,
      clock,
      log: silentLogger,
      nodeName: "n1",
      nodes,
      folder,
      layout,
      tokens: createTokenSource(client, realClock),
      config: { syncFrequency: syncMs },
      signal: stopper.signal,
      workers: () => [worker("uid-a")],
      recorder: {
        event(about, { type, reason, message }) {
          told.push(`${about.metadata?.name} ${type} ${reason} ${message}`);
          look();
        },
      },
      statusChanged() {
        told.push("status");
        look();
      },
    });
    const running = [
      informers.run(stopper.signal),
      runPluginRegistry(
        {
          folder: join(folder, "plugins_registry"),
          handlers: plugins.registrations,
          clock: realClock,
          log: silentLogger,
        },
        stopper.signal,
      ),
    ];
    await nodes.synced();
    const stop = async () => {
      stopper.abort();
      await plugins.close();
      await Promise.all(running);
    };
    endings.push(stop);
    const csi = await plugins.find("csi");
    assert.ok(csi);
    return { plugins, csi, stop };
  }

  return {
    folder,
    transport,
    put,
    told,
    layout,
    startNode,
    async driver(options: Partial<CsiDriverOptions> = {}): Promise<CsiDriver> {
      const made = await startCsiDriver({
        name: driverName,
        nodeName: "n1",
        nodeFolder: folder,
        dataFolder: join(folder, "data"),
        mounts: false,
        onCall: look,
        ...options,
      });
      endings.push(() => made.stop());
      return made;
    },
    /** Woken by calls, events and requests; what is waited for comes of one of them. */
    until: (condition: () => unknown) =>
      new Promise<void>((resolve) => {
        const check = () => {
          if (!condition()) return;
          waiters.delete(check);
          resolve();
        };
        waiters.add(check);
        check();
      }),
    request(pod: Pod, more: Partial<VolumeRequest> = {}): VolumeRequest {
      const persistent = "persistent" in more ? more.persistent : volumeOf();
      const name = persistent?.metadata.name ?? "v";
      return {
        pod,
        volume: { name: "v" },
        persistent,
        claim: undefined,
        readOnly: false,
        mode: "Filesystem",
        path: layout.pod(pod.metadata.uid ?? "").volume("csi", name),
        fsGroup: pod.spec?.securityContext?.fsGroup,
        ...more,
      };
    },
  };
}

const methods = (driver: CsiDriver): string[] =>
  driver.calls.map(({ method }) => method).filter((method) => !/^NodeGet/.test(method));
const lastOf = (driver: CsiDriver, method: string) => {
  const found = driver.calls.findLast((call) => call.method === method)?.request;
  assert.ok(found, `no ${method}`);
  return found;
};
const failing = async (work: Promise<unknown>): Promise<MountError> =>
  work.then(
    () => assert.fail("it went well"),
    (error: MountError) => error,
  );
const registered = (driver: CsiDriver) => () => driver.said.at(-1) === "registered";

test("CSI drivers: the node and its CSINode say what a driver tells of itself, until it goes", async () => {
  const { startNode, driver, until, transport, told, folder } = await start();
  const { plugins } = await startNode();
  await plugins.start();
  const csiNode = () =>
    transport.objects.get(`${storage}/csinodes/n1`) as { spec: { drivers: unknown[] }; metadata: object }; // put there by the node
  const node = () => transport.objects.get("/api/v1/nodes/n1") as Node; // the same
  assert.deepEqual(csiNode().spec.drivers, []);
  const one = await driver({ nodeInfo: { maxVolumesPerNode: 3, segments: { "topology.d/zone": "z1" } } });
  await until(registered(one));
  assert.deepEqual(csiNode().spec.drivers, [
    { name: driverName, nodeID: "n1-id", topologyKeys: ["topology.d/zone"], allocatable: { count: 3 } },
  ]);
  assert.equal(node().metadata.annotations?.["csi.volume.kubernetes.io/nodeid"], `{"${driverName}":"n1-id"}`);
  assert.equal(node().metadata.labels?.["topology.d/zone"], "z1");
  assert.ok(told.includes("wake uid-a"));
  const twin = await startCsiDriver({
    name: driverName,
    nodeName: "n1",
    nodeFolder: join(folder, "other"),
    dataFolder: folder,
    versions: ["0.3.0"],
    mounts: false,
  });
  endings.push(() => twin.stop());
  assert.match(
    String(
      await plugins.registrations.CSIPlugin?.validate({
        type: "CSIPlugin",
        name: driverName,
        endpoint: "/e",
        supportedVersions: ["0.3.0"],
      }),
    ),
    /^validation failed for CSI Driver d\.example\.com at endpoint \/e: kubernetes\.io\/csi: ValidatePlugin for CSI driver "d\.example\.com" failed\. None of the versions specified \["0\.3\.0"\] are supported\./,
  );
  await one.stop();
  await until(
    () => csiNode().spec.drivers.length === 0 && !node().metadata.annotations?.["csi.volume.kubernetes.io/nodeid"],
  );
});

test("CSI drivers: one whose topology contradicts the node is refused, and tried again", async () => {
  const { startNode, driver, until, put } = await start();
  put("/api/v1/nodes/n1", {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "n1", uid: "u", labels: { zone: "z2" } },
  });
  await startNode();
  const one = await driver({ nodeInfo: { segments: { zone: "z1" } } });
  await until(() => one.said.length > 0);
  assert.match(
    one.said[0] ?? "",
    /^RegisterPlugin error -- plugin registration failed with err: error updating Node object with CSI driver node info: .*detected topology value collision: driver reported "zone":"z1" but existing label is "zone":"z2"/,
  );
});

test("CSI drivers: a limit that changes is asked for as often as the CSIDriver says", async () => {
  const { startNode, driver, until, transport } = await start({
    kind: kind({ nodeAllocatableUpdatePeriodSeconds: 0.01 }),
  });
  await startNode();
  const one = await driver({ nodeInfo: { maxVolumesPerNode: 3 } });
  await until(registered(one));
  one.maxVolumesPerNode = 7;
  await until(() => JSON.stringify(transport.objects.get(`${storage}/csinodes/n1`)).includes('"count":7'));
});

test("CSI volumes: staged once, published for each pod, given back by the last", async () => {
  const { startNode, driver, until, request, folder, layout } = await start({ kind: kind({ podInfoOnMount: true }) });
  const { csi, plugins } = await startNode();
  const one = await driver();
  await until(registered(one));
  const [a, b] = [podNamed("a"), podNamed("b")];
  const persistent = volumeOf({ mountOptions: ["noatime"] });
  const made = await csi.setUp(request(a, { persistent, fsGroup: 7 }));
  assert.deepEqual(made, {
    path: `${layout.pod("uid-a").volume("csi", "pv1")}/mount`,
    readOnly: false,
    ownsFiles: true,
  });
  await csi.setUp(request(b, { persistent, readOnly: true }));
  await csi.setUp(request(a, { persistent }));
  assert.deepEqual(methods(one), ["NodeStageVolume", "NodePublishVolume", "NodePublishVolume"]);
  const staged = lastOf(one, "NodeStageVolume");
  assert.match(staged.stagingTargetPath, /\/plugins\/kubernetes\.io\/csi\/d\.example\.com\/[0-9a-f]{64}\/globalmount$/);
  assert.deepEqual(staged.volumeCapability?.mount, { fsType: "ext4", mountFlags: ["noatime"], volumeMountGroup: "" });
  assert.equal(staged.volumeCapability?.accessMode.mode, "SINGLE_NODE_WRITER");
  const published = lastOf(one, "NodePublishVolume");
  assert.equal(published.readonly, true);
  assert.deepEqual(published.volumeContext, {
    a: "1",
    "csi.storage.k8s.io/pod.name": "b",
    "csi.storage.k8s.io/pod.namespace": "ns",
    "csi.storage.k8s.io/pod.uid": "uid-b",
    "csi.storage.k8s.io/serviceAccount.name": "sa",
    "csi.storage.k8s.io/ephemeral": "false",
  });
  const kept = JSON.parse(await readFile(join(layout.pod("uid-a").volume("csi", "pv1"), "vol_data.json"), "utf8"));
  assert.deepEqual(kept, {
    specVolID: "pv1",
    volumeHandle: "vol-1",
    driverName,
    nodeName: "n1",
    volumeLifecycleMode: "Persistent",
    attachmentID: attachmentName("vol-1", driverName, "n1"),
  });
  assert.equal((await plugins.stats("uid-a", "v"))?.usedBytes, 40);
  await csi.tearDown("uid-a");
  assert.ok(!methods(one).includes("NodeUnstageVolume"));
  await csi.tearDown("uid-b");
  await until(() => methods(one).includes("NodeUnstageVolume"));
  await until(() => !existsSync(staged.stagingTargetPath));
  assert.deepEqual(await readdir(join(folder, "plugins/kubernetes.io/csi", driverName)), []);
  assert.deepEqual(await readdir(join(layout.pod("uid-a").volumes, "kubernetes.io~csi")), []);
});

test("CSI volumes: written in a pod, with its tokens and secrets, as its driver allows", async () => {
  const asked = kind({ podInfoOnMount: true, tokenRequests: [{ audience: "vault" }, { audience: "" }] });
  const { startNode, driver, until, request, put } = await start({ kind: asked });
  const { csi } = await startNode();
  const one = await driver({ capabilities: [] });
  await until(registered(one));
  put("/api/v1/namespaces/ns/secrets/s", { metadata: { name: "s" }, data: { k: "dg==" } });
  const pod = podNamed("a", { securityContext: { fsGroup: 5 } });
  const volume = { name: "v", csi: { driver: driverName, fsType: "tmp", nodePublishSecretRef: { name: "s" } } };
  const inline = (more: object = {}) => request(pod, { persistent: undefined, volume: { ...volume, ...more } });
  assert.equal((await csi.setUp(inline())).ownsFiles, true);
  const first = lastOf(one, "NodePublishVolume");
  assert.match(first.volumeId, /^csi-[0-9a-f]{64}$/);
  assert.deepEqual(first.secrets, { k: "v" });
  assert.equal(first.volumeContext["csi.storage.k8s.io/ephemeral"], "true");
  const token = { token: "t", expirationTimestamp: "2030-01-01T00:00:00Z" };
  const tokens = JSON.stringify({ "": token, vault: token });
  assert.equal(first.volumeContext["csi.storage.k8s.io/serviceAccount.tokens"], tokens);
  await csi.tearDown("uid-a");
  assert.deepEqual(methods(one), ["NodePublishVolume", "NodeUnpublishVolume"]);

  put(`${storage}/csidrivers/${driverName}`, {
    ...asked,
    spec: { ...asked.spec, serviceAccountTokenInSecrets: true },
  });
  await until(() => one.calls.length > 0);
  await csi.setUp(inline());
  assert.equal(lastOf(one, "NodePublishVolume").secrets["csi.storage.k8s.io/serviceAccount.tokens"], tokens);
  const missing = await failing(
    csi.setUp(inline({ name: "w", csi: { ...volume.csi, nodePublishSecretRef: { name: "none" } } })),
  );
  assert.match(
    missing.message,
    /^fetching NodePublishSecretRef ns\/none failed: kubernetes\.io\/csi: failed to find the secret none in the namespace ns with error: /,
  );
});

test("CSI volumes: why a driver's volumes can't be used", async () => {
  const persistentOnly = kind({ volumeLifecycleModes: ["Persistent"] });
  const { startNode, driver, until, request } = await start({ kind: persistentOnly });
  const { csi } = await startNode();
  const unknown = await failing(csi.setUp(request(podNamed("a"))));
  assert.deepEqual(
    [unknown.operation, unknown.message],
    [
      "MountVolume.MountDevice failed",
      `kubernetes.io/csi: attacher.MountDevice failed to create newCsiDriverClient: driver name ${driverName} not found in the list of registered CSI drivers`,
    ],
  );
  const one = await driver();
  await until(registered(one));
  const volume = { name: "v", csi: { driver: driverName } };
  const inline = await failing(csi.setUp(request(podNamed("a"), { persistent: undefined, volume })));
  assert.equal(
    inline.message,
    `kubernetes.io/csi: mounter.SetupAt failed to check volume lifecycle mode: volume mode "Ephemeral" not supported by driver ${driverName} (only supports ["Persistent"])`,
  );
  const alone = volumeOf({ accessModes: ["ReadWriteOncePod"] });
  await csi.setUp(request(podNamed("a"), { persistent: alone }));
  const second = await failing(csi.setUp(request(podNamed("b"), { persistent: alone })));
  assert.equal(second.message, "volume uses the ReadWriteOncePod access mode and is already in use by another pod");
});

test("CSI volumes: a final error leaves nothing, an uncertain one is taken back when the pod goes", async () => {
  const { startNode, driver, until, request, layout } = await start();
  const { csi } = await startNode();
  const one = await driver({
    capabilities: ["STAGE_UNSTAGE_VOLUME", "SINGLE_NODE_MULTI_WRITER", "VOLUME_MOUNT_GROUP"],
  });
  await until(registered(one));
  one.failures.set("NodeStageVolume", { code: 3, message: "no such fs" });
  const refused = await failing(csi.setUp(request(podNamed("a"), { fsGroup: 9 })));
  assert.equal(refused.operation, "MountVolume.MountDevice failed");
  assert.equal(refused.message, "rpc error: code = InvalidArgument desc = no such fs");
  await csi.tearDown("uid-a");
  assert.ok(!methods(one).includes("NodeUnstageVolume"));
  const { stagingTargetPath, volumeCapability } = lastOf(one, "NodeStageVolume");
  assert.ok(!existsSync(stagingTargetPath));
  assert.equal(volumeCapability?.mount?.volumeMountGroup, "9");
  assert.equal(volumeCapability?.accessMode.mode, "SINGLE_NODE_MULTI_WRITER");

  one.failures.delete("NodeStageVolume");
  one.failures.set("NodePublishVolume", { code: 10, message: "still at it" });
  const pending = await failing(csi.setUp(request(podNamed("a"))));
  assert.deepEqual([pending.message, pending.operation], ["rpc error: code = Aborted desc = still at it", undefined]);
  await csi.tearDown("uid-a");
  await until(() => methods(one).includes("NodeUnstageVolume"));
  assert.ok(methods(one).includes("NodeUnpublishVolume"));
  assert.deepEqual(await readdir(join(layout.pod("uid-a").volumes, "kubernetes.io~csi")), []);
});

test("CSI volumes: a node that starts again knows who uses what, and gives back what nobody does", async () => {
  const { startNode, driver, until, request, told } = await start();
  const before = await startNode();
  const one = await driver();
  await until(registered(one));
  for (const name of ["a", "b"]) await before.csi.setUp(request(podNamed(name)));
  const other = volumeOf({}, { volumeHandle: "vol-2" });
  const orphan = { ...other, metadata: { name: "pv2" } };
  one.failures.set("NodePublishVolume", { code: 13, message: "no" });
  await failing(before.csi.setUp(request(podNamed("c"), { persistent: orphan })));
  one.failures.clear();
  await before.stop();
  one.calls.length = 0;
  told.length = 0;
  await one.stop();

  const { csi } = await startNode();
  const unreachable = await failing(csi.tearDown("uid-a"));
  assert.match(
    unreachable.message,
    /^kubernetes\.io\/csi: Unmounter\.TearDownAt failed to get CSI client: driver name/,
  );
  await one.start();
  await until(() => told.includes("wake uid-a"));
  // Staged for a pod that is gone.
  await until(() =>
    one.calls.some(({ method, request: { volumeId } }) => method === "NodeUnstageVolume" && volumeId === "vol-2"),
  );
  await csi.tearDown("uid-a");
  assert.equal(
    one.calls.filter(({ request: { volumeId }, method }) => volumeId === "vol-1" && method === "NodeUnstageVolume")
      .length,
    0,
  );
  await csi.tearDown("uid-b");
  await until(() =>
    one.calls.some(({ request: { volumeId }, method }) => volumeId === "vol-1" && method === "NodeUnstageVolume"),
  );
});

test("CSI volumes: a driver that hangs is given up when the node stops, and one that died is reached when it is back", async () => {
  const { startNode, driver, until, request } = await start();
  const node = await startNode();
  const one = await driver();
  await until(registered(one));
  await one.die();
  const dead = await failing(node.csi.setUp(request(podNamed("a"))));
  assert.match(dead.message, /^rpc error: code = Unavailable desc = /);
  await one.start();
  await node.csi.setUp(request(podNamed("a")));
  one.failures.set("NodePublishVolume", "hang");
  const held = failing(node.csi.setUp(request(podNamed("b"))));
  await until(() => lastOf(one, "NodePublishVolume").targetPath.includes("uid-b"));
  await node.stop();
  assert.equal((await held).message, "rpc error: code = Canceled desc = context canceled");
});

test("CSI volumes: waits until the node's status has the attachment, and is in use until it is given back", async () => {
  const { startNode, driver, until, request, transport, put, told } = await start({
    kind: kind({ attachRequired: true }),
  });
  const { csi, plugins } = await startNode();
  const one = await driver();
  await until(registered(one));
  const pod = podNamed("a");
  const node = () => transport.objects.get("/api/v1/nodes/n1") as Node; // put there by the test
  const silent = async () => {
    const { isSilent, message } = await failing(csi.setUp(request(pod)));
    assert.ok(isSilent);
    return message;
  };
  assert.equal(await silent(), "Volume has not been added to the list of VolumesInUse in the node's volume status");
  assert.deepEqual(await plugins.volumesInUse({}), [unique]);
  told.length = 0;
  put("/api/v1/nodes/n1", { ...node(), status: { volumesInUse: [unique] } } as Node);
  await until(() => told.includes("wake uid-a"));
  assert.equal(await silent(), "Volume not attached according to node status");
  told.length = 0;
  const status = { volumesInUse: [unique], volumesAttached: [{ name: unique, devicePath: "" }] };
  put("/api/v1/nodes/n1", { ...node(), status } as Node);
  await until(() => told.includes("wake uid-a"));
  const id = attachmentName("vol-1", driverName, "n1");
  const none = await failing(csi.setUp(request(pod)));
  assert.equal(none.operation, "MountVolume.WaitForAttach failed");
  assert.match(none.message, new RegExp(`^volume vol-1 has GET error for volume attachment ${id}: `));
  const attachment = (attachmentStatus: object) =>
    put(`${storage}/volumeattachments/${id}`, { metadata: { name: id }, status: attachmentStatus });
  attachment({ attached: false, attachError: { message: "no room" } });
  assert.equal((await failing(csi.setUp(request(pod)))).message, "no room");
  attachment({ attached: true, attachmentMetadata: { path: "/dev/x" } });
  await csi.setUp(request(pod));
  assert.deepEqual(lastOf(one, "NodeStageVolume").publishContext, { path: "/dev/x" });
  assert.deepEqual(lastOf(one, "NodePublishVolume").publishContext, { path: "/dev/x" });
  told.length = 0;
  await csi.tearDown("uid-a");
  await until(() => told.includes("status"));
  assert.ok(methods(one).includes("NodeUnstageVolume"));
  assert.deepEqual(await plugins.volumesInUse({}), []);
});

test("CSI volumes: a pod for whose volume a driver has no room on the node is rejected, and the new limit told", async () => {
  let ahead = 0;
  const clock = { ...realClock, now: () => realClock.now() + ahead };
  const { startNode, driver, until, request, put, told, transport } = await start({
    clock,
    kind: kind({ attachRequired: true, nodeAllocatableUpdatePeriodSeconds: 3600 }),
  });
  const { csi } = await startNode();
  const one = await driver({ nodeInfo: { maxVolumesPerNode: 9 } });
  await until(registered(one));
  const id = attachmentName("vol-1", driverName, "n1");
  const status = { attached: false, attachError: { message: "full", errorCode: 8 } };
  put(`${storage}/volumeattachments/${id}`, { metadata: { name: id }, status });
  const node = transport.objects.get("/api/v1/nodes/n1");
  put("/api/v1/nodes/n1", { ...node, status: { volumesInUse: [unique] } });
  await failing(csi.setUp(request(podNamed("a"))));
  assert.ok(!told.some((text) => text.startsWith("reject")));
  ahead = 124_000;
  one.maxVolumesPerNode = 2;
  await failing(csi.setUp(request(podNamed("a"))));
  const why =
    "Node has reached its volume attachment limit, rejecting pod. unmounted volumes=[v], unattached volumes=[v], failed to process volumes=[]: context deadline exceeded";
  assert.ok(told.includes(`reject uid-a VolumeAttachmentLimitExceeded Pod was rejected: ${why}`));
  assert.match(JSON.stringify(transport.objects.get(`${storage}/csinodes/n1`)), /"count":2/);
});

const claimPath = "/api/v1/namespaces/ns/persistentvolumeclaims/c1";
const grown = volumeOf({ capacity: { storage: "2Gi" } });
const pendingOnNode = {
  capacity: { storage: "1Gi" },
  allocatedResources: { storage: "2Gi" },
  allocatedResourceStatuses: { storage: "NodeResizePending" },
  conditions: [
    { type: "FileSystemResizePending", status: "True" },
    { type: "Other", status: "True" },
  ],
};

test("CSI volumes: grow on the node when they are mounted and while they are used, and the claim says so", async () => {
  const { startNode, driver, until, request, transport, put, told } = await start({ syncMs: 5 });
  const { csi } = await startNode();
  const one = await driver();
  await until(registered(one));
  const status = () => (transport.objects.get(claimPath) as PersistentVolumeClaim).status; // put there by the test
  await csi.setUp(request(podNamed("a")));
  assert.ok(!methods(one).includes("NodeExpandVolume"));
  put(claimPath, claimOf(pendingOnNode));
  put("/api/v1/persistentvolumes/pv1", grown);
  await until(() => status()?.capacity?.storage === "2Gi");
  const { capacityRange, volumePath, stagingTargetPath } = lastOf(one, "NodeExpandVolume");
  assert.equal(capacityRange?.requiredBytes, 2 ** 31);
  assert.ok(volumePath.endsWith("/pv1/mount") && stagingTargetPath.endsWith("/globalmount"));
  assert.deepEqual(status()?.conditions, [{ type: "Other", status: "True" }]);
  assert.equal(status()?.allocatedResourceStatuses, undefined);
  const said = 'MountVolume.NodeExpandVolume succeeded for volume "pv1" n1';
  assert.ok(told.includes(`a Normal FileSystemResizeSuccessful ${said}`));
  assert.ok(told.includes(`c1 Normal FileSystemResizeSuccessful ${said}`));

  // A resizer from before claims told of allocated resources.
  await csi.tearDown("uid-a");
  put(claimPath, claimOf());
  one.calls.length = 0;
  await csi.setUp(request(podNamed("b"), { persistent: grown }));
  assert.ok(methods(one).includes("NodeExpandVolume"));
  assert.equal(status()?.capacity?.storage, "2Gi");
});

test("CSI volumes: what the driver can't make larger is told to the claim, so that the resizer can take it back", async () => {
  const { startNode, driver, until, request, transport, put } = await start();
  const { csi } = await startNode();
  const one = await driver();
  await until(registered(one));
  const status = () => (transport.objects.get(claimPath) as PersistentVolumeClaim).status; // put there by the test
  put(claimPath, claimOf(pendingOnNode));
  one.failures.set("NodeExpandVolume", { code: 13, message: "busy" });
  const busy = await failing(csi.setUp(request(podNamed("a"), { persistent: grown })));
  const why = "Expander.NodeExpand failed to expand the volume : rpc error: code = Internal desc = busy";
  assert.deepEqual([busy.operation, busy.message], ["MountVolume.Setup failed while expanding volume", why]);
  assert.equal(status()?.conditions?.at(-1)?.message, `failed to expand pvc with ${why}`);
  assert.equal(status()?.allocatedResourceStatuses?.storage, "NodeResizeInProgress");
  one.failures.set("NodeExpandVolume", { code: 11, message: "too large" });
  await failing(csi.setUp(request(podNamed("a"), { persistent: grown })));
  assert.equal(status()?.allocatedResourceStatuses?.storage, "NodeResizeInfeasible");

  put(claimPath, claimOf(pendingOnNode));
  one.failures.set("NodeExpandVolume", { code: 9, message: "in use" });
  await csi.setUp(request(podNamed("a"), { persistent: grown }));
  assert.equal(status()?.capacity?.storage, "1Gi");
});

test("CSI volumes: a driver that asks for it publishes again, and what it has published stays when that fails", async () => {
  const { startNode, driver, until, request, told } = await start({
    syncMs: 5,
    kind: kind({ requiresRepublish: true }),
  });
  const { csi } = await startNode();
  const one = await driver({ capabilities: [] });
  await until(registered(one));
  const { path } = await csi.setUp(
    request(podNamed("a"), { persistent: undefined, volume: { name: "v", csi: { driver: driverName } } }),
  );
  await until(() => methods(one).length >= 3);
  one.failures.set("NodePublishVolume", { code: 13, message: "not now" });
  const event =
    'a Warning FailedMount MountVolume.SetUp failed for volume "v" : rpc error: code = Internal desc = not now';
  await until(() => told.includes(event));
  assert.ok(existsSync(path));
});
