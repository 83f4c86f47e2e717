import assert from "node:assert/strict";
import { test } from "node:test";
import type { CSIDriver, Node, PersistentVolume, PersistentVolumeClaim, Pod, VolumeAttachment } from "#api";
import { statusError } from "#machinery";
import { FakeTransport } from "#testing";
import { runController } from "../lib/fixture.ts";
import { attachDetachController } from "./controller.ts";
import { attachmentName, needsVolumes, planNode, unmountMsMax } from "./reconcile.ts";

const attachmentsPath = "/apis/storage.k8s.io/v1/volumeattachments";
const podsPath = "/api/v1/namespaces/default/pods";
const csi = { driver: "d.dev", volumeHandle: "h" };
const unique = "kubernetes.io/csi/d.dev^h";

const volume = (accessModes: string[] = ["ReadWriteOnce"]): PersistentVolume => ({
  apiVersion: "v1",
  kind: "PersistentVolume",
  metadata: { name: "v" },
  spec: { csi, accessModes, claimRef: { namespace: "default", name: "c", uid: "uc" } },
  status: { phase: "Bound" },
});
const claim: PersistentVolumeClaim = {
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: { name: "c", namespace: "default", uid: "uc" },
  spec: { volumeName: "v" },
  status: { phase: "Bound" },
};
const node = (
  name: string,
  more: { inUse?: boolean; ready?: boolean; attached?: boolean; taint?: boolean } = {},
): Node => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name, annotations: { "volumes.kubernetes.io/controller-managed-attach-detach": "true" } },
  spec: more.taint ? { taints: [{ key: "node.kubernetes.io/out-of-service", effect: "NoExecute" }] } : {},
  status: {
    conditions: [{ type: "Ready", status: more.ready === false ? "Unknown" : "True" }],
    ...(more.inUse && { volumesInUse: [unique] }),
    ...(more.attached && { volumesAttached: [{ name: unique, devicePath: "" }] }),
  },
});
const pod = (name: string, nodeName: string, namespace = "default"): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace, uid: `u-${name}` },
  spec: { nodeName, containers: [], volumes: [{ name: "d", persistentVolumeClaim: { claimName: "c" } }] },
});
const attachment = (
  nodeName: string,
  more: { attached?: boolean; going?: boolean; error?: string; made?: number } = {},
): VolumeAttachment => ({
  apiVersion: "storage.k8s.io/v1",
  kind: "VolumeAttachment",
  metadata: {
    name: attachmentName(csi, nodeName),
    uid: `u-${nodeName}`,
    ...(more.made !== undefined && { creationTimestamp: new Date(more.made).toISOString() }),
    ...(more.going && { deletionTimestamp: "2026-01-01T00:00:00Z" }),
  },
  spec: { nodeName, attacher: "d.dev", source: { persistentVolumeName: "v" } },
  ...((more.attached !== undefined || more.error) && {
    status: { attached: more.attached ?? false, ...(more.error && { attachError: { message: more.error } }) },
  }),
});

interface Case {
  node?: Node;
  pods?: Pod[];
  own?: VolumeAttachment;
  others?: VolumeAttachment[];
  otherPods?: Pod[];
  modes?: string[];
  unwantedMs?: number;
}
function plan(of: Case): string {
  const found = volume(of.modes);
  const result = planNode({
    nodeName: "n",
    node: of.node,
    wanted: new Map(of.pods ? [["v", { volume: found, pods: of.pods }]] : []),
    attachments: of.own ? [{ attachment: of.own, volume: found }] : [],
    elsewhere: () => ({ attachments: of.others ?? [], pods: of.otherPods ?? [] }),
    unwantedSince: () => 0,
    now: of.unwantedMs ?? 0,
  });
  return [
    ...result.events.map(({ pod: about, message }) => `${about.metadata.name}: ${message.trim()}`),
    result.volumesAttached && `reports ${result.volumesAttached.map(({ name }) => name).join() || "none"}`,
    ...result.attach.map(({ spec }) => `attach to ${spec.nodeName}`),
    ...result.detach.map(({ attachment: { spec } }) => `detach from ${spec.nodeName}`),
    result.waitMs !== undefined && `wait ${result.waitMs}`,
  ]
    .filter(Boolean)
    .join("; ");
}

