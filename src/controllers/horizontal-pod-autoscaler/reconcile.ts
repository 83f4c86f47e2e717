/**
 * From what was measured to how many replicas there should be, and what the autoscaler's status says about it. Pure: the controller asks for
 * scale and metrics, this decides. Follows upstream's horizontal controller.
 */
import type { HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus, MetricStatus } from "#api";
import { formatTime, quantityFloat } from "#machinery";
import { draft, type Seen } from "../lib/objects.ts";
import { type History, limitByRules, limitPlainly, type Rules, type Verdict } from "./limits.ts";
import type { Measured } from "./measure.ts";
import type { Tolerances } from "./replicas.ts";

export type SeenAutoscaler = Seen<HorizontalPodAutoscaler>;

export interface Settings {
  /** Between two looks at an autoscaler. */
  readonly syncMs: number;
  /** Nothing is taken away that was asked for this short ago. */
  readonly downscaleStabilizationMs: number;
  readonly tolerance: number;
  readonly cpuInitializationMs: number;
  readonly initialReadinessMs: number;
  /** Feature gate HPAScaleToZero. */
  readonly scaleToZero: boolean;
}

export const settingsDefault: Settings = {
  syncMs: 15_000,
  downscaleStabilizationMs: 300_000,
  tolerance: 0.1,
  cpuInitializationMs: 300_000,
  initialReadinessMs: 30_000,
  scaleToZero: false,
};

export interface Notice {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

type ConditionType = "AbleToScale" | "ScalingActive" | "ScalingLimited" | "ScaledToZero";

/** The status that comes to be while an autoscaler is looked at. */
export class Review {
  readonly autoscaler: SeenAutoscaler;
  readonly now: number;
  readonly events: Notice[] = [];
  readonly status: HorizontalPodAutoscalerStatus;

  constructor(autoscaler: SeenAutoscaler, now: number) {
    this.autoscaler = autoscaler;
    this.now = now;
    this.status = draft<HorizontalPodAutoscalerStatus>(autoscaler.status ?? { desiredReplicas: 0 });
  }

  warn(reason: string, message: string): void {
    this.events.push({ type: "Warning", reason, message });
  }

  condition(type: ConditionType, status: boolean, { reason, message }: { reason: string; message: string }): void {
    this.status.conditions ??= [];
    const { conditions } = this.status;
    const found = conditions.find((each) => each.type === type);
    const text = status ? "True" : "False";
    const since = found?.status === text ? found.lastTransitionTime : formatTime(this.now);
    const next = { type, status: text, ...(since && { lastTransitionTime: since }), reason, message };
    if (found) Object.assign(found, next);
    else conditions.push(next);
  }

  drop(type: ConditionType): void {
    const { conditions } = this.status;
    if (conditions) this.status.conditions = conditions.filter((each) => each.type !== type);
  }

  isTrue(type: ConditionType): boolean {
    return this.status.conditions?.some((each) => each.type === type && each.status === "True") ?? false;
  }

