/** What `kubectl get jobs` shows. */
import { humanDuration, printLabelSelector } from "#machinery";
import { templateColumns } from "../../apps/template-columns.ts";
import { ageColumn } from "../../columns.ts";
import type { Column } from "../../kind.ts";
import type { Job } from "../../types.d.ts";
import { isTrue } from "./conditions.ts";

function printStatus({ metadata, status }: Job): string {
  const is = (type: Parameters<typeof isTrue>[1]) => isTrue(status?.conditions, type);
  if (is("Complete")) return "Complete";
  if (is("Failed")) return "Failed";
  if (metadata.deletionTimestamp) return "Terminating";
  if (is("Suspended")) return "Suspended";
  if (is("FailureTarget")) return "FailureTarget";
  return is("SuccessCriteriaMet") ? "SuccessCriteriaMet" : "Running";
}

function printCompletions({ spec, status }: Job): string {
  const { completions, parallelism = 0 } = spec ?? {};
  const succeeded = status?.succeeded ?? 0;
  if (completions !== undefined) return `${succeeded}/${completions}`;
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
}

function printDuration({ status }: Job, now: number): string {
  if (!status?.startTime) return "";
  return humanDuration(
    (status.completionTime ? Date.parse(status.completionTime) : now) - Date.parse(status.startTime),
  );
}

export const selectorDescription =
  "A label query over pods that should match the pod count. Normally, the system sets this field for you. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors";

export const jobColumns: readonly Column<Job>[] = [
  { name: "Status", type: "string", description: "Status of the job.", of: printStatus },
  {
    name: "Completions",
    type: "string",
    description: { field: "V1JobStatus.succeeded" },
    of: printCompletions,
  },
  { name: "Duration", type: "string", description: "Time required to complete the job.", of: printDuration },
  ageColumn,
  ...templateColumns<Job>(({ spec }) => spec?.template),
  {
    name: "Selector",
    type: "string",
    priority: 1,
    description: selectorDescription,
    of: ({ spec }) => printLabelSelector(spec?.selector),
  },
];