const one = [pod("p", "n")];
const cases: readonly (readonly [string, Case, string])[] = [
  ["a pod needs it", { node: node("n"), pods: one }, "attach to n"],
  ["it is being attached", { node: node("n"), pods: one, own: attachment("n") }, ""],
  [
    "it is attached",
    { node: node("n"), pods: one, own: attachment("n", { attached: true }) },
    `p: AttachVolume.Attach succeeded for volume "v"; reports ${unique}`,
  ],
  [
    "it was attached before",
    { node: node("n", { attached: true }), pods: one, own: attachment("n", { attached: true }) },
    "",
  ],
  [
    "it can't be attached",
    { node: node("n"), pods: one, own: attachment("n", { error: "no disk" }) },
    `p: AttachVolume.Attach failed for volume "v" : no disk`,
  ],
  [
    "it has been attached for a while",
    { node: node("n"), pods: one, own: attachment("n", { made: 1_000 }), unwantedMs: 61_000 },
    "wait 60000",
  ],
  [
    "nobody attaches it",
    { node: node("n"), pods: one, own: attachment("n", { made: 1_000 }), unwantedMs: 121_000 },
    `p: AttachVolume.Attach failed for volume "v" : timed out waiting for external-attacher of d.dev CSI driver to attach volume h`,
  ],
  [
    "it is still being detached",
    { node: node("n"), pods: one, own: attachment("n", { going: true }) },
    `p: AttachVolume.Attach failed for volume "v" : volume attachment is being deleted`,
  ],
  [
    "another node has it",
    { node: node("n"), pods: one, others: [attachment("m")] },
    `p: Multi-Attach error for volume "v" Volume is already exclusively attached to one node and can't be attached to another`,
  ],
  [
    "a pod elsewhere has it",
    { node: node("n"), pods: one, others: [attachment("m")], otherPods: [pod("q", "m"), pod("r", "m", "far")] },
    `p: Multi-Attach error for volume "v" Volume is already used by pod(s) q and 1 pod(s) in different namespaces`,
  ],
  [
    "a pod of another namespace has it",
    { node: node("n"), pods: one, others: [attachment("m")], otherPods: [pod("r", "m", "far")] },
    `p: Multi-Attach error for volume "v" Volume is already used by 1 pod(s) in different namespaces`,
  ],
  [
    "several nodes may have it",
    { node: node("n"), pods: one, others: [attachment("m")], modes: ["ReadWriteMany"] },
    "attach to n",
  ],
  [
    "nobody needs it",
    { node: node("n", { attached: true }), own: attachment("n", { attached: true }) },
    "reports none; detach from n",
  ],
  [
    "the node has it mounted",
    {
      node: node("n", { attached: true, inUse: true }),
      own: attachment("n", { attached: true }),
      unwantedMs: 2 * unmountMsMax,
    },
    "",
  ],
  [
    "a silent node has it mounted",
    {
      node: node("n", { attached: true, inUse: true, ready: false }),
      own: attachment("n", { attached: true }),
      unwantedMs: 1000,
    },
    `wait ${unmountMsMax - 1000}`,
  ],
  [
    "a silent node had it mounted too long",
    {
      node: node("n", { attached: true, inUse: true, ready: false }),
      own: attachment("n", { attached: true }),
      unwantedMs: unmountMsMax,
    },
    "reports none; detach from n",
  ],
  [
    "a node is out of service",
    {
      node: node("n", { attached: true, inUse: true, ready: false, taint: true }),
      own: attachment("n", { attached: true }),
    },
    "reports none; detach from n",
  ],
  ["the node is gone", { own: attachment("n", { attached: true }) }, `wait ${unmountMsMax}`],
  [
    "the node is gone for long",
    { own: attachment("n", { attached: true }), unwantedMs: unmountMsMax },
    "detach from n",
  ],
  ["it is being detached", { node: node("n"), own: attachment("n", { going: true }) }, ""],
];
for (const [name, of, wanted] of cases) test(`attachments: ${name}`, () => assert.equal(plan(of), wanted));

test("attachments: pods need their volumes until their containers have ended", () => {
  const going = (state: object): Pod => ({
    ...pod("p", "n"),
    metadata: { ...pod("p", "n").metadata, deletionTimestamp: "2026-01-01T00:00:00Z" },
    status: {
      phase: "Running",
      containerStatuses: [{ name: "c", image: "", imageID: "", ready: false, restartCount: 0, state }],
    },
  });
  assert.equal(needsVolumes(going({ running: {} })), true);
  assert.equal(needsVolumes(going({ terminated: { exitCode: 0 } })), false);
  assert.equal(needsVolumes({ ...pod("p", "n"), status: { phase: "Failed" } }), false);
});

