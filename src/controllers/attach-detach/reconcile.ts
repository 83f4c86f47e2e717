/**
 * Which volumes of CSI drivers are to be attached to a node and which detached. What is attached is what VolumeAttachments say: nothing is
 * remembered that a restart would lose but since when a detachment waits. Pure. Upstream's attach/detach reconciler.
 */
import { createHash } from "node:crypto";
import type { CSIDriver, Node, PersistentVolume, Pod, VolumeAttachment } from "#api";
import { timeMs } from "#machinery";
import { isDeleting, nameOf, namespaceOf, type Seen } from "../lib/objects.ts";
import { nodeCondition, outOfServiceTaint } from "../lib/nodes.ts";
import { isPodFinished, type SeenPod } from "../lib/pods.ts";
import type { Volume } from "../lib/volumes.ts";

export type Attachment = Seen<VolumeAttachment>;

/** How long a node that doesn't answer keeps a volume that it may have mounted. */
export const unmountMsMax = 6 * 60_000;
/** How long an attacher may take before pods are told of it. */
const attachMsMax = 2 * 60_000;

type Csi = NonNullable<NonNullable<Seen<PersistentVolume>["spec"]>["csi"]>;

/** As nodes call it in their status. */
const uniqueName = ({ driver, volumeHandle }: Csi): string => `kubernetes.io/csi/${driver}^${volumeHandle}`;

export const attachmentName = ({ driver, volumeHandle }: Csi, nodeName: string): string =>
  `csi-${createHash("sha256").update(`${volumeHandle}${driver}${nodeName}`).digest("hex")}`;

export const isAttachable = ({ spec }: Volume, driverNamed: (name: string) => Seen<CSIDriver> | undefined): boolean =>
  spec?.csi !== undefined && driverNamed(spec.csi.driver)?.spec.attachRequired !== false;

/** Made by us for this volume: others make attachments by hand, and keep them. */
export const isOurs = (attachment: Attachment, volume: Volume): boolean =>
  volume.spec?.csi !== undefined && nameOf(attachment) === attachmentName(volume.spec.csi, attachment.spec.nodeName);

/** A pod that ended needs its volumes no more; one that is going does until its containers have ended. */
export const needsVolumes = (pod: Seen<Pod>): boolean =>
  !isPodFinished(pod) &&
  !(
    isDeleting(pod) &&
    (pod.status?.containerStatuses ?? []).every(({ state }) => !state?.running && (state?.terminated || state?.waiting))
  );

/** Of volumes whose access modes say nothing, nobody knows. */
const mayShare = ({ spec }: Volume): boolean =>
  !spec?.accessModes?.length || spec.accessModes.some((mode) => mode === "ReadWriteMany" || mode === "ReadOnlyMany");

export interface NodeView {
  readonly nodeName: string;
  readonly node: Seen<Node> | undefined;
  /** Attachable volumes that pods of the node need, by name. */
  readonly wanted: ReadonlyMap<string, { readonly volume: Volume; readonly pods: readonly SeenPod[] }>;
  /** Attachments to this node that are ours, with their volumes. */
  readonly attachments: readonly { readonly attachment: Attachment; readonly volume: Volume }[];
  /** Of this volume, to other nodes, and the pods there that need it. */
  elsewhere(volume: Volume): { readonly attachments: readonly Attachment[]; readonly pods: readonly SeenPod[] };
  /** Since when the attachment has been unwanted. */
  unwantedSince(attachment: Attachment): number;
  readonly now: number;
}

export interface NodePlan {
  readonly attach: VolumeAttachment[];
  /** Written before anything is detached: the node must not begin to use it. Undefined: as it is. */
  volumesAttached?: { name: string; devicePath: string }[];
  /** `unlessInUse`: not if the node says then that it uses the volume of this name. */
  readonly detach: { readonly attachment: Attachment; readonly unlessInUse?: string }[];
  readonly events: {
    pod: SeenPod;
    volumeName: string;
    type: "Normal" | "Warning";
    reason: string;
    message: string;
  }[];
  /** Look again after so long. */
  waitMs?: number;
}

