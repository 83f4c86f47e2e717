/** The spec of a persistent volume, also of one that only an attachment knows (inline). Follows ValidatePersistentVolumeSpec. */
import { posix } from "node:path";
import { type FieldError, quantitySign, quantityValue } from "#machinery";
import { Place } from "../../place.ts";
import { validateNodeSelector } from "../../pod-spec/affinity.ts";
import { validateAccessModes, validateClassName, validateVolumeMode } from "../../pod-spec/claim-spec.ts";
import type { PersistentVolume, PersistentVolumeSpec, VolumeNodeAffinity } from "../../types.d.ts";
import { validateSource } from "./sources.ts";

export interface VolumeCheck {
  /** The name of the volume's object; "" for an inline one. */
  readonly name: string;
  readonly inline: boolean;
  /** The node affinity may have values that no label can have: the stored volume has some. */
  readonly anyValue?: boolean;
}

const policies = ["Delete", "Recycle", "Retain"];
const notInline = "may not be specified in the context of inline volumes";

export function validateVolumeSpec(
  spec: PersistentVolumeSpec,
  at: Place,
  { name, inline, anyValue = false }: VolumeCheck,
): void {
  const { capacity = {}, accessModes = [], nodeAffinity } = spec;
  if (inline) {
    if (spec.claimRef) at.child("claimRef").forbidden(notInline);
    if (Object.keys(capacity).length > 0) at.child("capacity").forbidden(notInline);
    if (!spec.csi) at.child("csi").required("has to be specified in the context of inline volumes");
  }
  if (accessModes.length === 0) at.child("accessModes").required();
  validateAccessModes(accessModes, at.child("accessModes"));
  if (!inline) validateCapacity(capacity, at.child("capacity"));
  validatePolicy(spec.persistentVolumeReclaimPolicy ?? "", at.child("persistentVolumeReclaimPolicy"), inline);
  if (nodeAffinity) {
    if (inline) at.child("nodeAffinity").forbidden(notInline);
    else validateVolumeAffinity(nodeAffinity, at.child("nodeAffinity"), anyValue);
  }
  validateSource(spec, at, name);
  if (spec.local && (inline || !nodeAffinity)) {
    at.child("nodeAffinity").required("Local volume requires node affinity");
  }
  const isRoot = spec.hostPath !== undefined && posix.normalize(spec.hostPath.path || ".") === "/";
  if (isRoot && spec.persistentVolumeReclaimPolicy === "Recycle") {
    at.child("persistentVolumeReclaimPolicy").forbidden("may not be 'recycle' for a hostPath mount of '/'");
  }
  validateClasses(spec, at, inline);
}

function validateCapacity(capacity: Record<string, string>, at: Place): void {
  const names = Object.keys(capacity);
  if (names.length === 0) at.required();
  if (capacity.storage === undefined || names.length > 1) at.notSupported(capacity, ["storage"]);
  for (const name of names) {
    const amount = capacity[name] ?? "0";
    validatePresent(amount, at.key(name));
    if (quantitySign(amount) <= 0) at.key(name).invalid(amount, "must be greater than zero");
  }
}

/** Answers whether it is an amount that can be there. Upstream prints the number. */
export function validatePresent(amount: string, at: Place): boolean {
  if (quantitySign(amount) >= 0) return true;
  at.invalid(quantityValue(amount), "must be a valid resource quantity");
  return false;
}

function validatePolicy(policy: string, at: Place, inline: boolean): void {
  if (policy === "") return;
  if (!inline) {
    if (!policies.includes(policy)) at.notSupported(policy, policies);
  } else if (policy !== "Retain") at.forbidden("may only be Retain in the context of inline volumes");
}

function validateVolumeAffinity({ required }: VolumeNodeAffinity, at: Place, anyValue: boolean): void {
  if (required) validateNodeSelector(required, at.child("required"), { anyValue });
  else at.child("required").required("must specify required node constraints");
}

function validateClasses(spec: PersistentVolumeSpec, at: Place, inline: boolean): void {
  const { storageClassName = "", volumeMode, volumeAttributesClassName: attributesClass } = spec;
  if (storageClassName !== "") {
    if (inline) at.child("storageClassName").forbidden(notInline);
    else validateClassName(storageClassName, at.child("storageClassName"));
  }
  if (!inline) validateVolumeMode(volumeMode, at.child("volumeMode"));
  else if (volumeMode !== undefined && volumeMode !== "Filesystem") {
    const why = "may not specify volumeMode other than Filesystem in the context of inline volumes";
    at.child("volumeMode").forbidden(why);
  }
  // Attachments don't know of attributes.
  if (attributesClass === undefined || inline) return;
  const place = at.child("volumeAttributesClassName");
  if (attributesClass === "") place.required("an empty string is disallowed");
  else validateClassName(attributesClass, place);
  if (!spec.csi) at.child("csi").required("has to be specified when using volumeAttributesClassName");
}

export function validatePersistentVolume({ metadata, spec = {} }: PersistentVolume, anyValue = false): FieldError[] {
  const at = Place.root("spec");
  validateVolumeSpec(spec, at, { name: metadata.name ?? "", inline: false, anyValue });
  return at.errors;
}

export const mountOptionsAnnotation = "volume.beta.kubernetes.io/mount-options";
const mountable = [
  "gcePersistentDisk",
  "awsElasticBlockStore",
  "glusterfs",
  "nfs",
  "rbd",
  "quobyte",
  "iscsi",
  "cinder",
  "cephfs",
  "azureFile",
  "vsphereVolume",
  "azureDisk",
  "photonPersistentDisk",
] as const;

/** The old annotation for mount options is only for what is mounted by a file system of its own. */
export function validateMountOptions({ metadata, spec = {} }: PersistentVolume): FieldError[] {
  const at = Place.root("metadata").child("annotations").child(mountOptionsAnnotation);
  if (metadata.annotations?.[mountOptionsAnnotation] !== undefined && !mountable.some((field) => spec[field])) {
    at.forbidden("may not specify mount options for this volume type");
  }
  return at.errors;
}
