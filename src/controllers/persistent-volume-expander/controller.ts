/**
 * Says who makes a bound claim larger that asks for more: whoever resizes for its driver. No plugin that could do it itself is left, of
 * upstream's neither: all have become drivers.
 */
import { keyOf } from "#client";
import { compareQuantities } from "#machinery";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { namespaceOf } from "../lib/objects.ts";
import { type Claim, migratedDrivers, preResizeCapacity, requestOf, type Volume } from "../lib/volumes.ts";

const resizerAnnotation = "volume.kubernetes.io/storage-resizer";

const sizeOf = ({ status }: Claim): string => status?.capacity?.storage ?? "0";
const wantsMore = (claim: Claim): boolean => compareQuantities(requestOf(claim), sizeOf(claim)) > 0;

/** Of volumes that say where they are as plugins of old did. */
const oldPlugins: Readonly<Record<string, string>> = {
  awsElasticBlockStore: "kubernetes.io/aws-ebs",
  azureDisk: "kubernetes.io/azure-disk",
  azureFile: "kubernetes.io/azure-file",
  cinder: "kubernetes.io/cinder",
  gcePersistentDisk: "kubernetes.io/gce-pd",
  portworxVolume: "kubernetes.io/portworx-volume",
  vsphereVolume: "kubernetes.io/vsphere-volume",
};
const migratedPlugin = ({ spec }: Volume): string | undefined =>
  oldPlugins[Object.keys(spec ?? {}).find((source) => oldPlugins[source]) ?? ""];

export const persistentVolumeExpander: Controller = defineController({
  name: "persistentvolume-expander-controller",
  account: "expand-controller",
  component: "volume_expand",
  create({ client, informers, events }) {
    const claims = informers.of("v1/persistentvolumeclaims");
    const volumes = informers.of("v1/persistentvolumes");
    return [
      {
        reads: [volumes],
        watches(queue) {
          const mark = (claim: Claim) => {
            if (claim.status?.phase === "Bound") queue.add(keyOf(claim));
          };
          const grew = (claim: Claim, old: Claim) =>
            compareQuantities(requestOf(claim), requestOf(old)) > 0 ||
            compareQuantities(sizeOf(claim), sizeOf(old)) > 0;
          return [
            watch(claims, { added: mark, updated: (claim, old) => (grew(claim, old) ? mark(claim) : undefined) }),
          ];
        },
        async reconcile(key) {
          const claim = claims.get(key);
          const volume = volumes.get(claim?.spec?.volumeName ?? "");
          if (!claim || (!wantsMore(claim) && !volume?.metadata.annotations?.[preResizeCapacity])) return;
          if (!volume) throw new Error(`failed to get PV ${JSON.stringify(claim.spec?.volumeName)}`);
          if (volume.spec?.claimRef?.uid !== claim.metadata.uid)
            throw new Error(`persistent Volume is not bound to PVC being updated : ${key}`);
          // Enlarged by who made it.
          if (volume.spec?.rbd) return;
          const plugin = migratedPlugin(volume);
          const driver = migratedDrivers[plugin ?? ""];
          const say = (message: string) =>
            events.event(claim, { type: "Normal", reason: "ExternalExpanding", message });
          if (!driver) return say("waiting for an external controller to expand this PVC");
          say(`CSI migration enabled for ${plugin}; waiting for external resizer to expand the pvc`);
          const { name = "", annotations, resourceVersion } = claim.metadata;
          if (annotations?.[resizerAnnotation] === driver) return;
          await client
            .resource("v1/persistentvolumeclaims", namespaceOf(claim))
            .patch(
              name,
              { metadata: { resourceVersion, annotations: { [resizerAnnotation]: driver } } },
              { type: "strategic", subresource: "status" },
            );
        },
      },
    ];
  },
});
