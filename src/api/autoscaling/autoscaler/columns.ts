/** What `kubectl get hpa` shows. */
import { ageColumn, none, unknown } from "../../columns.ts";
import type { Column } from "../../kind.ts";
import type {
  HorizontalPodAutoscaler,
  MetricSpec,
  MetricStatus,
  MetricTarget,
  MetricValueStatus,
} from "../../types.d.ts";

const shownMax = 2;

function printMetrics({ spec, status }: HorizontalPodAutoscaler): string {
  const texts = (spec.metrics ?? []).map((metric, i) => printMetric(metric, status?.currentMetrics?.[i]));
  if (texts.length === 0) return none;
  const more = texts.length - shownMax;
  return texts.slice(0, shownMax).join(", ") + (more > 0 ? ` + ${more} more...` : "");
}

/** Now and wanted. */
function printMetric(spec: MetricSpec, status: MetricStatus | undefined): string {
  switch (spec.type) {
    case "External":
      return printValue(spec.external?.target, status?.external);
    case "Object":
      return printValue(spec.object?.target, status?.object);
    case "Pods":
      return `${printCurrent(status?.pods, "averageValue")}/${printAmount(spec.pods?.target.averageValue)}`;
    case "Resource":
      return printResource(spec.resource, status?.resource);
    case "ContainerResource":
      return printResource(spec.containerResource, status?.containerResource);
    default:
      return "<unknown type>";
  }
}

/** What Go prints for a quantity that isn't there. */
const printAmount = (amount: string | undefined): string => amount ?? "<nil>";

type Current = { readonly current?: MetricValueStatus } | undefined;

const printCurrent = (status: Current, field: "value" | "averageValue"): string =>
  status ? printAmount(status.current?.[field]) : unknown;

function printValue(target: MetricTarget | undefined, status: Current): string {
  if (target?.averageValue === undefined) return `${printCurrent(status, "value")}/${printAmount(target?.value)}`;
  return `${status?.current?.averageValue ?? unknown}/${target.averageValue} (avg)`;
}

function printResource(spec: { name: string; target?: MetricTarget } | undefined, status: Current): string {
  const { name = "", target } = spec ?? {};
  if (target?.averageValue !== undefined) {
    return `${name}: ${printCurrent(status, "averageValue")}/${target.averageValue}`;
  }
  const percent = (share: number | undefined, otherwise: string) => (share === undefined ? otherwise : `${share}%`);
  const now = percent(status?.current?.averageUtilization, unknown);
  return `${name}: ${now}/${percent(target?.averageUtilization, "<auto>")}`;
}

export const autoscalerColumns: readonly Column<HorizontalPodAutoscaler>[] = [
  {
    name: "Reference",
    type: "string",
    description:
      "scaleTargetRef points to the target resource to scale, and is used to the pods for which metrics should be collected, as well as to actually change the replica count.",
    of: ({ spec }) => `${spec.scaleTargetRef?.kind ?? ""}/${spec.scaleTargetRef?.name ?? ""}`,
  },
  {
    name: "Targets",
    type: "string",
    description: { field: "V2HorizontalPodAutoscalerSpec.metrics", gaps: { "24": "  ", "47": "  ", "60": "  " } },
    of: printMetrics,
  },
  {
    name: "MinPods",
    type: "string",
    description: { field: "V1HorizontalPodAutoscalerSpec.minReplicas", gaps: { "17": "  ", "22": "  ", "46": "  " } },
    of: ({ spec }) => (spec.minReplicas === undefined ? "<unset>" : String(spec.minReplicas)),
  },
  {
    name: "MaxPods",
    type: "string",
    description: { field: "V2HorizontalPodAutoscalerSpec.maxReplicas" },
    of: ({ spec }) => spec.maxReplicas ?? 0,
  },
  {
    name: "Replicas",
    type: "string",
    description: { field: "V2HorizontalPodAutoscalerStatus.currentReplicas" },
    of: ({ status }) => status?.currentReplicas ?? 0,
  },
  ageColumn,
];