function cluster() {
  const transport = new FakeTransport();
  const running = runController(attachDetachController, transport);
  for (const name of ["n", "m"]) transport.create("/api/v1/nodes", node(name));
  transport.create("/api/v1/persistentvolumes", volume());
  transport.create("/api/v1/namespaces/default/persistentvolumeclaims", claim);
  const at = (nodeName: string) => transport.objects.get(`${attachmentsPath}/${attachmentName(csi, nodeName)}`);
  return { transport, running, at };
}

test("attach/detach: a volume follows its pod to another node, and never is on both", async () => {
  const { transport, running, at } = cluster();
  transport.create(podsPath, pod("p", "n"));
  await running.until(() => at("n"));
  transport.patch(`${attachmentsPath}/${attachmentName(csi, "n")}`, { status: { attached: true } });
  await running.until(() => running.events.some(({ reason }) => reason === "SuccessfulAttachVolume"));
  transport.create(podsPath, pod("q", "m"));
  await running.until(() => running.events.some(({ reason }) => reason === "FailedAttachVolume"));
  assert.equal(at("m"), undefined);
  transport.remove(`${podsPath}/p`);
  await running.until(() => !at("n") && at("m"));
  await running.stop();
});

for (const refusals of [0, 1])
  test(`attach/detach: of two nodes that want a volume at once one gets it, after ${refusals} refusals`, async () => {
    const { transport, running, at } = cluster();
    let left = refusals;
    transport.intercept = async ({ method, path }) => {
      if (method !== "POST" || path !== attachmentsPath) return;
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      if (left-- > 0) throw statusError.forbidden({ group: "", resource: "volumeattachments" }, "", "not now");
    };
    transport.create(podsPath, pod("p", "n"));
    transport.create(podsPath, pod("q", "m"));
    await running.until(() => at("n") ?? at("m"));
    await running.until(() => running.events.some(({ message }) => message.startsWith("Multi-Attach error")));
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal([at("n"), at("m")].filter(Boolean).length, 1);
    await running.stop();
  });

test("attach/detach: a node that began to use a volume before it was told keeps it", async () => {
  const { transport, running, at } = cluster();
  const attachedNode = node("n", { attached: true });
  transport.put("/api/v1/nodes/n", attachedNode);
  transport.create(attachmentsPath, attachment("n", { attached: true }));
  const removals = () => transport.requests.filter(({ method }) => method === "DELETE");
  let isTold = false;
  transport.intercept = ({ method, path }) => {
    if (method !== "PATCH" || path !== "/api/v1/nodes/n/status" || isTold) return;
    isTold = true;
    const status = { ...attachedNode.status, volumesInUse: [unique], volumesAttached: [] };
    const using: Node = { ...attachedNode, status };
    return transport.put("/api/v1/nodes/n", using);
  };
  await running.until(() => isTold);
  // It is said to be attached again.
  await running.until(
    () => (transport.objects.get("/api/v1/nodes/n") as Node).status?.volumesAttached?.[0]?.name === unique,
  );
  assert.deepEqual(removals(), []);
  transport.put("/api/v1/nodes/n", attachedNode);
  await running.until(() => !at("n"));
  await running.stop();
});

test("attach/detach: drivers that attach nothing get nothing, and attachments made by hand stay", async () => {
  const { transport, running, at } = cluster();
  const byHand = { ...attachment("n", { attached: true }), metadata: { name: "mine" } };
  transport.create(attachmentsPath, byHand);
  const driver: CSIDriver = {
    apiVersion: "storage.k8s.io/v1",
    kind: "CSIDriver",
    metadata: { name: "d.dev" },
    spec: { attachRequired: false },
  };
  transport.create("/apis/storage.k8s.io/v1/csidrivers", driver);
  transport.create(attachmentsPath, attachment("m", { attached: true }));
  transport.create(podsPath, pod("p", "n"));
  await running.until(() => !at("m"));
  assert.equal(at("n"), undefined);
  assert.ok(transport.objects.get(`${attachmentsPath}/mine`));
  await running.stop();
});
