/** What rules ask about claims, volumes and drivers, and which claims a pod uses. */
import type {
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  StorageClass,
  VolumeAttachment,
} from "#api";
import { type DeepReadonly, quantityValue } from "#machinery";

export type Claim = DeepReadonly<PersistentVolumeClaim>;
export type Volume = DeepReadonly<PersistentVolume>;

/** Claims by `namespace/name`, everything else by name. */
export interface StorageObjects {
  claim(key: string): Claim | undefined;
  volume(name: string): Volume | undefined;
  volumesOfClass(name: string): readonly Volume[];
  storageClass(name: string): DeepReadonly<StorageClass> | undefined;
  csiNode(name: string): DeepReadonly<CSINode> | undefined;
  csiDriver(name: string): DeepReadonly<CSIDriver> | undefined;
  capacitiesOfClass(name: string): readonly DeepReadonly<CSIStorageCapacity>[];
  attachmentsOf(nodeName: string): readonly DeepReadonly<VolumeAttachment>[];
}

export const noStorage: StorageObjects = {
  claim: () => undefined,
  volume: () => undefined,
  volumesOfClass: () => [],
  storageClass: () => undefined,
  csiNode: () => undefined,
  csiDriver: () => undefined,
  capacitiesOfClass: () => [],
  attachmentsOf: () => [],
};

/** A claim that a pod names, or that is made for one of its ephemeral volumes. */
export interface PodClaim {
  readonly key: string;
  readonly name: string;
  readonly isEphemeral: boolean;
}

/** Of most pods. */
export const noClaims: readonly PodClaim[] = [];

export function claimsOf({ metadata, spec }: DeepReadonly<Pod>): readonly PodClaim[] {
  let found: PodClaim[] | undefined;
  for (const { name: volume, persistentVolumeClaim, ephemeral } of spec?.volumes ?? []) {
    if (!persistentVolumeClaim && !ephemeral) continue;
    const name = persistentVolumeClaim ? persistentVolumeClaim.claimName : `${metadata.name}-${volume}`;
    found ??= [];
    found.push({ key: `${metadata.namespace}/${name}`, name, isEphemeral: !persistentVolumeClaim });
  }
  return found ?? noClaims;
}

/** The annotation is from before the field. */
const classAnnotation = "volume.beta.kubernetes.io/storage-class";

export const classOf = ({ metadata, spec }: Claim | Volume): string =>
  metadata.annotations?.[classAnnotation] ?? spec?.storageClassName ?? "";

export const isFullyBound = ({ metadata, spec }: Claim): boolean =>
  Boolean(spec?.volumeName) && metadata.annotations?.["pv.kubernetes.io/bind-completed"] !== undefined;

/** Where a claim's volume is to be made; provisioners wait for it. */
export const selectedNodeAnnotation = "volume.kubernetes.io/selected-node";

export const requestedBytes = ({ spec }: Claim): number => quantityValue(spec?.resources?.requests?.storage ?? "0");
export const capacityBytes = ({ spec }: Volume): number => quantityValue(spec?.capacity?.storage ?? "0");

/** Whether the volume is reserved for this claim, if only by name. */
export function isReservedFor({ spec }: Volume, claim: Claim): boolean {
  const reference = spec?.claimRef;
  if (!reference) return false;
  const { namespace, name, uid } = claim.metadata;
  return reference.name === name && reference.namespace === namespace && (!reference.uid || reference.uid === uid);
}
