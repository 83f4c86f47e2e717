/** Counts what the autoscaler does, under upstream's names. */
import { type Clock, exponentialBounds, MetricRegistry, preciseNow } from "#base";

export type Action = "scale_up" | "scale_down" | "none";
/** `spec`: what the user wrote can't be followed. */
export type Failure = "spec" | "internal" | "none";

export interface Outcome {
  readonly action: Action;
  readonly failure: Failure;
}

export const directionOf = (from: number, to: number): Action =>
  to > from ? "scale_up" : to < from ? "scale_down" : "none";

export interface Monitor {
  /** Answers what to tell when it is done; the time between counts. */
  reconciliation(): (outcome: Outcome) => void;
  computation(metricType: string): (outcome: Outcome) => void;
  desired(autoscaler: { readonly namespace: string; readonly name: string }, replicas: number): void;
  gone(autoscaler: { readonly namespace: string; readonly name: string }): void;
}

export function createMonitor(
  registry: MetricRegistry = new MetricRegistry(),
  { clock, count }: { clock: Clock; count: () => number },
): Monitor {
  const name = (rest: string) => `horizontal_pod_autoscaler_controller_${rest}`;
  const bounds = exponentialBounds(0.001, 2, 15);
  const labels = ["action", "error"] as const;
  const ofMetric = [...labels, "metric_type"] as const;
  const reconciled = registry.counter(name("reconciliations_total"), "Reconciliations.", labels);
  const reconciling = registry.histogram(name("reconciliation_duration_seconds"), "Time of one.", { bounds, labels });
  const computed = registry.counter(name("metric_computation_total"), "Computations of a metric.", ofMetric);
  const computing = registry.histogram(name("metric_computation_duration_seconds"), "Time of one.", {
    bounds,
    labels: ofMetric,
  });
  const replicas = registry.gauge(name("desired_replicas"), "Replicas wanted.", ["namespace", "hpa_name"]);
  const known = registry.gauge(name("num_horizontal_pod_autoscalers"), "Autoscalers there are.", []);
  registry.onCollect(() => known.with().set(count()));
  const nowMs = preciseNow(clock);
  return {
    reconciliation() {
      const startMs = nowMs();
      return ({ action, failure }) => {
        reconciled.with(action, failure).inc();
        reconciling.with(action, failure).observe((nowMs() - startMs) / 1000);
      };
    },
    computation(type) {
      const startMs = nowMs();
      return ({ action, failure }) => {
        computed.with(action, failure, type).inc();
        computing.with(action, failure, type).observe((nowMs() - startMs) / 1000);
      };
    },
    desired: (autoscaler, wanted) => replicas.with(autoscaler.namespace, autoscaler.name).set(wanted),
    gone: (autoscaler) => replicas.remove(autoscaler.namespace, autoscaler.name),
  };
}
