/** How a pod, its claims and their templates belong together; the scheduler, a controller and the node all ask. */
import type { DeepReadonly } from "#machinery";
import type { DeviceTaint, DeviceToleration, Pod, PodResourceClaim, ResourceClaim } from "../types.d.ts";

/** Keeps an allocated claim until it is free. */
export const allocationFinalizer = "resource.kubernetes.io/delete-protection";
/** On a claim made from a template: its name in the pod. */
export const podClaimAnnotation = "resource.kubernetes.io/pod-claim-name";
/** "true" on a claim that the scheduler made for a pod's extended resources. */
export const extendedClaimAnnotation = "resource.kubernetes.io/extended-resource-claim";
/** Extended resources that a DeviceClass of this name stands for, though it doesn't say so. */
export const implicitResourcePrefix = "deviceclass.resource.kubernetes.io/";

/** `name` undefined: the pod needs none after all. `isOwn`: made for the pod, so that it must be its owner. */
export type PodClaimName =
  | { readonly name: string | undefined; readonly isOwn: boolean }
  | { readonly missing: string };

/** The name of the claim behind an entry of `spec.resourceClaims`, or why there is none yet. */
export function podClaimName(pod: DeepReadonly<Pod>, claim: DeepReadonly<PodResourceClaim>): PodClaimName {
  const { namespace, name } = pod.metadata;
  if (claim.resourceClaimName !== undefined) return { name: claim.resourceClaimName, isOwn: false };
  if (claim.resourceClaimTemplateName === undefined) {
    return {
      missing: `pod "${namespace}/${name}", spec.resourceClaim "${claim.name}": none of the supported fields are set`,
    };
  }
  const status = pod.status?.resourceClaimStatuses?.find((each) => each.name === claim.name);
  if (status) return { name: status.resourceClaimName, isOwn: true };
  return { missing: `pod "${namespace}/${name}": ResourceClaim not created yet` };
}

/** Why a claim isn't the pod's own. */
export function whyNotForPod(pod: DeepReadonly<Pod>, claim: DeepReadonly<ResourceClaim>): string | undefined {
  const owner = claim.metadata.ownerReferences?.find(({ controller }) => controller);
  if (owner && owner.uid === pod.metadata.uid) return undefined;
  const of = ({ metadata }: DeepReadonly<Pod | ResourceClaim>) => `${metadata.namespace}/${metadata.name}`;
  return `ResourceClaim ${of(claim)} was not created for Pod ${of(pod)} (Pod is not owner)`;
}

export const isReservedForPod = (pod: DeepReadonly<Pod>, claim: DeepReadonly<ResourceClaim>): boolean =>
  claim.status?.reservedFor?.some(({ uid }) => uid === pod.metadata.uid) ?? false;

export function toleratesDeviceTaint(
  toleration: DeepReadonly<DeviceToleration>,
  taint: DeepReadonly<DeviceTaint>,
): boolean {
  const { effect, key, operator = "Equal", value = "" } = toleration;
  if (effect && effect !== taint.effect) return false;
  if (key && key !== taint.key) return false;
  return operator === "Exists" || ((operator === "Equal" || !operator) && value === (taint.value ?? ""));
}
