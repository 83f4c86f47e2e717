/** Volumes that only one pod may use at a time: ReadWriteOncePod claims anywhere, and some disks on a node. */
import type { Volume as PodVolume } from "#api";
import type { DeepReadonly } from "#machinery";
import { type FilterPlugin, rejection } from "../framework.ts";

const inUse = rejection(
  true,
  "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod",
);
const noDisk = rejection(true, "node(s) had no available disk");

type Volume = DeepReadonly<PodVolume>;

const isDisk = ({ gcePersistentDisk, awsElasticBlockStore, iscsi, rbd }: Volume): boolean =>
  (gcePersistentDisk ?? awsElasticBlockStore ?? iscsi ?? rbd) !== undefined;

/** The same disk, unless both only read it and its kind allows that. */
function areInConflict(a: Volume, b: Volume): boolean {
  if (a.gcePersistentDisk && b.gcePersistentDisk) {
    const [own, other] = [a.gcePersistentDisk, b.gcePersistentDisk];
    return own.pdName === other.pdName && !(own.readOnly && other.readOnly);
  }
  if (a.awsElasticBlockStore && b.awsElasticBlockStore) {
    return a.awsElasticBlockStore.volumeID === b.awsElasticBlockStore.volumeID;
  }
  if (a.iscsi && b.iscsi) return a.iscsi.iqn === b.iscsi.iqn && !(a.iscsi.readOnly && b.iscsi.readOnly);
  if (a.rbd && b.rbd) {
    const [own, other] = [a.rbd, b.rbd];
    const isSame =
      own.image === other.image &&
      (own.pool ?? "rbd") === (other.pool ?? "rbd") &&
      own.monitors.some((monitor) => other.monitors.includes(monitor));
    return isSame && !(own.readOnly && other.readOnly);
  }
  return false;
}

export const volumeRestrictions: FilterPlugin = {
  name: "VolumeRestrictions",
  prepare({ pod, claims }, state) {
    const disks = pod.spec?.volumes?.filter(isDisk) ?? [];
    const { storage } = state.objects;
    const used: string[] = [];
    for (const { key, name, isEphemeral } of claims) {
      if (isEphemeral) continue;
      const claim = storage.claim(key);
      if (!claim) return { impossible: rejection(false, `persistentvolumeclaim "${name}" not found`) };
      if (claim.spec?.accessModes?.includes("ReadWriteOncePod") && state.claimUsers(key) > 0) used.push(key);
    }
    if (used.length === 0 && disks.length === 0) return undefined;
    return {
      filter({ pods }) {
        for (const own of disks) {
          for (const { pod: other } of pods.values()) {
            if (other.spec?.volumes?.some((volume) => areInConflict(own, volume))) return noDisk;
          }
        }
        // Asked anew: a search for victims takes pods off.
        return used.some((key) => state.claimUsers(key) > 0) ? inUse : undefined;
      },
    };
  },
  events: ["node-added", "pod-deleted", "claim-changed"],
  helps(event, pod) {
    if (event.kind === "claim-changed") return pod.claims.some(({ key }) => key === event.key);
    if (event.kind !== "pod-deleted") return true;
    const { claims, pod: gone } = event.pod;
    return (
      claims.some(({ key }) => pod.claims.some((own) => own.key === key)) || (gone.spec?.volumes?.some(isDisk) ?? false)
    );
  },
};
