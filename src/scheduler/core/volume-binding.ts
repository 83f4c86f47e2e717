/**
 * Which volumes a pod's claims get on a node. Bound claims must be reachable from it. Of unbound ones that wait for their first
 * consumer, each gets the smallest volume there that suffices, the smallest claim first; the others are provisioned for the node if
 * their class can. Upstream's volume binder.
 */
import { quantityValue } from "#machinery";
import { compileSelector } from "./affinity-terms.ts";
import type { NodeInfo } from "./node-info.ts";
import type { PodInfo } from "./pod-info.ts";
import { compileNodeSelector, type NodeMatcher } from "#machinery";
import {
  type Claim,
  capacityBytes,
  classOf,
  isFullyBound,
  isReservedFor,
  requestedBytes,
  selectedNodeAnnotation,
  type StorageObjects,
  type Volume,
} from "./storage.ts";

export interface PodClaims {
  readonly bound: readonly Claim[];
  /** Unbound, and waiting for the pod's node; the smallest first. */
  readonly delayed: readonly Claim[];
}

/** What must happen before a pod is bound to the node. */
export interface VolumePlan {
  readonly bindings: readonly { readonly claim: Claim; readonly volume: Volume }[];
  readonly provisions: readonly Claim[];
}

export type VolumeConflict =
  | "node(s) didn't match PersistentVolume's node affinity"
  | "node(s) didn't find available persistent volumes to bind"
  | "node(s) did not have enough free storage"
  | "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

/** A text: why no node can do. */
export function sortClaims({ claims, key, uid }: PodInfo, storage: StorageObjects): PodClaims | string {
  const found: Claim[] = [];
  for (const { key: claimKey, name, isEphemeral } of claims) {
    const claim = storage.claim(claimKey);
    if (!claim) {
      if (!isEphemeral) return `persistentvolumeclaim "${name}" not found`;
      return `waiting for ephemeral volume controller to create the persistentvolumeclaim "${name}"`;
    }
    if (claim.status?.phase === "Lost") {
      return `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${claim.spec?.volumeName ?? ""}"`;
    }
    if (claim.metadata.deletionTimestamp) return `persistentvolumeclaim "${name}" is being deleted`;
    if (isEphemeral && !claim.metadata.ownerReferences?.some((owner) => owner.controller && owner.uid === uid)) {
      return `PVC ${claimKey} was not created for pod ${key} (pod is not owner)`;
    }
    found.push(claim);
  }
  const unbound = found.filter((claim) => !isFullyBound(claim));
  // One that names its volume is bound by the controller, whatever its class says.
  const isDelayed = (claim: Claim) =>
    !claim.spec?.volumeName && storage.storageClass(classOf(claim))?.volumeBindingMode === "WaitForFirstConsumer";
  if (!unbound.every(isDelayed)) return "pod has unbound immediate PersistentVolumeClaims";
  return {
    bound: found.filter(isFullyBound),
    delayed: unbound.toSorted((a, b) => requestedBytes(a) - requestedBytes(b)),
  };
}

/** Conflicts, of which there is at least one, or what to do. */
export function planVolumes(
  { bound, delayed }: PodClaims,
  node: NodeInfo,
  storage: StorageObjects,
): VolumePlan | { readonly conflicts: readonly VolumeConflict[] } {
  const conflicts: VolumeConflict[] = [];
  const missing = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
  let isMissing = false;
  for (const { spec } of bound) {
    const volume = storage.volume(spec?.volumeName ?? "");
    if (volume && isReachable(volume, node)) continue;
    if (volume) conflicts.push("node(s) didn't match PersistentVolume's node affinity");
    isMissing = !volume;
    break;
  }

  const bindings: { claim: Claim; volume: Volume }[] = [];
  const provisions: Claim[] = [];
  const taken = new Set<string>();
  const conflict = findPlaces();
  if (conflict) conflicts.push(conflict);
  if (isMissing) conflicts.push(missing);
  return conflicts.length > 0 ? { conflicts } : { bindings, provisions };

  function findPlaces(): VolumeConflict | undefined {
    const selected = (claim: Claim) => claim.metadata.annotations?.[selectedNodeAnnotation];
    if (delayed.some((claim) => (selected(claim) ?? node.name) !== node.name)) {
      return "node(s) didn't find available persistent volumes to bind";
    }
    for (const claim of delayed) {
      const volume = selected(claim) === undefined ? findVolume(claim, { node, taken, storage }) : undefined;
      if (volume) {
        taken.add(volume.metadata.name ?? "");
        bindings.push({ claim, volume });
      } else provisions.push(claim);
    }
    for (const claim of provisions) {
      const problem = whyNotProvisioned(claim, node, storage);
      if (problem) return problem;
    }
    return undefined;
  }
}

