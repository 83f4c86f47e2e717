/** What `kubectl get daemonsets` shows. */
import { printLabelSelector } from "#machinery";
import { ageColumn, printLabels } from "../../columns.ts";
import type { Column } from "../../kind.ts";
import type { DaemonSet, DaemonSetStatus } from "../../types.d.ts";
import { templateColumns } from "../template-columns.ts";

type CountField =
  | "desiredNumberScheduled"
  | "currentNumberScheduled"
  | "numberReady"
  | "updatedNumberScheduled"
  | "numberAvailable";

const count = (name: string, description: string, field: CountField & keyof DaemonSetStatus): Column<DaemonSet> => ({
  name,
  type: "integer",
  description,
  of: ({ status }) => status?.[field] ?? 0,
});

const more = "More info: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/";

export const daemonSetColumns: readonly Column<DaemonSet>[] = [
  count(
    "Desired",
    `The total number of nodes that should be running the daemon pod (including nodes correctly running the daemon pod). ${more}`,
    "desiredNumberScheduled",
  ),
  count(
    "Current",
    `The number of nodes that are running at least 1 daemon pod and are supposed to run the daemon pod. ${more}`,
    "currentNumberScheduled",
  ),
  count(
    "Ready",
    "numberReady is the number of nodes that should be running the daemon pod and have one or more of the daemon pod running with a Ready Condition.",
    "numberReady",
  ),
  count("Up-to-date", "The total number of nodes that are running updated daemon pod", "updatedNumberScheduled"),
  count(
    "Available",
    "The number of nodes that should be running the daemon pod and have one or more of the daemon pod running and available (ready for at least spec.minReadySeconds)",
    "numberAvailable",
  ),
  {
    name: "Node Selector",
    type: "string",
    description: { field: "V1PodSpec.nodeSelector" },
    of: ({ spec }) => printLabels(spec?.template?.spec?.nodeSelector),
  },
  ageColumn,
  ...templateColumns<DaemonSet>(({ spec }) => spec?.template),
  {
    name: "Selector",
    type: "string",
    priority: 1,
    description:
      "A label query over pods that are managed by the daemon set. Must match in order to be controlled. It must match the pod template's labels. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors",
    of: ({ spec }) => printLabelSelector(spec?.selector),
  },
];
