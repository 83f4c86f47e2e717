/** Attaches volumes of CSI drivers to the nodes of their pods, and detaches them; drivers carry out the VolumeAttachments made here. */
import type { Pod } from "#api";
import { keyOf, type WorkQueue } from "#client";
import { isStatusError } from "#machinery";
import { type Controller, defineController, onEvery, watch } from "../lib/controller.ts";
import { indexPodsByNode, podsOn, type SeenNode } from "../lib/nodes.ts";
import { nameOf, type Seen, uidOf } from "../lib/objects.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { type Claim, claimKeyOf, type Volume } from "../lib/volumes.ts";
import { claimIndex, claimsOf } from "../volume-protection/reconcile.ts";
import { type Attachment, isAttachable, isOurs, needsVolumes, type NodePlan, planNode } from "./reconcile.ts";

const nodeIndex = "node";
const volumeIndex = "volume";
/** An attachment that no event ever showed (it came and went between two lists) is forgotten after this long. */
const unseenMsMax = 60_000;
const managedAnnotation = "volumes.kubernetes.io/controller-managed-attach-detach";

export const attachDetachController: Controller = defineController({
  name: "persistentvolume-attach-detach-controller",
  account: "attachdetach-controller",
  create({ client, informers, events, clock }) {
    const attachments = informers.of("storage.k8s.io/v1/volumeattachments");
    const drivers = informers.of("storage.k8s.io/v1/csidrivers");
    const nodes = informers.of("v1/nodes");
    const pods = informers.of("v1/pods");
    const claims = informers.of("v1/persistentvolumeclaims");
    const volumes = informers.of("v1/persistentvolumes");
    attachments.addIndex(nodeIndex, ({ spec }) => [spec.nodeName]);
    attachments.addIndex(volumeIndex, ({ spec }) => [spec.source.persistentVolumeName ?? ""]);
    pods.addIndex(claimIndex, claimsOf);
    indexPodsByNode(pods);

    const unwantedSince = new Map<string, number>();
    /** By volume, the attachment made last that the cache doesn't show yet: another node must not get the volume too. */
    const unseen = new Map<string, { readonly attachment: Attachment; readonly since: number }>();
    /** What was said last of a pod, by volume: said once. */
    const said = new Map<string, Map<string, string>>();

    const attachableOf = (key: string): Volume | undefined => {
      const claim = claims.get(key);
      if (claim?.status?.phase !== "Bound") return undefined;
      const volume = volumes.get(claim.spec?.volumeName ?? "");
      if (volume?.spec?.claimRef?.uid !== uidOf(claim)) return undefined;
      return isAttachable(volume, (name) => drivers.get(name)) ? volume : undefined;
    };
    const usersOf = (volume: Volume) =>
      pods.by(claimIndex, claimKeyOf(volume) ?? "").filter((pod) => pod.spec?.nodeName && needsVolumes(pod));

    function wantedOn(node: SeenNode | undefined, nodeName: string) {
      const wanted = new Map<string, { volume: Volume; pods: Seen<Pod>[] }>();
      if (node?.metadata.annotations?.[managedAnnotation] === undefined) return wanted;
      for (const pod of podsOn(pods, nodeName)) {
        if (!pod.spec?.volumes || !needsVolumes(pod)) continue;
        for (const key of claimsOf(pod)) {
          const volume = attachableOf(key);
          if (!volume) continue;
          const known = wanted.get(nameOf(volume));
          if (known) known.pods.push(pod);
          else wanted.set(nameOf(volume), { volume, pods: [pod] });
        }
      }
      return wanted;
    }

    function tell({ events: told }: NodePlan): void {
      for (const { pod, volumeName, ...event } of told) {
        const before = said.get(uidOf(pod));
        if (before?.get(volumeName) === event.message) continue;
        said.set(uidOf(pod), (before ?? new Map()).set(volumeName, event.message));
        events.event(pod, event);
      }
    }

    /** To other nodes, that are ours. */
    function attachmentsElsewhere(volume: Volume, nodeName: string): Attachment[] {
      const made = unseen.get(nameOf(volume));
      const isFresh = made && clock.now() - made.since < unseenMsMax;
      return [...attachments.by(volumeIndex, nameOf(volume)), ...(isFresh ? [made.attachment] : [])].filter(
        (each) => each.spec.nodeName !== nodeName && isOurs(each, volume),
      );
    }

    async function carryOut(nodeName: string, plan: NodePlan, queue: WorkQueue): Promise<void> {
      const { volumesAttached, attach, detach } = plan;
      const own = client.resource("storage.k8s.io/v1/volumeattachments");
      const unmade = new Set(attach);
      try {
        const patch = { status: { volumesAttached } };
        const told =
          volumesAttached &&
          (await unlessGone(
            client.resource("v1/nodes").patch(nodeName, patch, { type: "merge", subresource: "status" }),
          ));
        for (const { attachment, unlessInUse } of detach) {
          // It began to use the volume before it was told: its status will bring us back.
          if (unlessInUse !== undefined && told?.status?.volumesInUse?.includes(unlessInUse)) continue;
          await unlessGone(own.delete(nameOf(attachment), { preconditions: { uid: uidOf(attachment) } }));
        }
        for (const attachment of attach) {
          unmade.delete(attachment);
          await own.create(attachment).catch((error: unknown) => {
            if (isStatusError(error, "AlreadyExists")) return;
            // A refusal is certain; after anything else it may be there.
            if (isStatusError(error)) unmade.add(attachment);
            throw error;
          });
        }
      } finally {
        // Whoever was refused the volume meanwhile may have it.
        for (const { spec } of unmade) {
          const { persistentVolumeName = "" } = spec.source;
          unseen.delete(persistentVolumeName);
          const volume = volumes.get(persistentVolumeName);
          for (const pod of volume ? usersOf(volume) : []) queue.add(pod.spec?.nodeName ?? "");
        }
      }
    }

    return [
      {
        workers: 10,
        reads: [attachments, drivers, nodes, pods, claims, volumes],
        watches(queue) {
          const markPod = (pod: Seen<Pod>) => {
            const node = pod.spec?.nodeName;
            if (node && pod.spec?.volumes?.some((each) => each.persistentVolumeClaim ?? each.ephemeral))
              queue.add(node);
          };
          const markUsers = (key: string | undefined) => {
            for (const pod of key === undefined ? [] : pods.by(claimIndex, key)) markPod(pod);
          };
          const markClaim = (claim: Claim) => {
            if (claim.spec?.volumeName) markUsers(keyOf(claim));
          };
          const markVolume = (volume: Volume) => {
            if (volume.spec?.csi) markUsers(claimKeyOf(volume));
          };
          const markNode = (node: SeenNode) => {
            if (attachments.by(nodeIndex, nameOf(node)).length > 0 || node.status?.volumesAttached?.length)
              queue.add(nameOf(node));
          };
          return [
            onEvery(attachments, (attachment) => {
              const { nodeName, source } = attachment.spec;
              const { persistentVolumeName = "" } = source;
              queue.add(nodeName);
              if (nameOf(unseen.get(persistentVolumeName)?.attachment ?? {}) === nameOf(attachment))
                unseen.delete(persistentVolumeName);
              if (!attachments.get(nameOf(attachment))) unwantedSince.delete(nameOf(attachment));
              // Others may wait for the volume.
              const volume = volumes.get(persistentVolumeName);
              if (volume) markVolume(volume);
            }),
            onEvery(drivers, () => {
              for (const node of nodes.list()) queue.add(nameOf(node));
            }),
            watch(nodes, { added: (node) => queue.add(nameOf(node)), updated: markNode, deleted: markNode }),
            watch(pods, {
              added: markPod,
              updated: markPod,
              deleted(pod) {
                said.delete(uidOf(pod));
                markPod(pod);
              },
            }),
            watch(claims, { added: markClaim, updated: markClaim }),
            watch(volumes, { added: markVolume, updated: markVolume }),
          ];
        },
        async reconcile(nodeName, queue) {
          const node = nodes.get(nodeName);
          const wanted = wantedOn(node, nodeName);
          const own: { attachment: Attachment; volume: Volume }[] = [];
          for (const attachment of attachments.by(nodeIndex, nodeName)) {
            const volume = volumes.get(attachment.spec.source.persistentVolumeName ?? "");
            if (!volume || !isOurs(attachment, volume)) continue;
            own.push({ attachment, volume });
            if (wanted.has(nameOf(volume))) unwantedSince.delete(nameOf(attachment));
          }
          const plan = planNode({
            nodeName,
            node,
            wanted,
            attachments: own,
            elsewhere: (volume) => ({
              attachments: attachmentsElsewhere(volume, nodeName),
              pods: usersOf(volume).filter((pod) => pod.spec?.nodeName !== nodeName),
            }),
            unwantedSince(attachment) {
              const since = unwantedSince.get(nameOf(attachment)) ?? clock.now();
              unwantedSince.set(nameOf(attachment), since);
              return since;
            },
            now: clock.now(),
          });
          for (const attachment of plan.attach)
            unseen.set(attachment.spec.source.persistentVolumeName ?? "", { attachment, since: clock.now() });
          tell(plan);
          await carryOut(nodeName, plan, queue);
          if (plan.waitMs !== undefined) queue.addAfter(nodeName, plan.waitMs);
        },
      },
    ];
  },
});
