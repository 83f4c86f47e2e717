/** Makes and removes the volumes of the class `local-path`; see reconcile.ts. Says what sig-storage's provisioner library says. */
import { basename } from "node:path";
import {
  localPathProvisionerName as provisionerName,
  localPathRemoveAnnotation as removeAnnotation,
  type PersistentVolume,
  type PersistentVolumeClaim,
} from "#api";
import { keyOf } from "#client";
import { isStatusError } from "#machinery";
import { type Controller, defineController, onEvery, watch } from "../lib/controller.ts";
import { draft, nameOf, namespaceOf, uidOf } from "../lib/objects.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { type Claim, classOf, provisionerFinalizer, selectedNode, type Volume } from "../lib/volumes.ts";
import { askedAnnotation, isOurs, nodeForAny, nodeOf, provision, removal } from "./reconcile.ts";

const nodeIndex = "local-path-node";

/** Until a claim that nobody else acts upon is tried again: as often as upstream's provisioners do. */
const retryMs = 15_000;

export const localPathProvisioner: Controller = defineController({
  name: "local-path-provisioner",
  component: provisionerName,
  create({ client, informers, events }) {
    const claims = informers.of("v1/persistentvolumeclaims");
    const volumes = informers.of("v1/persistentvolumes");
    const classes = informers.of("storage.k8s.io/v1/storageclasses");
    const nodes = informers.of("v1/nodes");
    volumes.addIndex(nodeIndex, (volume) => (isOurs(volume) ? [nodeOf(volume)] : []));
    const volumeClient = client.resource("v1/persistentvolumes");

    async function make(claim: Claim, volume: PersistentVolume): Promise<void> {
      const say = (reason: string, message: string) => events.event(claim, { type: "Normal", reason, message });
      say("Provisioning", `External provisioner is provisioning volume for claim ${JSON.stringify(keyOf(claim))}`);
      try {
        await volumeClient.create(volume);
      } catch (error) {
        // Made before, and the event of it is still to come.
        if (!isStatusError(error, "AlreadyExists")) throw error;
      }
      say("ProvisioningSucceeded", `Successfully provisioned volume ${volume.metadata.name}`);
    }

    return [
      {
        reads: [classes, nodes, volumes],
        watches(queue) {
          const mark = (claim: Claim) => {
            if (!claim.spec?.volumeName) queue.add(keyOf(claim));
          };
          return [watch(claims, { added: mark, updated: mark })];
        },
        async reconcile(key, queue) {
          const claim = claims.get(key);
          if (!claim || volumes.get(`pvc-${uidOf(claim)}`)) return;
          const storageClass = classes.get(classOf(claim));
          const step = provision(claim, storageClass, {
            nodeNamed: (name) => nodes.get(name),
            anyNode: () => nodeForAny(nodes.list(), (name) => volumes.by(nodeIndex, name).length),
          });
          if (!step) return;
          if ("make" in step) return make(claim, step.make);
          const message = `failed to provision volume with StorageClass ${JSON.stringify(classOf(claim))}: ${step.failed}`;
          events.event(claim, { type: "Warning", reason: "ProvisioningFailed", message });
          if (claim.metadata.annotations?.[selectedNode] === undefined) return queue.addAfter(key, retryMs);
          // The scheduler looks for another node.
          const changed = draft<PersistentVolumeClaim>(claim);
          delete changed.metadata.annotations?.[selectedNode];
          await unlessGone(client.resource("v1/persistentvolumeclaims", namespaceOf(claim)).update(changed));
        },
      },
      {
        reads: [nodes],
        watches(queue) {
          const mark = (volume: Volume) => {
            if (isOurs(volume)) queue.add(nameOf(volume));
          };
          return [
            watch(volumes, { added: mark, updated: mark }),
            onEvery(nodes, (node) => {
              for (const volume of volumes.by(nodeIndex, nameOf(node)))
                if (volume.metadata.deletionTimestamp) queue.add(nameOf(volume));
            }),
          ];
        },
        async reconcile(name) {
          const volume = volumes.get(name);
          if (!volume || !isOurs(volume)) return;
          switch (removal(volume, nodes.get(nodeOf(volume)))) {
            case "delete":
              await unlessGone(volumeClient.delete(name, { preconditions: { uid: uidOf(volume) } }));
              return;
            case "ask": {
              const annotations = { [removeAnnotation + name]: basename(volume.spec?.local?.path ?? "") };
              const node = await unlessGone(
                client.resource("v1/nodes").patch(nodeOf(volume), { metadata: { annotations } }, { type: "merge" }),
              );
              if (!node) return;
              const asked = `${uidOf(node)}/${node.metadata.resourceVersion}`;
              const patch = { metadata: { annotations: { [askedAnnotation]: asked } } };
              return void (await unlessGone(volumeClient.patch(name, patch, { type: "merge" })));
            }
            case "free": {
              const changed = draft<PersistentVolume>(volume);
              changed.metadata.finalizers = changed.metadata.finalizers?.filter(
                (each) => each !== provisionerFinalizer,
              );
              await unlessGone(volumeClient.update(changed));
            }
          }
        },
      },
    ];
  },
});