  /** What isn't said here is forgotten. */
  count({ current, desired, metrics, rescaled }: Counts): void {
    const { lastScaleTime, conditions } = this.status;
    const at = rescaled ? formatTime(this.now) : lastScaleTime;
    for (const key of Object.keys(this.status)) delete this.status[key as keyof HorizontalPodAutoscalerStatus]; // its own keys
    Object.assign(this.status, {
      ...(at && { lastScaleTime: at }),
      currentReplicas: current,
      desiredReplicas: desired ?? this.autoscaler.status?.desiredReplicas ?? 0,
      // Go prints the empty list as null.
      currentMetrics: metrics ?? null,
      ...(conditions && { conditions }),
    });
  }
}

interface Counts {
  readonly current: number;
  /** Absent: as it was. */
  readonly desired?: number;
  readonly metrics: readonly MetricStatus[] | undefined;
  readonly rescaled: boolean;
}

export const unableToGetScale = (review: Review, why: string): void => {
  review.warn("FailedGetScale", why);
  const message = `the HPA controller was unable to get the target's current scale: ${why}`;
  review.condition("AbleToScale", false, { reason: "FailedGetScale", message });
};

const minOf = ({ spec }: SeenAutoscaler): number => spec.minReplicas ?? 1;

export function tolerancesOf({ spec }: SeenAutoscaler, { tolerance }: Settings): Tolerances {
  const of = (text: string | undefined) => (text === undefined ? tolerance : quantityFloat(text));
  return { down: of(spec.behavior?.scaleDown?.tolerance), up: of(spec.behavior?.scaleUp?.tolerance) };
}

/** What is decided without metrics; undefined: they are needed. */
export type Plan =
  | { readonly type: "measure" }
  | { readonly type: "rest" }
  | { readonly type: "scale"; readonly to: number; readonly why: string };

const measureFirst: Plan = { type: "measure" };

export function planWithoutMetrics(review: Review, current: number, { scaleToZero }: Settings): Plan {
  const { autoscaler } = review;
  const [min, max] = [minOf(autoscaler), autoscaler.spec.maxReplicas];
  if (current === 0) {
    const byUs = scaleToZero && review.isTrue("ScaledToZero");
    if (byUs && (min !== 0 || hasObjectMetric(autoscaler))) return measureFirst;
    const message = "scaling is disabled since the replica count of the target is zero";
    review.condition("ScalingActive", false, { reason: "ScalingDisabled", message });
    if (!scaleToZero) review.drop("ScaledToZero");
    return { type: "rest" };
  }
  if (current > max) return { type: "scale", to: max, why: "Current number of replicas above Spec.MaxReplicas" };
  if (current < min) return { type: "scale", to: min, why: belowMin };
  return measureFirst;
}

const belowMin = "Current number of replicas below Spec.MinReplicas";

const hasObjectMetric = ({ spec }: SeenAutoscaler): boolean =>
  spec.metrics?.some(({ type }) => type === "Object" || type === "External") ?? false;

/** The most that a metric asks for. One that fails keeps from going down, all together from going anywhere. */
export interface Combined {
  /** Undefined: nothing can be said. */
  readonly wanted: { readonly replicas: number; readonly metric: string } | undefined;
  readonly statuses: readonly MetricStatus[];
  /** What went wrong; with `wanted` there is enough all the same. */
  readonly problem: string | undefined;
}

export function combine(review: Review, current: number, measured: readonly Measured[]): Combined {
  let wanted = { replicas: 0, metric: "" };
  const statuses = measured.map((each): MetricStatus => (each.ok ? each.status : { type: "" }));
  const failures = measured.filter((each) => !each.ok);
  const unable = "the HPA was unable to compute the replica count: ";
  for (const { reason, why } of failures) review.warn(reason, why);
  for (const each of measured) {
    if (!each.ok) continue;
    const { replicas, name: metric } = each;
    if (wanted.replicas === 0 || replicas > wanted.replicas) wanted = { replicas, metric };
  }
  const [first] = failures;
  const problem =
    first && `invalid metrics (${failures.length} invalid out of ${measured.length}), first error is: ${first.message}`;
  if (failures.length >= measured.length || (first && wanted.replicas < current)) {
    const { reason = "", why = "" } = first ?? {};
    review.condition("ScalingActive", false, { reason, message: unable + why });
    return { wanted: undefined, statuses, problem: problem ?? "" };
  }
  const message = `the HPA was able to successfully calculate a replica count from ${wanted.metric}`;
  review.condition("ScalingActive", true, { reason: "ValidMetricFound", message });
  return { wanted, statuses, problem };
}

export function planFromMetrics(
  review: Review,
  { current, wanted, history }: { current: number; wanted: { replicas: number; metric: string }; history: History },
  settings: Settings,
): Plan {
  const { autoscaler, now } = review;
  const { replicas: desired, metric } = wanted;
  const [min, max] = [minOf(autoscaler), autoscaler.spec.maxReplicas];
  const wish = { current, desired, min, max, now };
  const windowMs = settings.downscaleStabilizationMs;
  const rules = rulesOf(autoscaler);
  const fromZero = current === 0 && min !== 0 && settings.scaleToZero && review.isTrue("ScaledToZero");
  const verdict: Verdict = rules
    ? limitByRules(wish, { rules, history, windowMs })
    : limitPlainly(wish, { history, windowMs });
  review.condition("AbleToScale", true, verdict.able);
  review.condition("ScalingLimited", verdict.limited.status === "True", verdict.limited);
  let why = desired > current ? `${metric} above target` : desired < current ? "All metrics below target" : "";
  let to = verdict.replicas;
  if (fromZero && to < min) {
    to = min;
    why ||= belowMin;
  }
  return to === current ? { type: "rest" } : { type: "scale", to, why };
}

/** The API gives rules for both directions when there are any. */
export function rulesOf({ spec }: SeenAutoscaler): Rules | undefined {
  const { scaleUp: up = {}, scaleDown: down = {} } = spec.behavior ?? {};
  return spec.behavior && { up, down };
}

/** After the scale was written. */
export function rescaled(
  review: Review,
  { from, to, why }: { from: number; to: number; why: string },
  { scaleToZero }: Settings,
): void {
  const message = `the HPA controller was able to update the target scale to ${to}`;
  review.condition("AbleToScale", true, { reason: "SucceededRescale", message });
  review.events.push({ type: "Normal", reason: "SuccessfulRescale", message: `New size: ${to}; reason: ${why}` });
  if (!scaleToZero) {
    review.drop("ScaledToZero");
    return;
  }
  const { autoscaler } = review;
  const toZero = from > 0 && to === 0 && minOf(autoscaler) === 0 && hasObjectMetric(autoscaler);
  review.condition("ScaledToZero", toZero, {
    reason: toZero ? "ScaledToZero" : "NotScaledToZero",
    message: `the HPA controller ${toZero ? "scaled" : "did not scale"} the workload to zero`,
  });
}

export function unableToRescale(review: Review, { to, why, error }: { to: number; why: string; error: string }): void {
  review.warn("FailedRescale", `New size: ${to}; reason: ${why}; error: ${error}`);
  const message = `the HPA controller was unable to update the target scale: ${error}`;
  review.condition("AbleToScale", false, { reason: "FailedUpdateScale", message });
}