export function planNode(view: NodeView): NodePlan {
  const { nodeName, node, wanted, attachments, now } = view;
  const plan: NodePlan = { attach: [], detach: [], events: [] };
  const inUse = new Set(node?.status?.volumesInUse);
  const before = node?.status?.volumesAttached ?? [];
  const reported: string[] = [];
  const isHealthy = node !== undefined && nodeCondition(node, "Ready")?.status === "True";
  const isOutOfService = node?.spec?.taints?.some(({ key }) => key === outOfServiceTaint) ?? false;

  for (const { attachment, volume } of attachments) {
    if (wanted.has(nameOf(volume)) || isDeleting(attachment)) continue;
    const name = volume.spec?.csi ? uniqueName(volume.spec.csi) : "";
    const leftMs = view.unwantedSince(attachment) + unmountMsMax - now;
    const isForced = isOutOfService || (!isHealthy && leftMs <= 0);
    // What a node that is gone has mounted, it can't say.
    if (!isForced && (node === undefined || inUse.has(name))) {
      if (attachment.status?.attached) reported.push(name);
      if (!isHealthy) plan.waitMs = Math.min(plan.waitMs ?? leftMs, leftMs);
    } else plan.detach.push(isForced ? { attachment } : { attachment, unlessInUse: name });
  }

  for (const [volumeName, { volume, pods }] of wanted) {
    const csi = volume.spec?.csi;
    if (!csi) continue;
    const name = uniqueName(csi);
    const own = attachments.find((each) => nameOf(each.volume) === volumeName)?.attachment;
    const about = `for volume ${JSON.stringify(volumeName)}`;
    const say = (some: readonly SeenPod[], type: "Normal" | "Warning", message: string) => {
      const reason = type === "Normal" ? "SuccessfulAttachVolume" : "FailedAttachVolume";
      for (const pod of some) plan.events.push({ pod, volumeName, type, reason, message });
    };
    if (own?.status?.attached && !isDeleting(own)) {
      reported.push(name);
      if (!before.some((each) => each.name === name)) say(pods, "Normal", `AttachVolume.Attach succeeded ${about} `);
      continue;
    }
    if (own) {
      const leftMs = timeMs(own.metadata.creationTimestamp) + attachMsMax - now;
      const late = `timed out waiting for external-attacher of ${csi.driver} CSI driver to attach volume ${csi.volumeHandle}`;
      const refused = isDeleting(own) ? "volume attachment is being deleted" : own.status?.attachError?.message;
      const why = refused ?? (leftMs <= 0 ? late : undefined);
      if (why !== undefined) say(pods, "Warning", `AttachVolume.Attach failed ${about} : ${why}`);
      else if (leftMs > 0) plan.waitMs = Math.min(plan.waitMs ?? leftMs, leftMs);
      continue;
    }
    const others = mayShare(volume) ? undefined : view.elsewhere(volume);
    if (others?.attachments.length) {
      for (const pod of pods) say([pod], "Warning", `Multi-Attach error ${about} ${usedBy(pod, others.pods)}`);
      continue;
    }
    plan.attach.push({
      apiVersion: "storage.k8s.io/v1",
      kind: "VolumeAttachment",
      metadata: { name: attachmentName(csi, nodeName) },
      spec: { nodeName, attacher: csi.driver, source: { persistentVolumeName: volumeName } },
    });
  }

  const isReported = before.length === reported.length && before.every(({ name }) => reported.includes(name));
  if (node && !isReported) plan.volumesAttached = reported.map((name) => ({ name, devicePath: "" }));
  return plan;
}

function usedBy(pod: SeenPod, others: readonly SeenPod[]): string {
  if (others.length === 0) return "Volume is already exclusively attached to one node and can't be attached to another";
  const local = others.filter((other) => namespaceOf(other) === namespaceOf(pod)).map(nameOf);
  const far = `${others.length - local.length} pod(s) in different namespaces`;
  if (local.length === 0) return `Volume is already used by ${far}`;
  return `Volume is already used by pod(s) ${local.join(", ")}${local.length < others.length ? ` and ${far}` : ""}`;
}
