/** How many volumes of a CSI driver a node can have attached: `allocatable.count` of its CSINode. */
import type { PersistentVolumeSpec, Volume as PodVolume } from "#api";
import type { DeepReadonly } from "#machinery";
import { type FilterPlugin, rejection } from "../framework.ts";
import type { PodInfo } from "../pod-info.ts";
import { classOf, type StorageObjects } from "../storage.ts";

const tooMany = rejection(true, "node(s) exceed max volume count");

/** Kinds of volumes from before CSI that its drivers serve today, by the field that holds them. */
const migrated = [
  { field: "awsElasticBlockStore", provisioner: "kubernetes.io/aws-ebs", driver: "ebs.csi.aws.com", id: "volumeID" },
  { field: "gcePersistentDisk", provisioner: "kubernetes.io/gce-pd", driver: "pd.csi.storage.gke.io", id: "pdName" },
  { field: "azureDisk", provisioner: "kubernetes.io/azure-disk", driver: "disk.csi.azure.com", id: "diskURI" },
  { field: "cinder", provisioner: "kubernetes.io/cinder", driver: "cinder.csi.openstack.org", id: "volumeID" },
  { field: "portworxVolume", provisioner: "kubernetes.io/portworx-volume", driver: "pxd.portworx.com", id: "volumeID" },
] as const;

type Source = DeepReadonly<PersistentVolumeSpec | PodVolume>;

function migratedSource(source: Source): { driver: string; handle: string } | undefined {
  for (const { field, driver, id } of migrated) {
    const found = source[field] as Readonly<Record<string, unknown>> | undefined; // the table names fields of it
    // `aws://zone/vol-1` is the same as `vol-1`.
    if (found) return { driver, handle: String(found[id]).split("/").at(-1) ?? "" };
  }
  return undefined;
}

const hasInline = ({ pod }: PodInfo) =>
  pod.spec?.volumes?.some((volume) => migratedSource(volume) !== undefined) ?? false;

/** Drivers by volume. A volume that is yet to be provisioned goes by its claim. */
function addVolumes(info: PodInfo, storage: StorageObjects, found: Map<string, string>): void {
  const add = ({ driver, handle }: { driver: string; handle: string }) => found.set(`${driver}/${handle}`, driver);
  for (const { key } of info.claims) {
    const claim = storage.claim(key);
    if (!claim) continue;
    const spec = storage.volume(claim.spec?.volumeName ?? "")?.spec;
    if (spec) {
      const source = spec.csi ? { driver: spec.csi.driver, handle: spec.csi.volumeHandle } : migratedSource(spec);
      if (source) add(source);
      continue;
    }
    const provisioner = storage.storageClass(classOf(claim))?.provisioner;
    const driver = migrated.find((each) => each.provisioner === provisioner)?.driver ?? provisioner;
    if (driver) add({ driver, handle: `\0${key}` });
  }
  for (const volume of info.pod.spec?.volumes ?? []) {
    const source = migratedSource(volume);
    if (source) add(source);
  }
}

function countByDriver(volumes: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const driver of volumes) counts.set(driver, (counts.get(driver) ?? 0) + 1);
  return counts;
}

export const nodeVolumeLimits: FilterPlugin = {
  name: "NodeVolumeLimits",
  prepare(pod, { objects: { storage } }) {
    if (pod.claims.length === 0 && !hasInline(pod)) return undefined;
    const wanted = new Map<string, string>();
    addVolumes(pod, storage, wanted);
    if (wanted.size === 0) return undefined;
    return {
      filter(node) {
        const drivers = storage.csiNode(node.name)?.spec.drivers ?? [];
        if (drivers.every(({ allocatable }) => allocatable?.count === undefined)) return undefined;
        const used = new Map<string, string>();
        for (const other of node.pods.values()) if (other.hasVolumes) addVolumes(other, storage, used);
        const fresh = countByDriver([...wanted].filter(([volume]) => !used.has(volume)).map(([, driver]) => driver));
        // What no pod uses any more is attached until it is detached.
        for (const { spec } of storage.attachmentsOf(node.name)) {
          const csi = storage.volume(spec.source.persistentVolumeName ?? "")?.spec?.csi;
          if (spec.attacher && csi) used.set(`${spec.attacher}/${csi.volumeHandle}`, spec.attacher);
        }
        const attached = countByDriver(used.values());
        for (const { name, allocatable } of drivers) {
          const count = fresh.get(name);
          if (count === undefined || allocatable?.count === undefined) continue;
          if ((attached.get(name) ?? 0) + count > allocatable.count) return tooMany;
        }
        return undefined;
      },
    };
  },
  events: ["node-added", "pod-deleted", "claim-changed", "storage-changed"],
  helps(event, pod) {
    if (event.kind === "pod-deleted") return event.pod.claims.length > 0 || hasInline(event.pod);
    if (event.kind === "claim-changed") return pod.claims.some(({ key }) => key === event.key);
    if (event.kind === "storage-changed") return event.resource === "csi-node" || event.resource === "attachment";
    return true;
  },
};
