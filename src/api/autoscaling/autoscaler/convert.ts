/**
 * Between autoscaling/v1, which knows only the use of CPU, and v2, which is stored. What v1 has no field for travels in
 * annotations, so that an old client that reads and writes an object loses nothing. Follows upstream's apis/autoscaling/v1/conversion.go.
 */
import { setOrDelete } from "../../strategy.ts";
import type {
  AutoscalingV1HorizontalPodAutoscaler,
  HorizontalPodAutoscaler,
  HorizontalPodAutoscalerBehavior,
  HorizontalPodAutoscalerCondition,
  MetricSpec,
  ObjectMeta,
} from "../../types.d.ts";
import { dropNotes, fitting, listOf, readNote, writeNotes } from "./notes.ts";
import { readBehavior, writeBehavior } from "./old-behavior.ts";
import { specFromOld, specToOld, statusFromOld, statusToOld } from "./old-metrics.ts";

type Status = NonNullable<HorizontalPodAutoscaler["status"]>;
type OldStatus = NonNullable<AutoscalingV1HorizontalPodAutoscaler["status"]>;

export const cpuMetric = (averageUtilization: number): MetricSpec => ({
  type: "Resource",
  resource: { name: "cpu", target: { type: "Utilization", averageUtilization } },
});

export const defaultCpuUtilization = 80;

const utilizationOf = ({ type, resource }: MetricSpec): number | undefined =>
  type === "Resource" && resource?.name === "cpu" ? resource.target?.averageUtilization : undefined;

export function toOld({ metadata, spec, status }: HorizontalPodAutoscaler): AutoscalingV1HorizontalPodAutoscaler {
  dropNotes(metadata);
  const { metrics = [], behavior, minReplicas } = spec;
  const { currentMetrics, conditions } = status ?? {};
  const others = metrics.filter((metric) => utilizationOf(metric) === undefined);
  writeNotes(metadata, {
    ...(others.length > 0 && { metrics: others.map(specToOld) }),
    ...(currentMetrics?.length && { currentMetrics: currentMetrics.map(statusToOld) }),
    ...(behavior && { behavior: writeBehavior(behavior) }),
    ...(conditions?.length && { conditions: conditions.map(orderCondition) }),
  });
  const old: AutoscalingV1HorizontalPodAutoscaler = {
    kind: "HorizontalPodAutoscaler",
    apiVersion: "autoscaling/v1",
    metadata,
    spec: { scaleTargetRef: spec.scaleTargetRef, maxReplicas: spec.maxReplicas },
    status: statusToOldStatus(status),
  };
  const target = metrics.map(utilizationOf).find((each) => each !== undefined);
  setOrDelete(old.spec, { minReplicas, targetCPUUtilizationPercentage: target });
  return old;
}

function statusToOldStatus(status: Status | undefined): OldStatus {
  const old: OldStatus = {
    currentReplicas: status?.currentReplicas ?? 0,
    desiredReplicas: status?.desiredReplicas ?? 0,
  };
  const { observedGeneration, lastScaleTime, currentMetrics } = status ?? {};
  const use = currentMetrics
    ?.filter(({ type, resource }) => type === "Resource" && resource?.name === "cpu")
    .map(({ resource }) => resource?.current?.averageUtilization)
    .findLast((each) => each !== undefined);
  setOrDelete(old, { observedGeneration, lastScaleTime, currentCPUUtilizationPercentage: use });
  return old;
}

/** As Go prints it: the time even when there is none. */
const orderCondition = (condition: HorizontalPodAutoscalerCondition): object => ({
  type: condition.type,
  status: condition.status,
  lastTransitionTime: condition.lastTransitionTime ?? null,
  ...(condition.reason && { reason: condition.reason }),
  ...(condition.message && { message: condition.message }),
});

export function fromOld({ metadata, spec, status }: AutoscalingV1HorizontalPodAutoscaler): HorizontalPodAutoscaler {
  const { scaleTargetRef, minReplicas, maxReplicas, targetCPUUtilizationPercentage: target } = spec;
  const noted = readNote(metadata, "metrics", {
    from: (value) => fitting("spec", { metrics: listOf(value, specFromOld) }).metrics,
  });
  const metrics = noted ?? [];
  if (target !== undefined) metrics.push(cpuMetric(target));
  if (metrics.length === 0) metrics.push(cpuMetric(defaultCpuUtilization));
  const behavior = readNote(metadata, "behavior", {
    from(value) {
      const rules = readBehavior(value) as HorizontalPodAutoscalerBehavior | undefined; // checked next
      return rules && fitting("spec", { behavior: rules }).behavior;
    },
  });
  const object: HorizontalPodAutoscaler = {
    kind: "HorizontalPodAutoscaler",
    apiVersion: "autoscaling/v2",
    metadata,
    spec: { scaleTargetRef, maxReplicas, metrics },
  };
  setOrDelete(object.spec, { minReplicas, behavior });
  if (status) object.status = statusFromOldStatus(status, metadata);
  dropNotes(metadata);
  return object;
}

function statusFromOldStatus(old: OldStatus, metadata: ObjectMeta): Status {
  const { observedGeneration, lastScaleTime, currentReplicas, desiredReplicas = 0 } = old;
  const averageUtilization = old.currentCPUUtilizationPercentage;
  const noted = readNote(metadata, "currentMetrics", {
    from: (value) => fitting("status", { currentMetrics: listOf(value, statusFromOld) }).currentMetrics,
  });
  const conditions = readNote(metadata, "conditions", {
    from(value) {
      const list = listOf(value, (each) => each as HorizontalPodAutoscalerCondition); // checked next
      return fitting("status", { conditions: list }).conditions;
    },
  });
  const cpu = averageUtilization !== undefined && [
    { type: "Resource", resource: { name: "cpu", current: { averageUtilization } } },
  ];
  // Go prints the empty list as null.
  const status: Status = { desiredReplicas, currentMetrics: noted ?? (cpu || (null as never)) };
  setOrDelete(status, { observedGeneration, lastScaleTime, currentReplicas: currentReplicas || undefined, conditions });
  return status;
}
