/** What `kubectl get replicationcontrollers` shows. */
import { ageColumn, containerImages, containerNames, printLabels } from "../../columns.ts";
import type { Column } from "../../kind.ts";
import type { ReplicationController } from "../../types.d.ts";

export const replicationControllerColumns: readonly Column<ReplicationController>[] = [
  {
    name: "Desired",
    type: "integer",
    description:
      "Replicas is the number of desired replicas. This is a pointer to distinguish between explicit zero and unspecified. Defaults to 1. More info: https://kubernetes.io/docs/concepts/workloads/controllers/replicationcontroller#what-is-a-replicationcontroller",
    of: ({ spec }) => spec?.replicas ?? 0,
  },
  {
    name: "Current",
    type: "integer",
    description:
      "Replicas is the most recently observed number of replicas. More info: https://kubernetes.io/docs/concepts/workloads/controllers/replicationcontroller#what-is-a-replicationcontroller",
    of: ({ status }) => status?.replicas ?? 0,
  },
  {
    name: "Ready",
    type: "integer",
    description: "The number of ready replicas for this replication controller.",
    of: ({ status }) => status?.readyReplicas ?? 0,
  },
  ageColumn,
  {
    name: "Containers",
    type: "string",
    description: "Names of each container in the template.",
    priority: 1,
    of: ({ spec }) => containerNames(spec?.template?.spec?.containers),
  },
  {
    name: "Images",
    type: "string",
    description: "Images referenced by each container in the template.",
    priority: 1,
    of: ({ spec }) => containerImages(spec?.template?.spec?.containers),
  },
  {
    name: "Selector",
    type: "string",
    description:
      "Selector is a label query over pods that should match the Replicas count. If Selector is empty, it is defaulted to the labels present on the Pod template. Label keys and values that must match in order to be controlled by this replication controller, if empty defaulted to labels on Pod template. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors",
    priority: 1,
    of: ({ spec }) => printLabels(spec?.selector),
  },
];
