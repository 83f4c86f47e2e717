/**
 * PersistentVolume: storage that outlives pods, for a claim to be bound to.
 * Follows upstream's registry/core/persistentvolume strategies.
 */
import { formatTime } from "#machinery";
import { ageColumn } from "../columns.ts";
import { defineKind, type Strategy } from "../kind.ts";
import { nodeTermWarnings } from "../node-labels.ts";
import { Place } from "../place.ts";
import { roundResources } from "../pod-spec/default-resources.ts";
import { defaultAzureDisk, defaultIscsi, defaultRbd, defaultScaleIo } from "../pod-spec/default-volumes.ts";
import { setOrDelete } from "../strategy.ts";
import type { PersistentVolume, PersistentVolumeSource } from "../types.d.ts";
import { betaClassAnnotation, classOf, deprecatedClassAnnotation, printAccessModes } from "./persistent-volume/text.ts";
import { validatePersistentVolumeUpdate } from "./persistent-volume/update.ts";
import {
  mountOptionsAnnotation,
  validateMountOptions,
  validatePersistentVolume,
} from "./persistent-volume/validate.ts";

function defaultVolume(volume: PersistentVolume): void {
  volume.spec ??= {};
  const { spec } = volume;
  volume.status = { ...volume.status, phase: volume.status?.phase || "Pending" };
  spec.persistentVolumeReclaimPolicy ||= "Retain";
  spec.volumeMode ??= "Filesystem";
  roundResources(spec.capacity);
  if (spec.hostPath) spec.hostPath.type ??= "";
  if (spec.rbd) defaultRbd(spec.rbd);
  if (spec.iscsi) defaultIscsi(spec.iscsi);
  if (spec.azureDisk) defaultAzureDisk(spec.azureDisk);
  if (spec.scaleIO) defaultScaleIo(spec.scaleIO);
}

/** Field of the spec, its name in the message, and what became of it. */
const deprecatedSources: readonly (readonly [keyof PersistentVolumeSource, string, string])[] = [
  ["cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"],
  ["photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"],
  ["scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"],
  ["storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"],
  ["glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"],
  ["rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"],
];

function volumeWarnings({ metadata, spec = {} }: PersistentVolume): string[] {
  const warnings: string[] = [];
  const annotations = metadata.annotations ?? {};
  const annotationsAt = Place.root("metadata").child("annotations");
  if (annotations[betaClassAnnotation] !== undefined) warnings.push(deprecatedClassAnnotation);
  if (annotations[mountOptionsAnnotation] !== undefined) {
    const why = 'deprecated since v1.31; use "mountOptions" attribute instead';
    warnings.push(`${annotationsAt.key(mountOptionsAnnotation)}: ${why}`);
  }
  const at = Place.root("spec");
  if (spec.persistentVolumeReclaimPolicy === "Recycle") {
    const advice = "Instead, the recommended approach is to use dynamic provisioning.";
    warnings.push(`${at.child("persistentVolumeReclaimPolicy")}: The Recycle reclaim policy is deprecated. ${advice}`);
  }
  const termsAt = at.child("nodeAffinity").child("required").child("nodeSelectorTerms");
  spec.nodeAffinity?.required?.nodeSelectorTerms?.forEach((term, i) => {
    warnings.push(...nodeTermWarnings(term, termsAt.index(i), { checkValues: false }));
  });
  for (const [field, name, what] of deprecatedSources) {
    if (spec[field]) warnings.push(`${at.child(name)}: ${what}`);
  }
  return warnings;
}

const statusStrategy: Strategy<PersistentVolume> = {
  resetFields: ["spec"],
  prepareForUpdate(volume, old, { now }) {
    setOrDelete(volume, { spec: old.spec });
    volume.status ??= {};
    const { status } = volume;
    const before = old.status?.lastPhaseTransitionTime;
    const time = status.lastPhaseTransitionTime;
    if (status.phase === old.status?.phase) {
      if (!time) setOrDelete(status, { lastPhaseTransitionTime: before });
    } else if (!time || time === before) status.lastPhaseTransitionTime = formatTime(now);
  },
  validateUpdate: () => [],
};

export const persistentVolumeKind = defineKind<PersistentVolume>({
  group: "",
  kind: "PersistentVolume",
  resource: "persistentvolumes",
  storageVersion: "v1",
  resetFields: ["status"],

  defaults: defaultVolume,
  prepareForCreate(volume, { now }) {
    volume.status = { phase: "Pending", lastPhaseTransitionTime: formatTime(now) };
  },
  prepareForUpdate(volume, old) {
    setOrDelete(volume, { status: old.status });
  },
  validate: (volume) => [...validatePersistentVolume(volume), ...validateMountOptions(volume)],
  validateUpdate: validatePersistentVolumeUpdate,
  warningsOnCreate: volumeWarnings,
  warningsOnUpdate: volumeWarnings,

  subresources: { status: statusStrategy },

  columns: [
    {
      name: "Capacity",
      type: "string",
      description: { field: "V1PersistentVolumeSpec.capacity" },
      of: ({ spec }) => spec?.capacity?.storage ?? "0",
    },
    {
      name: "Access Modes",
      type: "string",
      description: { field: "V1PersistentVolumeSpec.accessModes" },
      of: ({ spec }) => printAccessModes(spec?.accessModes),
    },
    {
      name: "Reclaim Policy",
      type: "string",
      description: { field: "V1PersistentVolumeSpec.persistentVolumeReclaimPolicy" },
      of: ({ spec }) => spec?.persistentVolumeReclaimPolicy ?? "",
    },
    {
      name: "Status",
      type: "string",
      description: { field: "V1PersistentVolumeStatus.phase" },
      of: ({ metadata, status }) => (metadata.deletionTimestamp ? "Terminating" : (status?.phase ?? "")),
    },
    {
      name: "Claim",
      type: "string",
      description:
        "claimRef is part of a bi-directional binding between PersistentVolume and PersistentVolumeClaim. Expected to be non-nil when bound. claim.VolumeName is the authoritative bind between PV and PVC. More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#binding",
      of: ({ spec }) => (spec?.claimRef ? `${spec.claimRef.namespace ?? ""}/${spec.claimRef.name ?? ""}` : ""),
    },
    {
      name: "StorageClass",
      type: "string",
      description: "StorageClass of the pv",
      of: ({ metadata, spec }) => classOf(metadata, spec?.storageClassName),
    },
    {
      name: "VolumeAttributesClass",
      type: "string",
      description: "VolumeAttributesClass of the pv",
      of: ({ spec }) => spec?.volumeAttributesClassName ?? "<unset>",
    },
    {
      name: "Reason",
      type: "string",
      description: { field: "V1PersistentVolumeStatus.reason" },
      of: ({ status }) => status?.reason ?? "",
    },
    ageColumn,
    {
      name: "VolumeMode",
      type: "string",
      priority: 1,
      description: { field: "V1PersistentVolumeSpec.volumeMode" },
      of: ({ spec }) => spec?.volumeMode ?? "<unset>",
    },
  ],
});
