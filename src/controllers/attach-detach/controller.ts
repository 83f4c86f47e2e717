/** Attaches volumes of CSI drivers to the nodes of their pods, and detaches them; drivers carry out the VolumeAttachments made here. */
import type { Pod } from "#api";
import { keyOf } from "#client";
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
    /** What was said last of a pod and a volume: said once. */
    const said = new Map<string, string>();

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
      for (const { pod, ...event } of told) {
        const about = `${uidOf(pod)} ${/"(.*?)"/.exec(event.message)?.[1]}`;
        if (said.get(about) === event.message) continue;
        said.set(about, event.message);
        events.event(pod, event);
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
            onEvery(attachments, ({ spec }) => {
              queue.add(spec.nodeName);
              // Others may wait for the volume.
              const volume = volumes.get(spec.source.persistentVolumeName ?? "");
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
                for (const name of said.keys()) if (name.startsWith(uidOf(pod))) said.delete(name);
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
              attachments: attachments
                .by(volumeIndex, nameOf(volume))
                .filter((each) => each.spec.nodeName !== nodeName && isOurs(each, volume)),
              pods: usersOf(volume).filter((pod) => pod.spec?.nodeName !== nodeName),
            }),
            unwantedSince(attachment) {
              const since = unwantedSince.get(nameOf(attachment)) ?? clock.now();
              unwantedSince.set(nameOf(attachment), since);
              return since;
            },
            now: clock.now(),
          });
          tell(plan);
          const { volumesAttached } = plan;
          if (volumesAttached)
            await unlessGone(
              client
                .resource("v1/nodes")
                .patch(nodeName, { status: { volumesAttached } }, { type: "merge", subresource: "status" }),
            );
          const attached = client.resource("storage.k8s.io/v1/volumeattachments");
          for (const attachment of plan.detach) {
            await unlessGone(attached.delete(nameOf(attachment), { preconditions: { uid: uidOf(attachment) } }));
            unwantedSince.delete(nameOf(attachment));
          }
          for (const attachment of plan.attach)
            await attached.create(attachment).catch((error: unknown) => {
              if (!isStatusError(error, "AlreadyExists")) throw error;
            });
          if (plan.waitMs !== undefined) queue.addAfter(nodeName, plan.waitMs);
        },
      },
    ];
  },
});
