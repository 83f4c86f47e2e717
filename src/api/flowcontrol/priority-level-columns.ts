/** What `kubectl get prioritylevelconfigurations` shows. */
import { ageColumn, none } from "../columns.ts";
import type { Column } from "../kind.ts";
import type { PriorityLevelConfiguration, QueuingConfiguration } from "../types.d.ts";

const queuingCell =
  (field: keyof QueuingConfiguration) =>
  ({ spec }: PriorityLevelConfiguration) =>
    spec?.limited?.limitResponse?.queuing?.[field] ?? none;

export const priorityLevelColumns: readonly Column<PriorityLevelConfiguration>[] = [
  {
    name: "Type",
    type: "string",
    description: { field: "V1PriorityLevelConfigurationSpec.type", gaps: { "13": "  ", "48": "  " } },
    of: ({ spec }) => spec?.type ?? "",
  },
  {
    name: "NominalConcurrencyShares",
    type: "string",
    description: {
      field: "V1LimitedPriorityLevelConfiguration.nominalConcurrencyShares",
      gaps: { "68": "\n\n", "69": "  ", "83": "\n\n", "99": "\n\n", "110": "\n\n" },
    },
    of: ({ spec }) => spec?.limited?.nominalConcurrencyShares ?? none,
  },
  {
    name: "Queues",
    type: "string",
    description: { field: "V1QueuingConfiguration.queues", gaps: { "22": "  ", "40": "  " } },
    of: queuingCell("queues"),
  },
  {
    name: "HandSize",
    type: "string",
    description: {
      field: "V1QueuingConfiguration.handSize",
      gaps: { "15": "  ", "53": "  ", "91": "  ", "103": "  " },
    },
    of: queuingCell("handSize"),
  },
  {
    name: "QueueLengthLimit",
    type: "string",
    description: { field: "V1QueuingConfiguration.queueLengthLimit", gaps: { "26": "  ", "31": "  " } },
    of: queuingCell("queueLengthLimit"),
  },
  ageColumn,
];
