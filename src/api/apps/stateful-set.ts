/** StatefulSet: pods with names and volumes that stay. Follows upstream's registry/apps/statefulset. */
import { nameIsDnsLabel } from "#machinery";
import { ageColumn } from "../columns.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { fractional } from "../pod-spec/container-warnings.ts";
import { defaultClaimSpec } from "../pod-spec/default-volumes.ts";
import { defaultPodTemplate } from "../pod-spec/defaults.ts";
import { templateWarnings } from "../pod-spec/warnings.ts";
import { isWholeAmount } from "../resource-names.ts";
import { specOf } from "../spec-of.ts";
import { bumpGeneration, firstGeneration, setOrDelete } from "../strategy.ts";
import type { PersistentVolumeClaim, StatefulSet } from "../types.d.ts";
import { printSelector } from "./selector.ts";
import { statefulSetStatusStrategy } from "./stateful-set/status.ts";
import { validateStatefulSet } from "./stateful-set/validate.ts";
import { templateColumns } from "./template-columns.ts";

function defaultStatefulSet(statefulSet: StatefulSet): void {
  const spec = specOf(statefulSet);
  statefulSet.spec = spec;
  spec.template ??= {};
  defaultPodTemplate(spec.template);
  spec.podManagementPolicy ||= "OrderedReady";
  spec.updateStrategy ??= {};
  const { updateStrategy } = spec;
  if (!updateStrategy.type) {
    updateStrategy.type = "RollingUpdate";
    updateStrategy.rollingUpdate ??= {};
  }
  if (updateStrategy.type === "RollingUpdate" && updateStrategy.rollingUpdate) {
    updateStrategy.rollingUpdate.partition ??= 0;
  }
  spec.persistentVolumeClaimRetentionPolicy ??= {};
  spec.persistentVolumeClaimRetentionPolicy.whenDeleted ||= "Retain";
  spec.persistentVolumeClaimRetentionPolicy.whenScaled ||= "Retain";
  spec.replicas ??= 1;
  spec.revisionHistoryLimit ??= 10;
  for (const claim of spec.volumeClaimTemplates ?? []) defaultClaim(claim);
}

/** Claims inside stateful sets always show kind and phase, because upstream once stored them so. */
function defaultClaim(claim: PersistentVolumeClaim): void {
  claim.kind = "PersistentVolumeClaim";
  claim.apiVersion = "v1";
  claim.spec ??= {};
  defaultClaimSpec(claim.spec);
  claim.status ??= {};
  claim.status.phase ||= "Pending";
}

/** `specField`: upstream names the claim's spec in the path on updates only. */
function warningsOf({ spec }: StatefulSet, { specField }: { specField: boolean }): string[] {
  const warnings = templateWarnings(spec?.template, "spec.template");
  const at = Place.root("spec").child("volumeClaimTemplates");
  spec?.volumeClaimTemplates?.forEach((claim, i) => {
    const size = claim.spec?.resources?.requests?.storage;
    if (size === undefined || isWholeAmount(size)) return;
    const claimAt = specField ? at.index(i).child("Spec") : at.index(i);
    warnings.push(fractional(claimAt.child("resources").child("requests").key("storage"), size));
  });
  if ((spec?.revisionHistoryLimit ?? 0) < 0) {
    const why = "a negative value retains all historical revisions; a value >= 0 is recommended";
    warnings.push(`spec.revisionHistoryLimit: ${why}`);
  }
  return warnings;
}

export const statefulSetKind = defineKind<StatefulSet>({
  group: "apps",
  kind: "StatefulSet",
  resource: "statefulsets",
  storageVersion: "v1",
  resetFields: ["status"],
  validateName: (name, prefix) => [...nameIsDnsLabel(name, prefix)],

  defaults: defaultStatefulSet,
  prepareForCreate(statefulSet) {
    statefulSet.status = { replicas: 0, availableReplicas: 0 };
    firstGeneration(statefulSet);
  },
  prepareForUpdate(statefulSet, old) {
    setOrDelete(statefulSet, { status: old.status });
    bumpGeneration(statefulSet, old);
  },
  validate: (statefulSet) => validateStatefulSet(statefulSet),
  validateUpdate: (statefulSet, old) => validateStatefulSet(statefulSet, old),
  warningsOnCreate: (statefulSet) => warningsOf(statefulSet, { specField: false }),
  warningsOnUpdate: (statefulSet, old) =>
    statefulSet.metadata.generation === old.metadata.generation ? [] : warningsOf(statefulSet, { specField: true }),

  subresources: { status: statefulSetStatusStrategy },
  scale: {
    replicasOf: ({ spec }) => spec?.replicas ?? 0,
    setReplicas(statefulSet, replicas) {
      specOf(statefulSet).replicas = replicas;
    },
    statusReplicasOf: ({ status }) => status?.replicas ?? 0,
    selectorOf: ({ spec }) => printSelector(spec?.selector),
  },
  columns: [
    {
      name: "Ready",
      type: "string",
      description: "Number of the pod with ready state",
      of: ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}`,
    },
    ageColumn,
    ...templateColumns<StatefulSet>(({ spec }) => spec?.template),
  ],
});
