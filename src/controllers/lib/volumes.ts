/** Names and facts about claims and volumes that the storage controllers share. They are upstream's. */
import type { PersistentVolume, PersistentVolumeClaim } from "#api";
import { keyOf } from "#client";
import type { Seen } from "./objects.ts";

export type Claim = Seen<PersistentVolumeClaim>;
export type Volume = Seen<PersistentVolume>;

export const bindCompleted = "pv.kubernetes.io/bind-completed";
export const boundByController = "pv.kubernetes.io/bound-by-controller";
export const provisionedBy = "pv.kubernetes.io/provisioned-by";
export const migratedTo = "pv.kubernetes.io/migrated-to";
export const selectedNode = "volume.kubernetes.io/selected-node";
export const storageProvisioner = "volume.kubernetes.io/storage-provisioner";
export const betaStorageProvisioner = "volume.beta.kubernetes.io/storage-provisioner";
export const preResizeCapacity = "volume.alpha.kubernetes.io/pre-resize-capacity";
/** Of volumes that the binder itself deletes, and of those that a provisioner does. */
export const binderFinalizer = "kubernetes.io/pv-controller";
export const provisionerFinalizer = "external-provisioner.volume.kubernetes.io/finalizer";

const betaClass = "volume.beta.kubernetes.io/storage-class";

export const hasAnnotation = ({ metadata }: Claim | Volume, name: string): boolean =>
  metadata.annotations?.[name] !== undefined;

/** "": none. */
export const classOf = ({ metadata, spec }: Claim | Volume): string =>
  metadata.annotations?.[betaClass] ?? spec?.storageClassName ?? "";
export const asksForClass = (claim: Claim): boolean =>
  hasAnnotation(claim, betaClass) || claim.spec?.storageClassName !== undefined;

export const requestOf = ({ spec }: Claim): string => spec?.resources?.requests?.storage ?? "0";
export const capacityOf = ({ spec }: Volume): string => spec?.capacity?.storage ?? "0";

/** Key of the claim that a volume is reserved for. */
export const claimKeyOf = ({ spec }: Volume): string | undefined =>
  spec?.claimRef && `${spec.claimRef.namespace}/${spec.claimRef.name}`;

/** If only by name: nobody has looked yet which claim of that name it is. */
export const isReservedFor = (volume: Volume, claim: Claim): boolean =>
  claimKeyOf(volume) === keyOf(claim) &&
  (!volume.spec?.claimRef?.uid || volume.spec.claimRef.uid === claim.metadata.uid);

/** Plugins of old that are CSI drivers now. */
export const migratedDrivers: Readonly<Record<string, string>> = {
  "kubernetes.io/aws-ebs": "ebs.csi.aws.com",
  "kubernetes.io/azure-disk": "disk.csi.azure.com",
  "kubernetes.io/azure-file": "file.csi.azure.com",
  "kubernetes.io/cinder": "cinder.csi.openstack.org",
  "kubernetes.io/gce-pd": "pd.csi.storage.gke.io",
  "kubernetes.io/portworx-volume": "pxd.portworx.com",
  "kubernetes.io/vsphere-volume": "csi.vsphere.vmware.com",
};
