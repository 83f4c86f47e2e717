/** ReplicationController: what ReplicaSet was before selectors had expressions. Follows upstream's registry/core/replicationcontroller. */
import { joinLabels } from "../columns.ts";
import { defineKind, type Strategy } from "../kind.ts";
import { defaultPodTemplate } from "../pod-spec/defaults.ts";
import { podNameWarnings, templateWarnings } from "../pod-spec/warnings.ts";
import { bumpGeneration, firstGeneration, setOrDelete } from "../strategy.ts";
import type { ReplicationController } from "../types.d.ts";
import { replicationControllerColumns } from "./replication-controller/columns.ts";
import { validateReplicationController, validateStatus } from "./replication-controller/validate.ts";

function defaultReplicationController(controller: ReplicationController): void {
  controller.spec ??= {};
  const { spec, metadata } = controller;
  const labels = spec.template?.metadata?.labels;
  if (labels) {
    if (Object.keys(spec.selector ?? {}).length === 0) spec.selector = { ...labels };
    if (Object.keys(metadata.labels ?? {}).length === 0) metadata.labels = { ...labels };
  }
  spec.replicas ??= 1;
  if (spec.template) defaultPodTemplate(spec.template);
}

const statusStrategy: Strategy<ReplicationController> = {
  resetFields: ["spec"],
  prepareForUpdate(controller, old) {
    setOrDelete(controller, { spec: old.spec });
  },
  validateUpdate: ({ status }) => validateStatus(status),
};

export const replicationControllerKind = defineKind<ReplicationController>({
  group: "",
  kind: "ReplicationController",
  resource: "replicationcontrollers",
  storageVersion: "v1",
  resetFields: ["status"],
  // Older than garbage collection.
  defaultPropagation: "Orphan",

  defaults: defaultReplicationController,
  prepareForCreate(controller) {
    controller.status = { replicas: 0 };
    firstGeneration(controller);
  },
  prepareForUpdate(controller, old) {
    setOrDelete(controller, { status: old.status });
    bumpGeneration(controller, old);
  },
  validate: ({ spec }) => validateReplicationController(spec),
  validateUpdate({ spec }, old) {
    const errors = validateReplicationController(spec, old.spec);
    // Upstream says everything twice.
    return [...errors, ...errors];
  },
  warningsOnCreate: ({ metadata, spec }) => [
    ...podNameWarnings(metadata.name ?? ""),
    ...templateWarnings(spec?.template, "spec.template"),
  ],
  warningsOnUpdate: ({ metadata, spec }, old) =>
    metadata.generation === old.metadata.generation ? [] : templateWarnings(spec?.template, "spec.template"),

  subresources: { status: statusStrategy },
  scale: {
    replicasOf: ({ spec }) => spec?.replicas ?? 0,
    setReplicas(controller, replicas) {
      controller.spec = { ...controller.spec, replicas };
    },
    statusReplicasOf: ({ status }) => status?.replicas ?? 0,
    selectorOf: ({ spec }) => joinLabels(spec?.selector),
  },

  selectableFieldNames: ["status.replicas"],
  selectableFields: ({ status }) => ({ "status.replicas": String(status?.replicas ?? 0) }),
  unknownField: (field) => `field label not supported: ${field}`,
  columns: replicationControllerColumns,
});
