import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, PersistentVolume, PersistentVolumeClaim, StorageClass } from "#api";
import { localPathFolderAnnotation, localPathProvisionerName, localPathRemoveAnnotation } from "#api";
import { FakeTransport } from "#testing";
import { runController } from "../lib/fixture.ts";
import { localPathProvisioner } from "./controller.ts";
import { askedAnnotation, nodeForAny, provision, removal } from "./reconcile.ts";

const volumesPath = "/api/v1/persistentvolumes";
const claimsPath = "/api/v1/namespaces/ns/persistentvolumeclaims";
const finalizer = "external-provisioner.volume.kubernetes.io/finalizer";
const deletionTimestamp = "2026-01-01T00:00:00Z";

const storageClass: StorageClass = {
  apiVersion: "storage.k8s.io/v1",
  kind: "StorageClass",
  metadata: { name: "local-path" },
  provisioner: localPathProvisionerName,
  reclaimPolicy: "Delete",
  volumeBindingMode: "WaitForFirstConsumer",
};
const node = (annotations: Record<string, string> = { [localPathFolderAnnotation]: "/data/volumes" }): Node => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: {
    name: "n",
    uid: "un",
    resourceVersion: "50",
    labels: { "kubernetes.io/hostname": "host-n" },
    annotations,
  },
});
const claim = (
  annotations: Record<string, string> = {},
  spec: PersistentVolumeClaim["spec"] = {},
): PersistentVolumeClaim => ({
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: {
    name: "c",
    namespace: "ns",
    uid: "u",
    resourceVersion: "7",
    annotations: {
      "volume.kubernetes.io/storage-provisioner": localPathProvisionerName,
      "volume.kubernetes.io/selected-node": "n",
      ...annotations,
    },
  },
  spec: {
    storageClassName: "local-path",
    accessModes: ["ReadWriteOnce"],
    resources: { requests: { storage: "1Gi" } },
    ...spec,
  },
});
const step = (asked: PersistentVolumeClaim, on: Node | undefined = node(), of: StorageClass = storageClass) =>
  provision(asked, of, { nodeNamed: () => on, anyNode: () => on });
const made = (asked: PersistentVolumeClaim, on?: Node): PersistentVolume => {
  const found = step(asked, on);
  assert.ok(found && "make" in found);
  return found.make;
};

test("local path: a claim's volume is a folder of the node that the scheduler chose", () => {
  const { metadata, spec } = made(claim());
  assert.equal(metadata.name, "pvc-u");
  assert.deepEqual(metadata.finalizers, [finalizer]);
  assert.equal(metadata.annotations?.["pv.kubernetes.io/provisioned-by"], localPathProvisionerName);
  assert.equal(spec?.local?.path, "/data/volumes/pvc-u_ns_c");
  assert.deepEqual(spec?.nodeAffinity?.required?.nodeSelectorTerms[0]?.matchExpressions, [
    { key: "kubernetes.io/hostname", operator: "In", values: ["host-n"] },
  ]);
  assert.equal(spec?.persistentVolumeReclaimPolicy, "Delete");
  assert.deepEqual(spec?.capacity, { storage: "1Gi" });
  assert.equal(spec?.claimRef?.uid, "u");
  const long = claim();
  long.metadata.name = "x".repeat(253);
  assert.equal(made(long).spec?.local?.path.split("/").pop()?.length, 255);
  assert.equal(made(claim(), node({})).spec?.local?.path, "/var/lib/sampan/local-path/pvc-u_ns_c");
});

test("local path: claims of others, bound ones and those that wait are left alone; what can't be is refused", () => {
  assert.equal(step(claim({ "volume.kubernetes.io/storage-provisioner": "x" })), undefined);
  assert.equal(step(claim({}, { volumeName: "v" })), undefined);
  assert.equal(step(claim({ "volume.kubernetes.io/selected-node": "" })), undefined);
  assert.equal(step(claim(), node(), { ...storageClass, provisioner: "x" }), undefined);
  const refused = (asked: PersistentVolumeClaim, on?: Node, of?: StorageClass) => {
    const found = step(asked, on, of);
    return found && "failed" in found ? found.failed : undefined;
  };
  assert.match(refused(claim({}, { volumeMode: "Block" })) ?? "", /mode Block/);
  const hasty = { ...storageClass, volumeBindingMode: "Immediate" };
  const anywhere = claim({ "volume.kubernetes.io/selected-node": "" });
  const nowhere = { nodeNamed: () => undefined, anyNode: () => undefined };
  assert.deepEqual(provision(claim(), storageClass, nowhere), { failed: 'node "n" not found' });
  assert.deepEqual(provision(anywhere, hasty, nowhere), { failed: "no node is ready" });
  assert.ok(step(anywhere, node(), hasty));
});

