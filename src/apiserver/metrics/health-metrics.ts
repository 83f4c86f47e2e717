/** Health checks as service level indicators: /metrics/slis, under upstream's names (component-base/metrics/prometheus/slis). */
import { MetricRegistry } from "#base";

export class HealthMetrics {
  readonly registry = new MetricRegistry();
  readonly #state = this.registry.gauge("kubernetes_healthcheck", "Whether a check passed last.", ["name", "type"]);
  readonly #total = this.registry.counter("kubernetes_healthchecks_total", "Checks, by result.", [
    "name",
    "type",
    "status",
  ]);

  /** `type`: healthz, livez or readyz. */
  observe(name: string, type: string, passed: boolean): void {
    this.#state.with(name, type).set(passed ? 1 : 0);
    this.#total.with(name, type, passed ? "success" : "error").inc();
  }
}
