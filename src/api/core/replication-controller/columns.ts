/** What `kubectl get replicationcontrollers` shows. */
import { ageColumn, containerImages, containerNames, printLabels } from "../../columns.ts";
import type { Column } from "../../kind.ts";
import type { ReplicationController } from "../../types.d.ts";

export const replicationControllerColumns: readonly Column<ReplicationController>[] = [
  {
    name: "Desired",
    type: "integer",
    description: { field: "V1ReplicationControllerSpec.replicas" },
    of: ({ spec }) => spec?.replicas ?? 0,
  },
  {
    name: "Current",
    type: "integer",
    description: { field: "V1ReplicationControllerStatus.replicas" },
    of: ({ status }) => status?.replicas ?? 0,
  },
  {
    name: "Ready",
    type: "integer",
    description: { field: "V1ReplicationControllerStatus.readyReplicas" },
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
    description: { field: "V1ReplicationControllerSpec.selector" },
    priority: 1,
    of: ({ spec }) => printLabels(spec?.selector),
  },
];