test("local path: without the scheduler's word a volume is where there are fewest", () => {
  const on = (name: string, more: Partial<Node> = {}): Node => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name },
    status: { conditions: [{ type: "Ready", status: "True" }] },
    ...more,
  });
  const counts: Record<string, number> = { a: 2, b: 1, c: 0, d: 0 };
  const nodes = [on("a"), on("b"), on("c", { spec: { unschedulable: true } }), on("d", { status: {} })];
  assert.equal(nodeForAny(nodes, (name) => counts[name] ?? 0)?.metadata.name, "b");
});

test("local path: a volume goes when its node has removed the folder", () => {
  const volume = (phase: string, more: { going?: boolean; policy?: string; asked?: string } = {}): PersistentVolume => {
    const found = made(claim());
    if (more.going) found.metadata.deletionTimestamp = deletionTimestamp;
    if (more.asked) found.metadata.annotations = { ...found.metadata.annotations, [askedAnnotation]: more.asked };
    if (more.policy && found.spec) found.spec.persistentVolumeReclaimPolicy = more.policy;
    return { ...found, status: { phase } };
  };
  const folder = { [localPathFolderAnnotation]: "/data/volumes" };
  const busy = node({ ...folder, [`${localPathRemoveAnnotation}pvc-u`]: "pvc-u_ns_c" });
  const cases: readonly (readonly [PersistentVolume, Node | undefined, string | undefined])[] = [
    [volume("Bound"), node(), undefined],
    [volume("Released"), node(), "delete"],
    [volume("Released", { policy: "Retain" }), node(), undefined],
    [volume("Released", { policy: "Retain", going: true }), node(), "free"],
    [volume("Bound", { going: true }), node(), undefined],
    [volume("Released", { going: true }), node(), "ask"],
    [volume("Released", { going: true }), undefined, "free"],
    [volume("Released", { going: true }), node({}), "free"],
    [volume("Released", { going: true }), busy, "wait"],
    [volume("Released", { going: true, asked: "un/49" }), busy, "wait"],
    [volume("Released", { going: true, asked: "un/49" }), node(), "free"],
    // What the cache shows is from before the node was asked.
    [volume("Released", { going: true, asked: "un/51" }), node(), "wait"],
    // Another node of that name.
    [volume("Released", { going: true, asked: "other/49" }), node(), "ask"],
  ];
  for (const [of, on, wanted] of cases) assert.equal(removal(of, on), wanted);
});

test("local path: from claim to volume to nothing", async () => {
  const transport = new FakeTransport();
  const running = runController(localPathProvisioner, transport);
  transport.create("/apis/storage.k8s.io/v1/storageclasses", storageClass);
  transport.create("/api/v1/nodes", node());
  transport.create(claimsPath, claim());
  await running.until(() => transport.objects.get(`${volumesPath}/pvc-u`));
  assert.deepEqual(
    running.events.map(({ reason, message }) => `${reason}: ${message}`),
    [
      'Provisioning: External provisioner is provisioning volume for claim "ns/c"',
      "ProvisioningSucceeded: Successfully provisioned volume pvc-u",
    ],
  );
  transport.patch(`${volumesPath}/pvc-u`, { metadata: { deletionTimestamp }, status: { phase: "Released" } });
  const key = `${localPathRemoveAnnotation}pvc-u`;
  const annotations = () => transport.objects.get("/api/v1/nodes/n")?.metadata?.annotations ?? {};
  await running.until(() => annotations()[key] === "pvc-u_ns_c");
  const volume = () => transport.objects.get(`${volumesPath}/pvc-u`);
  await running.until(() => volume()?.metadata?.annotations?.[askedAnnotation]);
  assert.deepEqual(volume()?.metadata?.finalizers, [finalizer]);
  transport.patch("/api/v1/nodes/n", { metadata: { annotations: { [key]: null } } });
  await running.until(() => volume()?.metadata?.finalizers?.length !== 1);
  await running.stop();
});

test("local path: what can't be made is tried on another node", async () => {
  const transport = new FakeTransport();
  const running = runController(localPathProvisioner, transport);
  transport.create("/apis/storage.k8s.io/v1/storageclasses", storageClass);
  transport.create(claimsPath, claim());
  const selected = () =>
    transport.objects.get(`${claimsPath}/c`)?.metadata?.annotations?.["volume.kubernetes.io/selected-node"];
  await running.until(() => selected() === undefined);
  assert.equal(
    running.events[0]?.message,
    'failed to provision volume with StorageClass "local-path": node "n" not found',
  );
  await running.stop();
});
