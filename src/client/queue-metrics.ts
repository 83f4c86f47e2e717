/** What a work queue tells, under upstream's names (workqueue_…). Gauges are read from the queue when someone asks. */
import { type Clock, exponentialBounds, type MetricRegistry, preciseNow } from "#base";

export interface QueueState {
  readonly length: number;
  /** Keys that are being worked on, and since when by the precise clock. */
  readonly working: ReadonlyMap<string, number>;
}

const name = ["name"] as const;
/** Seconds. */
const bounds = exponentialBounds(10e-9, 10, 10);

export class QueueMetrics {
  readonly precise: () => number;
  readonly #adds;
  readonly #retries;
  readonly #waited;
  readonly #worked;
  /** Since when keys wait. */
  readonly #addedMs = new Map<string, number>();

  constructor(registry: MetricRegistry, { queue, state, clock }: { queue: string; state: QueueState; clock: Clock }) {
    this.precise = preciseNow(clock);
    this.#adds = registry.counter("workqueue_adds_total", "Keys that were added.", name).with(queue);
    this.#retries = registry
      .counter("workqueue_retries_total", "Keys that came back after a failure.", name)
      .with(queue);
    const seconds = (metric: string, help: string) => registry.histogram(metric, help, { bounds, labels: name });
    this.#waited = seconds("workqueue_queue_duration_seconds", "Time that keys waited.").with(queue);
    this.#worked = seconds("workqueue_work_duration_seconds", "Time that keys were worked on.").with(queue);
    const depth = registry.gauge("workqueue_depth", "Keys that wait.", name).with(queue);
    const unfinished = registry.gauge("workqueue_unfinished_work_seconds", "Work under way, added up.", name);
    const longest = registry.gauge("workqueue_longest_running_processor_seconds", "The oldest work under way.", name);
    registry.onCollect(() => {
      const nowMs = this.precise();
      const ages = [...state.working.values()].map((startMs) => (nowMs - startMs) / 1000);
      depth.set(state.length);
      unfinished.with(queue).set(ages.reduce((sum, age) => sum + age, 0));
      longest.with(queue).set(Math.max(0, ...ages));
    });
  }

  added(key: string): void {
    this.#adds.inc();
    this.#addedMs.set(key, this.precise());
  }

  started(key: string, nowMs: number): void {
    const addedMs = this.#addedMs.get(key);
    this.#addedMs.delete(key);
    if (addedMs !== undefined) this.#waited.observe((nowMs - addedMs) / 1000);
  }

  finished(startMs: number): void {
    this.#worked.observe((this.precise() - startMs) / 1000);
  }

  retried(): void {
    this.#retries.inc();
  }
}
