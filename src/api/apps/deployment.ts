/**
 * Deployment: replica sets that follow each other when the template changes.
 * Follows upstream's registry/apps/deployment.
 */
import { ageColumn } from "../columns.ts";
import { semanticEqual } from "../equality.ts";
import { type Column, defineKind } from "../kind.ts";
import { defaultPodTemplate } from "../pod-spec/defaults.ts";
import { podNameWarnings, templateWarnings } from "../pod-spec/warnings.ts";
import { specOf } from "../spec-of.ts";
import { firstGeneration, setOrDelete } from "../strategy.ts";
import type { Deployment } from "../types.d.ts";
import { deploymentStatusStrategy } from "./deployment/status.ts";
import { validateDeployment } from "./deployment/validate.ts";
import { printSelector } from "./selector.ts";
import { templateColumns } from "./template-columns.ts";

function defaultDeployment(deployment: Deployment): void {
  const spec = specOf(deployment);
  deployment.spec = spec;
  spec.template ??= {};
  defaultPodTemplate(spec.template);
  spec.replicas ??= 1;
  spec.strategy ??= {};
  const { strategy } = spec;
  strategy.type ||= "RollingUpdate";
  if (strategy.type === "RollingUpdate") {
    strategy.rollingUpdate ??= {};
    strategy.rollingUpdate.maxUnavailable ??= "25%";
    strategy.rollingUpdate.maxSurge ??= "25%";
  }
  spec.revisionHistoryLimit ??= 10;
  spec.progressDeadlineSeconds ??= 600;
}

const warningsOf = ({ spec }: Deployment): string[] => templateWarnings(spec?.template, "spec.template");

const columns: readonly Column<Deployment>[] = [
  {
    name: "Ready",
    type: "string",
    description: "Number of the pod with ready state",
    of: ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}`,
  },
  {
    name: "Up-to-date",
    type: "string",
    description: { field: "V1DeploymentStatus.updatedReplicas" },
    of: ({ status }) => status?.updatedReplicas ?? 0,
  },
  {
    name: "Available",
    type: "string",
    description: { field: "V1DeploymentStatus.availableReplicas" },
    of: ({ status }) => status?.availableReplicas ?? 0,
  },
  ageColumn,
  ...templateColumns<Deployment>(({ spec }) => spec?.template),
  {
    name: "Selector",
    type: "string",
    priority: 1,
    description:
      "Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones affected by this deployment. It must match the pod template's labels.",
    of: ({ spec }) => printSelector(spec?.selector),
  },
];

export const deploymentKind = defineKind<Deployment>({
  group: "apps",
  kind: "Deployment",
  resource: "deployments",
  storageVersion: "v1",
  resetFields: ["status"],

  defaults: defaultDeployment,
  prepareForCreate(deployment) {
    deployment.status = {};
    firstGeneration(deployment);
  },
  prepareForUpdate(deployment, old) {
    setOrDelete(deployment, { status: old.status });
    // Annotations as well: they are copied to replica sets.
    const isSame =
      semanticEqual(deployment.spec, old.spec) &&
      semanticEqual(deployment.metadata.annotations, old.metadata.annotations);
    const generation = old.metadata.generation ?? 0;
    deployment.metadata.generation = isSame ? generation : generation + 1;
  },
  validate: (deployment) => validateDeployment(deployment),
  validateUpdate: (deployment, old) => validateDeployment(deployment, old),
  warningsOnCreate: (deployment) => [...podNameWarnings(deployment.metadata.name ?? ""), ...warningsOf(deployment)],
  warningsOnUpdate: (deployment, old) =>
    deployment.metadata.generation === old.metadata.generation ? [] : warningsOf(deployment),

  subresources: { status: deploymentStatusStrategy },
  scale: {
    replicasOf: ({ spec }) => spec?.replicas ?? 0,
    setReplicas(deployment, replicas) {
      specOf(deployment).replicas = replicas;
    },
    statusReplicasOf: ({ status }) => status?.replicas ?? 0,
    selectorOf: ({ spec }) => printSelector(spec?.selector),
  },
  columns,
});
