import { type FilterPlugin, rejection } from "../framework.ts";
import type { PodInfo } from "../pod-info.ts";
import { classOf, type StorageObjects } from "../storage.ts";

const tooMany = rejection(true, "node(s) exceed max volume count");

/** Drivers by volume. A volume that is yet to be provisioned goes by its claim. */
function addVolumes({ claims }: PodInfo, storage: StorageObjects, found: Map<string, string>): void {
  for (const { key } of claims) {
    const claim = storage.claim(key);
    if (!claim) continue;
    const volume = storage.volume(claim.spec?.volumeName ?? "");
    if (volume) {
      const csi = volume.spec?.csi;
      if (csi) found.set(`${csi.driver}/${csi.volumeHandle}`, csi.driver);
      continue;
    }
    const provisioner = storage.storageClass(classOf(claim))?.provisioner;
    if (provisioner) found.set(`${provisioner}/\0${key}`, provisioner);
  }
}

/** How many volumes of a CSI driver a node can have attached: `allocatable.count` of its CSINode. */
export const nodeVolumeLimits: FilterPlugin = {
  name: "NodeVolumeLimits",
  prepare(pod, { objects: { storage } }) {
    if (pod.claims.length === 0) return undefined;
    const wanted = new Map<string, string>();
    addVolumes(pod, storage, wanted);
    if (wanted.size === 0) return undefined;
    return {
      filter(node) {
        const drivers = storage.csiNode(node.name)?.spec.drivers ?? [];
        const limits = drivers.filter(({ allocatable }) => allocatable?.count !== undefined);
        if (limits.length === 0) return undefined;
        const attached = new Map<string, string>();
        for (const other of node.podsWithClaims) addVolumes(other, storage, attached);
        const after = new Map([...attached, ...wanted]);
        for (const { name, allocatable } of limits) {
          const count = (volumes: ReadonlyMap<string, string>) =>
            volumes.values().reduce((sum, driver) => (driver === name ? sum + 1 : sum), 0);
          const sum = count(after);
          // Volumes that are there already cost nothing.
          if (sum > count(attached) && sum > (allocatable?.count ?? 0)) return tooMany;
        }
        return undefined;
      },
    };
  },
  events: ["node-added", "pod-deleted", "claim-changed", "storage-changed"],
  helps(event, pod) {
    if (event.kind === "pod-deleted") return event.pod.claims.length > 0;
    return event.kind !== "claim-changed" || pod.claims.some(({ key }) => key === event.key);
  },
};
