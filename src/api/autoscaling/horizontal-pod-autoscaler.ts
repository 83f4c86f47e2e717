/** HorizontalPodAutoscaler: how many replicas something has follows from metrics. Follows upstream's registry/autoscaling. */
import { defineKind, type Kind } from "../kind.ts";
import { setOrDelete } from "../strategy.ts";
import type { AutoscalingV1HorizontalPodAutoscaler, HorizontalPodAutoscaler, HPAScalingRules } from "../types.d.ts";
import { autoscalerColumns } from "./autoscaler/columns.ts";
import { cpuMetric, defaultCpuUtilization, fromOld, toOld } from "./autoscaler/convert.ts";
import { dropNotes } from "./autoscaler/notes.ts";
import { validateAutoscaler, validateAutoscalerStatus } from "./autoscaler/validate.ts";

const periodSeconds = 15;

/** How long to wait before scaling down is the controller's to say. */
const downRules = (): HPAScalingRules => ({
  selectPolicy: "Max",
  policies: [{ type: "Percent", value: 100, periodSeconds }],
});

const upRules = (): HPAScalingRules => ({
  stabilizationWindowSeconds: 0,
  selectPolicy: "Max",
  policies: [
    { type: "Pods", value: 4, periodSeconds },
    { type: "Percent", value: 100, periodSeconds },
  ],
});

function defaultAutoscaler(autoscaler: HorizontalPodAutoscaler): void {
  dropNotes(autoscaler.metadata);
  autoscaler.spec ??= { scaleTargetRef: { kind: "", name: "" }, maxReplicas: 0 };
  const { spec } = autoscaler;
  spec.minReplicas ??= 1;
  if (!spec.metrics?.length) spec.metrics = [cpuMetric(defaultCpuUtilization)];
  if (!spec.behavior) return;
  spec.behavior.scaleUp = { ...upRules(), ...spec.behavior.scaleUp };
  spec.behavior.scaleDown = { ...downRules(), ...spec.behavior.scaleDown };
}

export const horizontalPodAutoscalerKind = defineKind<HorizontalPodAutoscaler>({
  group: "autoscaling",
  kind: "HorizontalPodAutoscaler",
  resource: "horizontalpodautoscalers",
  storageVersion: "v2",
  resetFields: ["status"],
  convert: {
    // v1 is the only other version.
    toStorage: (object) => fromOld(object as AutoscalingV1HorizontalPodAutoscaler),
    fromStorage: toOld,
  },

  defaults: defaultAutoscaler,
  prepareForCreate(autoscaler) {
    // Go prints the empty list as null.
    autoscaler.status = { desiredReplicas: 0, currentMetrics: null as never };
  },
  prepareForUpdate(autoscaler, old) {
    setOrDelete(autoscaler, { status: old.status });
  },
  validate: (autoscaler) => validateAutoscaler(autoscaler),
  validateUpdate: (autoscaler, old) => validateAutoscaler(autoscaler, { old }),

  subresources: {
    status: {
      resetFields: ["spec"],
      prepareForUpdate(autoscaler, old) {
        autoscaler.spec = old.spec;
      },
      validateUpdate: validateAutoscalerStatus,
    },
  },
  columns: autoscalerColumns,
});

const downToZero = defineKind<HorizontalPodAutoscaler>({
  ...horizontalPodAutoscalerKind,
  validate: (autoscaler) => validateAutoscaler(autoscaler, { toZero: true }),
  validateUpdate: (autoscaler, old) => validateAutoscaler(autoscaler, { old, toZero: true }),
});

/** Feature gate HPAScaleToZero. */
export const withScaleToZero = (kinds: readonly Kind[]): readonly Kind[] =>
  kinds.map((kind) => ((kind as unknown) === horizontalPodAutoscalerKind ? (downToZero as Kind) : kind)); // kinds of all types are in one list
