/** Whether a claim or volume that somebody deleted may go now. Pure. */
import type { PersistentVolume, PersistentVolumeClaim, Pod } from "#api";
import { controllerOf, isDeleting, nameOf, namespaceOf, type Seen, type SeenObject, uidOf } from "../lib/objects.ts";

export const claimFinalizer = "kubernetes.io/pvc-protection";
export const volumeFinalizer = "kubernetes.io/pv-protection";

export const attributesFinalizer = "kubernetes.io/vac-protection";

export type Step = "add" | "remove" | "keep" | undefined;

/** What happens to the finalizer of an object; undefined: nothing to do, `keep`: it is in use. */
export function nextStep(object: SeenObject, { finalizer, isUsed }: { finalizer: string; isUsed(): boolean }): Step {
  const isProtected = object.metadata?.finalizers?.includes(finalizer) ?? false;
  if (!isDeleting(object)) return isProtected ? undefined : "add";
  if (!isProtected) return undefined;
  return isUsed() ? "keep" : "remove";
}

export const isVolumeUsed = ({ status }: Seen<PersistentVolume>): boolean => status?.phase === "Bound";

/** Of pods, by what `claimsOf` answers. */
export const claimIndex = "claims";

/** Keys of the claims that a pod names, or has for itself. */
export const claimsOf = (pod: Seen<Pod>): string[] =>
  (pod.spec?.volumes ?? []).flatMap(({ name, persistentVolumeClaim, ephemeral }) => {
    const claim = persistentVolumeClaim?.claimName ?? (ephemeral ? `${nameOf(pod)}-${name}` : undefined);
    return claim === undefined ? [] : [`${namespaceOf(pod)}/${claim}`];
  });

/** Pods without a node don't count: no node starts a pod whose claim is being deleted. */
export function usesClaim(pod: Seen<Pod>, claim: Seen<PersistentVolumeClaim>): boolean {
  if (!pod.spec?.nodeName) return false;
  const name = nameOf(claim);
  // With grace period 0 its containers have stopped, and its own claims go with it.
  const isStopped = isDeleting(pod) && pod.metadata.deletionGracePeriodSeconds === 0;
  return (pod.spec.volumes ?? []).some(
    (volume) =>
      volume.persistentVolumeClaim?.claimName === name ||
      (volume.ephemeral !== undefined &&
        !isStopped &&
        `${nameOf(pod)}-${volume.name}` === name &&
        controllerOf(claim)?.uid === uidOf(pod)),
  );
}

/** Its end may set a claim free. */
export const mayFree = (pod: Seen<Pod>): boolean =>
  !pod.spec?.nodeName ||
  pod.status?.phase === "Succeeded" ||
  pod.status?.phase === "Failed" ||
  (isDeleting(pod) && pod.metadata.deletionGracePeriodSeconds === 0);

/** Names of the attributes classes that a claim has, had, or is to get; or that a volume has. */
export function attributesClassesOf({ spec, status = {} }: Seen<PersistentVolumeClaim | PersistentVolume>): string[] {
  const { currentVolumeAttributesClassName: current, modifyVolumeStatus: modified } = status as Seen<
    NonNullable<PersistentVolumeClaim["status"]> // a volume's status has none of its fields
  >;
  const names = [spec?.volumeAttributesClassName, current, modified?.targetVolumeAttributesClassName];
  return [...new Set(names.filter((name): name is string => Boolean(name)))];
}