const reachability = new WeakMap<Volume, NodeMatcher>();

/** Whether the volume's node affinity allows the node. */
export function isReachable(volume: Volume, node: NodeInfo): boolean {
  const required = volume.spec?.nodeAffinity?.required;
  if (!required) return true;
  let matches = reachability.get(volume);
  if (!matches) {
    matches = compileNodeSelector(required);
    reachability.set(volume, matches);
  }
  return matches(node);
}

function findVolume(
  claim: Claim,
  { node, taken, storage }: { node: NodeInfo; taken: ReadonlySet<string>; storage: StorageObjects },
): Volume | undefined {
  const { selector, accessModes = [], volumeMode = "Filesystem", volumeAttributesClassName = "" } = claim.spec ?? {};
  const matcher = selector && compileSelector(selector);
  const bytes = requestedBytes(claim);
  let best: Volume | undefined;
  for (const volume of storage.volumesOfClass(classOf(claim))) {
    const { spec, status, metadata } = volume;
    if (taken.has(metadata.name ?? "") || metadata.deletionTimestamp || capacityBytes(volume) < bytes) continue;
    if ((spec?.volumeMode ?? "Filesystem") !== volumeMode) continue;
    if ((spec?.volumeAttributesClassName ?? "") !== volumeAttributesClassName) continue;
    // One that is reserved for the claim is the one, or there is none.
    if (isReservedFor(volume, claim)) return isReachable(volume, node) ? volume : undefined;
    if (spec?.claimRef || status?.phase !== "Available") continue;
    if (matcher && !matcher.matches(metadata.labels)) continue;
    if (!isReachable(volume, node) || !accessModes.every((mode) => spec?.accessModes?.includes(mode))) continue;
    if (!best || capacityBytes(volume) < capacityBytes(best)) best = volume;
  }
  return best;
}

function whyNotProvisioned(claim: Claim, node: NodeInfo, storage: StorageObjects): VolumeConflict | undefined {
  const { provisioner = "", allowedTopologies = [], metadata } = storage.storageClass(classOf(claim)) ?? {};
  const isAllowed =
    allowedTopologies.length === 0 ||
    allowedTopologies.some(
      ({ matchLabelExpressions = [] }) =>
        matchLabelExpressions.length > 0 &&
        matchLabelExpressions.every(({ key, values }) => values.includes(node.labels[key] ?? "")),
    );
  if (provisioner === "" || provisioner === "kubernetes.io/no-provisioner" || !isAllowed) {
    return "node(s) didn't find available persistent volumes to bind";
  }
  const bytes = requestedBytes(claim);
  if (bytes === 0 || !storage.csiDriver(provisioner)?.spec.storageCapacity) return undefined;
  const isEnough = storage.capacitiesOfClass(metadata?.name ?? "").some(({ nodeTopology, ...limits }) => {
    const limit = limits.maximumVolumeSize ?? limits.capacity;
    if (limit === undefined || quantityValue(limit) < bytes) return false;
    return nodeTopology !== undefined && compileSelector(nodeTopology).matches(node.labels);
  });
  return isEnough ? undefined : "node(s) did not have enough free storage";
}
