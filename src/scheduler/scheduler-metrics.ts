/** What the scheduler counts, under upstream's names (scheduler_…). */
import { type Clock, exponentialBounds, type MetricRegistry, preciseNow } from "#base";
import type { PendingPod } from "./core/pending-pods.ts";

export type AttemptResult = "scheduled" | "unschedulable" | "error";

const queueOf: Readonly<Record<PendingPod["place"], string | undefined>> = {
  active: "active",
  backoff: "backoff",
  errorBackoff: "backoff",
  waiting: "unschedulable",
  gated: "gated",
  away: undefined,
};
const outcome = ["result", "profile"] as const;

export class SchedulerMetrics {
  readonly precise: () => number;
  readonly #attempts;
  readonly #duration;
  readonly #tries;
  readonly #preemptions;
  readonly #victims;

  constructor(registry: MetricRegistry, { pending, clock }: { pending: () => Iterable<PendingPod>; clock: Clock }) {
    this.precise = preciseNow(clock);
    this.#attempts = registry.counter("scheduler_schedule_attempts_total", "Attempts to place a pod.", outcome);
    this.#duration = registry.histogram("scheduler_scheduling_attempt_duration_seconds", "Time of an attempt.", {
      bounds: exponentialBounds(0.001, 2, 15),
      labels: outcome,
    });
    this.#tries = registry
      .histogram("scheduler_pod_scheduling_attempts", "Attempts until a pod was placed.", {
        bounds: exponentialBounds(1, 2, 5),
        labels: [],
      })
      .with();
    this.#preemptions = registry.counter("scheduler_preemption_attempts_total", "Searches for victims.", []).with();
    this.#victims = registry
      .histogram("scheduler_preemption_victims", "Pods that had to go for one.", {
        bounds: exponentialBounds(1, 2, 7),
        labels: [],
      })
      .with();
    const waiting = registry.gauge("scheduler_pending_pods", "Pods without a node, by where they wait.", ["queue"]);
    registry.onCollect(() => {
      for (const queue of ["active", "backoff", "unschedulable", "gated"]) waiting.with(queue).set(0);
      for (const { place } of pending()) {
        const queue = queueOf[place];
        if (queue) waiting.with(queue).add(1);
      }
    });
  }

  attempt(result: AttemptResult, profile: string, startMs: number): void {
    this.#attempts.with(result, profile).inc();
    this.#duration.with(result, profile).observe((this.precise() - startMs) / 1000);
  }

  placed(attempts: number): void {
    this.#tries.observe(attempts);
  }

  preempted(victims: number): void {
    this.#preemptions.inc();
    this.#victims.observe(victims);
  }
}
