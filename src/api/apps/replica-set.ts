/** ReplicaSet: so many pods of one template. Follows upstream's registry/apps/replicaset. */
import { type FieldError, printLabelSelector, validateImmutable } from "#machinery";
import { ageColumn } from "../columns.ts";
import { validateAtMost, validateCount, validateCounts } from "../counts.ts";
import { type Column, defineKind, type Strategy } from "../kind.ts";
import { Place } from "../place.ts";
import { defaultPodTemplate } from "../pod-spec/defaults.ts";
import { podNameWarnings, templateWarnings } from "../pod-spec/warnings.ts";
import { specOf } from "../spec-of.ts";
import { bumpGeneration, firstGeneration, setOrDelete } from "../strategy.ts";
import type { ReplicaSet } from "../types.d.ts";
import { printSelector, readSelector, validateOwnSelector } from "./selector.ts";
import { validateReplicaTemplate } from "./template.ts";
import { templateColumns } from "./template-columns.ts";

function validateReplicaSet(replicaSet: ReplicaSet, old?: ReplicaSet): Place {
  const at = Place.root("spec");
  const spec = specOf(replicaSet);
  validateCount(spec.replicas, at.child("replicas"));
  validateCount(spec.minReadySeconds, at.child("minReadySeconds"));
  const selectorAt = at.child("selector");
  // Upstream says deployment here as well.
  validateOwnSelector(spec.selector, selectorAt, "deployment");
  const selector = readSelector(spec.selector);
  if (selector) {
    validateReplicaTemplate(spec.template ?? {}, at.child("template"), { selector, old: old?.spec?.template });
  } else selectorAt.invalid(spec.selector, "invalid label selector");
  return at;
}

function validateUpdate(replicaSet: ReplicaSet, old: ReplicaSet): FieldError[] {
  const at = validateReplicaSet(replicaSet, old);
  // Upstream says everything twice.
  at.add([...at.errors]);
  at.add(validateImmutable(replicaSet.spec?.selector, old.spec?.selector, at.child("selector").path));
  return at.errors;
}

const statusStrategy: Strategy<ReplicaSet> = {
  resetFields: ["spec"],
  prepareForUpdate(replicaSet, old) {
    setOrDelete(replicaSet, { spec: old.spec });
  },
  validateUpdate({ status = { replicas: 0 } }) {
    const at = Place.root("status");
    validateCounts(status, at, [
      "replicas",
      "fullyLabeledReplicas",
      "readyReplicas",
      "availableReplicas",
      "terminatingReplicas",
      "observedGeneration",
    ]);
    const fields = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"] as const;
    validateAtMost(status, at, { fields, of: "replicas", name: "status.replicas" });
    validateAtMost(status, at, { fields: ["availableReplicas"], of: "readyReplicas", name: "readyReplicas" });
    return at.errors;
  },
};

const warningsOf = ({ spec }: ReplicaSet): string[] => templateWarnings(spec?.template, "spec.template");

const columns: readonly Column<ReplicaSet>[] = [
  {
    name: "Desired",
    type: "integer",
    description: { field: "V1ReplicaSetSpec.replicas" },
    of: ({ spec }) => spec?.replicas ?? 0,
  },
  {
    name: "Current",
    type: "integer",
    description: { field: "V1ReplicaSetStatus.replicas" },
    of: ({ status }) => status?.replicas ?? 0,
  },
  {
    name: "Ready",
    type: "integer",
    description: { field: "V1ReplicaSetStatus.readyReplicas" },
    of: ({ status }) => status?.readyReplicas ?? 0,
  },
  ageColumn,
  ...templateColumns<ReplicaSet>(({ spec }) => spec?.template),
  {
    name: "Selector",
    type: "string",
    priority: 1,
    description:
      "Selector is a label query over pods that should match the replica count. Label keys and values that must match in order to be controlled by this replica set. It must match the pod template's labels. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors",
    of: ({ spec }) => printLabelSelector(spec?.selector),
  },
];

export const replicaSetKind = defineKind<ReplicaSet>({
  group: "apps",
  kind: "ReplicaSet",
  resource: "replicasets",
  storageVersion: "v1",
  resetFields: ["status"],

  defaults(replicaSet) {
    const spec = specOf(replicaSet);
    replicaSet.spec = spec;
    spec.template ??= {};
    defaultPodTemplate(spec.template);
    spec.replicas ??= 1;
  },
  prepareForCreate(replicaSet) {
    replicaSet.status = { replicas: 0 };
    firstGeneration(replicaSet);
  },
  prepareForUpdate(replicaSet, old) {
    setOrDelete(replicaSet, { status: old.status });
    bumpGeneration(replicaSet, old);
  },
  validate: (replicaSet) => validateReplicaSet(replicaSet).errors,
  validateUpdate,
  warningsOnCreate: (replicaSet) => [...podNameWarnings(replicaSet.metadata.name ?? ""), ...warningsOf(replicaSet)],
  warningsOnUpdate: (replicaSet, old) =>
    replicaSet.metadata.generation === old.metadata.generation ? [] : warningsOf(replicaSet),

  subresources: { status: statusStrategy },
  scale: {
    replicasOf: ({ spec }) => spec?.replicas ?? 0,
    setReplicas(replicaSet, replicas) {
      specOf(replicaSet).replicas = replicas;
    },
    statusReplicasOf: ({ status }) => status?.replicas ?? 0,
    selectorOf: ({ spec }) => printSelector(spec?.selector),
  },
  columns,
});
