/**
 * PersistentVolumeClaim: what a pod wants of storage; a binder finds or makes the volume.
 * Follows upstream's registry/core/persistentvolumeclaim strategies.
 */
import { ageColumn } from "../columns.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { fractional } from "../pod-spec/container-warnings.ts";
import { roundResources } from "../pod-spec/default-resources.ts";
import { defaultClaimSpec } from "../pod-spec/default-volumes.ts";
import { isWholeAmount } from "../resource-names.ts";
import { setOrDelete } from "../strategy.ts";
import type { PersistentVolumeClaim } from "../types.d.ts";
import { betaClassAnnotation, classOf, deprecatedClassAnnotation, printAccessModes } from "./persistent-volume/text.ts";
import { completeDataSources } from "./persistent-volume-claim/data-source.ts";
import { claimStatusStrategy } from "./persistent-volume-claim/status.ts";
import { validateClaim, validateClaimUpdate } from "./persistent-volume-claim/update.ts";

function claimWarnings({ metadata, spec }: PersistentVolumeClaim): string[] {
  const warnings: string[] = [];
  if (metadata.annotations?.[betaClassAnnotation] !== undefined) warnings.push(deprecatedClassAnnotation);
  const at = Place.root("spec").child("resources");
  for (const list of ["requests", "limits"] as const) {
    const amount = spec?.resources?.[list]?.storage;
    if (amount === undefined || isWholeAmount(amount)) continue;
    warnings.push(fractional(at.child(list).key("storage"), amount));
  }
  return warnings;
}

export const persistentVolumeClaimKind = defineKind<PersistentVolumeClaim>({
  group: "",
  kind: "PersistentVolumeClaim",
  resource: "persistentvolumeclaims",
  storageVersion: "v1",
  resetFields: ["status"],

  defaults(claim) {
    claim.spec ??= {};
    defaultClaimSpec(claim.spec);
    claim.status = { ...claim.status, phase: claim.status?.phase || "Pending" };
    roundResources(claim.status.capacity);
    roundResources(claim.status.allocatedResources);
  },
  prepareForCreate(claim) {
    claim.status = { phase: "Pending" };
    if (claim.spec) completeDataSources(claim.spec);
  },
  prepareForUpdate(claim, old) {
    setOrDelete(claim, { status: old.status });
    if (claim.spec) completeDataSources(claim.spec, old.spec);
  },
  validate: (claim) => validateClaim(claim),
  validateUpdate: validateClaimUpdate,
  warningsOnCreate: claimWarnings,
  warningsOnUpdate: claimWarnings,

  subresources: { status: claimStatusStrategy },

  columns: [
    {
      name: "Status",
      type: "string",
      description: { field: "V1PersistentVolumeClaimStatus.phase" },
      of: ({ metadata, status }) => (metadata.deletionTimestamp ? "Terminating" : (status?.phase ?? "")),
    },
    {
      name: "Volume",
      type: "string",
      description: { field: "V1PersistentVolumeClaimSpec.volumeName" },
      of: ({ spec }) => spec?.volumeName ?? "",
    },
    {
      name: "Capacity",
      type: "string",
      description: { field: "V1PersistentVolumeClaimStatus.capacity" },
      of: ({ spec, status }) => (spec?.volumeName ? (status?.capacity?.storage ?? "0") : ""),
    },
    {
      name: "Access Modes",
      type: "string",
      description: { field: "V1PersistentVolumeClaimStatus.accessModes" },
      of: ({ spec, status }) => (spec?.volumeName ? printAccessModes(status?.accessModes) : ""),
    },
    {
      name: "StorageClass",
      type: "string",
      description: "StorageClass of the pvc",
      of: ({ metadata, spec }) => classOf(metadata, spec?.storageClassName),
    },
    {
      name: "VolumeAttributesClass",
      type: "string",
      description: "VolumeAttributesClass of the pvc",
      of: ({ spec }) => spec?.volumeAttributesClassName ?? "<unset>",
    },
    ageColumn,
    {
      name: "VolumeMode",
      type: "string",
      priority: 1,
      description: { field: "V1PersistentVolumeClaimSpec.volumeMode" },
      of: ({ spec }) => spec?.volumeMode ?? "<unset>",
    },
  ],
});
